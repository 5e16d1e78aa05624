--- The options of policies and workloads: checked, and filled in with their defaults.
--
-- An option is `{default =, unit =, check =, sentence =}` as in bitcask.options; here are the
-- checks that policies need.

local options = require "bitcask.options"

local settings = {}

local function is_number(value)
  return type(value) == "number" and value == value
end

--- A share of something, from 0 to 1.
function settings.share(value)
  if is_number(value) and value >= 0 and value <= 1 then return value end
  return nil, "a share from 0 to 1"
end

--- Per cent, from 0 to 100.
function settings.percent(value)
  if is_number(value) and value >= 0 and value <= 100 then return value end
  return nil, "per cent, from 0 to 100"
end

--- A number from `least` on; math.huge is fine.
function settings.from(least)
  local wanted = ("a number from %g"):format(least)
  return function(value)
    if is_number(value) and value >= least then return value end
    return nil, wanted
  end
end

--- A number above `least`.
function settings.above(least)
  local wanted = ("a number above %g"):format(least)
  return function(value)
    if is_number(value) and value > least then return value end
    return nil, wanted
  end
end

--- An integer from `least` on. A float with an integer's value is that integer.
function settings.count(least)
  local wanted = ("an integer from %d"):format(least)
  return function(value)
    local integer = is_number(value) and math.tointeger(value)
    if integer and integer >= least then return integer end
    return nil, wanted
  end
end

--- A function, or something that can be called like one.
function settings.policy(value)
  local metatable = type(value) == "table" and getmetatable(value)
  local is_callable = type(metatable) == "table" and metatable.__call ~= nil
  if type(value) == "function" or is_callable then return value end
  return nil, "a policy: a function from the description of a store to a plan"
end

--- Check what was given, and fill in the rest.
---@param set table<string, table> options
---@param given? table
---@param level integer whose mistake it is, as for error
---@return table values of every option in the set. Raises where one is unknown or wrong.
function settings.read(set, given, level)
  local values = options.check(set, given, level + 1)
  for name, option in pairs(set) do
    if values[name] == nil then values[name] = option.default end
  end
  return values
end

return settings
