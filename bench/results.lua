-- The lines of JSON that a run leaves, read and asked. Each is an object of numbers and
-- strings; report.h says which.
local results = {}
results.__index = results

-- The median of a list, which is left as it is.
function results.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  return (sorted[(#sorted + 1) // 2] + sorted[#sorted // 2 + 1]) / 2
end

local ORDER <const> = { "part", "round", "engine", "metric", "curve", "keys", "key_size",
  "value_size", "rounds", "seconds", "memory", "x", "y", "value", "unit", "machine" }

-- One object as a line of JSON, its fields in the usual order.
function results.encode(object)
  local fields = {}
  for _, name in ipairs(ORDER) do
    local value = object[name]
    if value ~= nil then
      local text = type(value) == "string" and ('"%s"'):format(value:gsub('[\\"]', "\\%0"))
        or math.type(value) == "integer" and ("%d"):format(value) or ("%.6g"):format(value)
      fields[#fields + 1] = ('"%s": %s'):format(name, text)
    end
  end
  return "{" .. table.concat(fields, ", ") .. "}"
end

local function decode(line)
  local object = {}
  for name, place in line:gmatch '"([%w_]+)": ()' do
    local text = line:match('^"([^"]*)"', place)
    object[name] = text or tonumber(line:match("^[^,}]+", place))
  end
  return object
end

local function at(table_, ...)
  for _, name in ipairs { ... } do
    table_[name] = table_[name] or {}
    table_ = table_[name]
  end
  return table_
end

local function add(self, object)
  if object.metric and object.round ~= "median" then
    at(self.values, object.part, object.engine, object.metric)[object.round] = object.value
  elseif object.curve then
    table.insert(at(self.curves, object.part, object.engine, object.curve, object.round),
      { x = object.x, y = object.y })
  elseif object.part and object.keys then
    self.parts[object.part] = object
    self.values[object.part], self.curves[object.part] = nil, nil
  elseif object.machine then
    self.machine = object.machine
  end
end

-- Read a file of such lines. A part that stands in it twice counts as it was the last time.
function results.read(path)
  local self = setmetatable({ values = {}, curves = {}, parts = {} }, results)
  for line in assert(io.lines(path)) do add(self, decode(line)) end
  return self
end

local EMPTY <const> = {}

-- The values of each round; nil where it was not measured.
function results:rounds(part, engine, metric)
  return ((self.values[part] or EMPTY)[engine] or EMPTY)[metric]
end

-- The median over the rounds, or nil.
function results:value(part, engine, metric)
  local rounds = self:rounds(part, engine, metric)
  if not rounds then return nil end
  local list = {}
  for _, value in pairs(rounds) do list[#list + 1] = value end
  return #list > 0 and results.median(list) or nil
end

-- The median over the rounds of what `compute` makes of each; it gets a function that gives
-- the value of an engine's metric in the round, and may return nil.
function results:each_round(part, compute)
  local list = {}
  for round = 1, (self.parts[part] or EMPTY).rounds or 0 do
    local value = compute(function(engine, metric)
      local rounds = self:rounds(part, engine, metric)
      return rounds and rounds[round]
    end)
    if value then list[#list + 1] = value end
  end
  return #list > 0 and results.median(list) or nil
end

-- The engines that have a metric in a part, in no order.
function results:engines(part)
  local names = {}
  for name in pairs(self.values[part] or EMPTY) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The points { x, y } of a curve: of the round whose `metric` is the median one.
function results:curve(part, engine, name, metric)
  local rounds = ((self.curves[part] or EMPTY)[engine] or EMPTY)[name]
  if not rounds then return nil end
  local wanted, best = self:value(part, engine, metric), nil
  for round, points in pairs(rounds) do
    local distance = math.abs((self:rounds(part, engine, metric)[round] or 0) - wanted)
    if not best or distance < best.distance then best = { distance = distance, points = points } end
  end
  return best and best.points
end

return results
