--- JSON text of plain Lua values, for programs that read what a command prints.

local json = {}

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function quote(text)
  return '"' .. text:gsub('[%c"\\\127]', function(byte)
    return escapes[byte] or ("\\u%04x"):format(byte:byte())
  end) .. '"'
end

local encode

local function encode_list(list)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = encode(value) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_object(object)
  local names, parts = {}, {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = quote(name) .. ":" .. encode(object[name]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_number(value)
  if value ~= value or value == math.huge or value == -math.huge then return "null" end
  return math.type(value) == "integer" and ("%d"):format(value) or ("%.17g"):format(value)
end

function encode(value)
  local kind = type(value)
  if kind == "table" then
    return (#value > 0 or next(value) == nil) and encode_list(value) or encode_object(value)
  end
  if kind == "number" then return encode_number(value) end
  if kind == "string" then return quote(value) end
  if kind == "boolean" then return tostring(value) end
  return "null"
end

--- The JSON text of a value: strings that are UTF-8, numbers, booleans, lists, and tables with
-- strings as keys, sorted. An empty table is a list; what is no number is null.
---@param value any
---@return string text
json.encode = encode

return json
