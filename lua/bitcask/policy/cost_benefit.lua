--- Segments by benefit and cost, as log-structured file systems clean them: Rosenblum and
-- Ousterhout, "The design and implementation of a log-structured file system", 1992.
--
-- Cleaning a segment of which the share u is live reads all of it and writes u again, which
-- costs 1 + u; it frees 1 - u, for the longer, the older the segment is: what has not been
-- written over for long will not be soon. So the segments with the highest
--
--     benefit / cost = (1 - u) * age / (1 + u)
--
-- come first. Age is counted in writes since the newest record of the segment, not in seconds:
-- a store that rests does not age. A merge begins when the share `start` of the sealed
-- bytes is dead, and takes segments until it is `stop`.
--
-- Good at: skewed writes, where cold segments are cleaned while still fairly full and hot ones are
-- left to die. Costs: on even writes a little more than taking the emptiest first.

local facts = require "bitcask.policy.facts"
local settings = require "bitcask.policy.settings"

local cost_benefit = {
  name = "cost_benefit",
  sentence = "segments by benefit and cost, as log-structured file systems do",
}

cost_benefit.options = {
  start = {
    default = 0.40, check = settings.share,
    sentence = "begin when this share of the sealed bytes is dead",
  },
  stop = {
    default = 0.35, check = settings.share,
    sentence = "take segments until this share is dead",
  },
  least = {
    default = 0.05, check = settings.share,
    sentence = "leave a segment alone as long as less than this share of it is dead",
  },
}

--- (1 - u) * age / (1 + u) of a segment, where u is the share that would be copied.
---@param segment table
---@param newest integer the store's newest version
---@return number ratio
function cost_benefit.ratio(segment, newest)
  local used = facts.kept_bytes(segment) / segment.bytes
  return (1 - used) * (newest - segment.max_version + 1) / (1 + used)
end

local function by_ratio(segments, newest)
  local ratio = {}
  for _, segment in ipairs(segments) do
    ratio[segment] = cost_benefit.ratio(segment, newest)
  end
  table.sort(segments, function(a, b)
    if ratio[a] ~= ratio[b] then return ratio[a] > ratio[b] end
    return a.id < b.id
  end)
end

--- Make the policy.
---@param values table values of the options
---@return fun(store: table): table|nil policy
function cost_benefit.new(values)
  local function worth_it(store)
    local worth = {}
    for _, segment in ipairs(facts.candidates(store)) do
      local is_worth = segment.dead_bytes > 0 and
        segment.dead_bytes >= values.least * segment.bytes
      if is_worth then worth[#worth + 1] = segment end
    end
    return worth
  end

  return function(store)
    local bytes = facts.sum(store.segments, "bytes")
    local dead = facts.sum(store.segments, "dead_bytes")
    if dead <= 0 or dead < values.start * bytes then return nil end
    local worth, chosen = worth_it(store), {}
    by_ratio(worth, facts.newest_version(store))
    for _, segment in ipairs(worth) do
      if #chosen > 0 and dead <= values.stop * bytes then break end
      chosen[#chosen + 1] = segment
      dead, bytes = dead - segment.dead_bytes, bytes - segment.dead_bytes
    end
    if #chosen == 0 then return nil end
    return { facts.ids(chosen), reason = "benefit and cost" }
  end
end

return cost_benefit
