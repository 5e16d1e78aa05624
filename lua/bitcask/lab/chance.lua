--- Chance that can be repeated: generators of their own, so that nothing else disturbs them.

local chance = {}

--- Integers from 1 to n, evenly. xorshift64* (Vigna, "An experimental exploration of Marsaglia's
-- xorshift generators, scrambled", 2016).
---@param seed integer
---@return fun(n: integer): integer
function chance.even(seed)
  local state = (seed * 0x9E3779B97F4A7C15) ~ 0x2545F4914F6CDD1D
  if state == 0 then state = 1 end
  return function(n)
    state = state ~ state >> 12
    state = state ~ state << 25
    state = state ~ state >> 27
    return ((state * 0x2545F4914F6CDD1D) >> 33) % n + 1
  end
end

-- A number that has no divisor in common with n, so that multiplying by it permutes.
local function multiplier(n)
  local function common_divisor(a, b)
    while b ~= 0 do a, b = b, a % b end
    return a
  end
  local factor = math.max(1, n * 0.6180339887 // 1 | 0)
  while common_divisor(factor, n) ~= 1 do factor = factor + 1 end
  return factor
end

--- Integers from 1 to n, the k-th most frequent of them in proportion to 1 / k^theta. The frequent
-- ones are strewn over the range. Gray and others, "Quickly generating billion-record synthetic
-- databases", 1994, as YCSB uses it.
---@param seed integer
---@param n integer
---@param theta number from 0 (even) to below 1
---@return fun(): integer
function chance.zipf(seed, n, theta)
  local even, resolution = chance.even(seed), 1 << 30
  local zeta = 0
  for i = 1, n do
    zeta = zeta + 1 / i ^ theta
  end
  local second = 1 + 0.5 ^ theta
  local alpha = 1 / (1 - theta)
  local eta = (1 - (2 / n) ^ (1 - theta)) / (1 - second / zeta)
  local factor = multiplier(n)
  return function()
    local u = (even(resolution) - 1) / resolution
    local rank
    if u * zeta < 1 then
      rank = 0
    elseif u * zeta < second then
      rank = math.min(1, n - 1)
    else
      rank = math.min(n - 1, n * (eta * u - eta + 1) ^ alpha // 1 | 0)
    end
    return rank * factor % n + 1
  end
end

return chance
