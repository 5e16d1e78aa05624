--- The policies that a command is to judge: from files, and from those that are shipped.

local policies = require "bitcask.policy"
local settings = require "bitcask.policy.settings"

local candidates = {}

-- Basho's byte counts are for files of 2 GiB; simulated stores are smaller.
local shipped = {
  default = policies.default,
  threshold = function() return policies.threshold { file_size = 2 ^ 31 } end,
  size_tiered = policies.size_tiered,
  cost_benefit = policies.cost_benefit,
  expiry = policies.expiry,
  never = policies.never,
}

local function name_of(path)
  return (path:match "[^/]*$":gsub("%.lua$", ""))
end

-- A file gives one policy, or several by name.
local function add_from(path, list)
  local chunk, message = loadfile(path)
  if not chunk then return nil, message end
  local ok, result = pcall(chunk)
  if not ok then return nil, tostring(result) end
  if settings.policy(result) then
    list[#list + 1] = { name = name_of(path), policy = result }
    return true
  end
  local names = {}
  for name, value in pairs(type(result) == "table" and result or {}) do
    if type(name) == "string" and settings.policy(value) then names[#names + 1] = name end
  end
  table.sort(names)
  if #names == 0 then
    return nil, path .. ": should return a policy, or a table of policies by name"
  end
  for _, name in ipairs(names) do list[#list + 1] = { name = name, policy = result[name] } end
  return true
end

local function add_shipped(names, list)
  if names == "none" then return true end
  for name in names:gmatch "[^,]+" do
    if not shipped[name] then
      local known = {}
      for each in pairs(shipped) do known[#known + 1] = each end
      table.sort(known)
      return nil, ("there is no policy '%s' (there are: %s)"):format(name,
        table.concat(known, ", "))
    end
    list[#list + 1] = { name = name, policy = shipped[name]() }
  end
  return true
end

--- Load policies.
---@param files string[] Lua programs
---@param names string shipped ones, parted by commas, or "none"
---@return table[]|nil list each `name` and `policy`, those of files first
---@return string? message
function candidates.load(files, names)
  local list = {}
  for _, path in ipairs(files) do
    local ok, message = add_from(path, list)
    if not ok then return nil, message end
  end
  local ok, message = add_shipped(names, list)
  if not ok then return nil, message end
  if #list == 0 then return nil, "there is no policy to judge" end
  return list
end

return candidates
