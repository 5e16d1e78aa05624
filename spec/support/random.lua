--- Chance that can be repeated: SEED=n in the environment sets it.

local random = {}

--- Begin a run of chance, and return its seed for messages.
function random.begin(default)
  local seed = math.tointeger(tonumber(os.getenv "SEED" or default or os.time()))
  math.randomseed(seed)
  return seed
end

--- How much to do: EFFORT=n multiplies the steps of the long specs; fractions do less.
function random.effort(steps)
  return math.max(1, math.floor(steps * tonumber(os.getenv "EFFORT" or 1)))
end

function random.pick(list)
  return list[math.random(#list)]
end

--- Any bytes, of a length up to `most`.
function random.bytes(most)
  local bytes = {}
  for i = 1, math.random(0, most) do
    bytes[i] = string.char(math.random(0, 255))
  end
  return table.concat(bytes)
end

--- A list in another order.
function random.shuffled(list)
  local copy = table.move(list, 1, #list, 1, {})
  for i = #copy, 2, -1 do
    local j = math.random(i)
    copy[i], copy[j] = copy[j], copy[i]
  end
  return copy
end

--- Some of a list, in its order.
function random.some(list)
  local some = {}
  for _, element in ipairs(list) do
    if math.random() < 0.5 then some[#some + 1] = element end
  end
  return some
end

return random
