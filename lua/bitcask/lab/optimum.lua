--- What cleaning costs at least, by arithmetic. docs/policies.md derives it.
--
-- Overwrites that are spread evenly leave of a segment the share exp(-t) live after the time t.
-- Where every segment is cleaned when the share u is left, the utilisation of the disk (live bytes
-- for each byte on it) and the bytes written for each byte of a user are
--
--     utilisation = (1 - u) / ln(1 / u)         write amplification = 1 / (1 - u)
--
-- For even writes no order of cleaning does better, given large segments. For writes of which some
-- keys get more, the least is reached when keys that are written equally often share segments,
-- and each such group has as much room as makes the whole cheapest.

local optimum = {}

-- The x between two bounds at which a falling function becomes `wanted`.
local function solve(falling, wanted, low, high)
  for _ = 1, 100 do
    local middle = (low + high) / 2
    if falling(middle) > wanted then low = middle else high = middle end
  end
  return (low + high) / 2
end

-- Bytes on disk for each live one, of segments cleaned at u.
local function space(u)
  return -math.log(u) / (1 - u)
end

local least, most = 1e-12, 1 - 1e-7

--- Even overwrites.
---@param utilisation number live bytes for each byte on disk, between 0 and 1
---@return number write_amplification
function optimum.even(utilisation)
  return 1 / (1 - solve(space, 1 / utilisation, least, most))
end

-- The share that is live when it is cleaned, where a byte more of room saves `saving`, for a group
-- whose keys get `heat` times their share of the writes.
local function share_left(heat, saving)
  local function gain(u) return (1 - u) / u + math.log(u) end
  return solve(gain, heat / saving, least, most)
end

--- Overwrites of groups of keys, each written evenly.
---@param groups table[] each `keys` and `writes`: its shares of all
---@param utilisation number
---@return number write_amplification
function optimum.grouped(groups, utilisation)
  local function total_space(saving)
    local sum = 0
    for _, group in ipairs(groups) do
      sum = sum + group.keys * space(share_left(group.writes / group.keys, saving))
    end
    return sum
  end
  -- The more a byte of room has to save, the less room pays.
  local saving = math.exp(solve(function(x) return total_space(math.exp(x)) end,
    1 / utilisation, -40, 40))
  local sum = 0
  for _, group in ipairs(groups) do
    sum = sum + group.writes / (1 - share_left(group.writes / group.keys, saving))
  end
  return sum
end

--- The groups of zipfian writes: the k-th of n keys in proportion to 1 / k^theta.
---@param n integer
---@param theta number
---@return table[] groups
function optimum.zipf(n, theta)
  local groups, total, first = {}, 0, 1
  while first <= n do
    local last = math.min(n, math.max(first, first * 5 // 4))
    local writes = 0
    for k = first, last do writes = writes + 1 / k ^ theta end
    groups[#groups + 1] = { keys = (last - first + 1) / n, writes = writes }
    total, first = total + writes, last + 1
  end
  for _, group in ipairs(groups) do group.writes = group.writes / total end
  return groups
end

return optimum
