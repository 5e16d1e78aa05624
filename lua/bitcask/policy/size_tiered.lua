--- Segments of about the same size are merged with each other, as soon as there are a few.
--
-- Sizes fall into tiers, each `ratio` times as large as the one before. When a tier has `least`
-- segments, all of it is merged into one of the next tier, so a record is copied about once per
-- tier, whatever else happens. Full segments cannot grow any more: they are merged when `dead`
-- of all their bytes is dead.
--
-- Good at: many small segments (frequent seals, restarts, short-lived processes) and data that is
-- hardly ever written over. Costs: twice the disk and more while things are overwritten, since
-- it looks at sizes first; default() is better there.

local facts = require "bitcask.policy.facts"
local settings = require "bitcask.policy.settings"

local size_tiered = { name = "size_tiered", sentence = "segments of similar size together" }

size_tiered.options = {
  least = {
    default = 4, unit = "segments", check = settings.count(2),
    sentence = "merge when so many are of about the same size",
  },
  ratio = {
    default = 4, check = settings.above(1),
    sentence = "how many times as large the segments of the next tier are",
  },
  dead = {
    default = 0.4, check = settings.above(0),
    sentence = "merge full segments when this share of their bytes is dead",
  },
}

--- The segments of each tier, by the number of the tier.
---@param segments table[]
---@param ratio number
---@return table<integer, table[]> tiers
function size_tiered.tiers(segments, ratio)
  local tiers = {}
  for _, segment in ipairs(segments) do
    local tier = math.floor(math.log(math.max(1, segment.bytes), ratio))
    tiers[tier] = tiers[tier] or {}
    table.insert(tiers[tier], segment)
  end
  return tiers
end

--- The groups of small segments that are worth a merge: a tier that has `least`, of
-- which a merge is sure to leave fewer.
---@param segments table[]
---@param least integer
---@param ratio number
---@param segment_size integer
---@return table[][] groups smallest first
function size_tiered.groups(segments, least, ratio, segment_size)
  local small, groups, tier_of = {}, {}, {}
  for _, segment in ipairs(segments) do
    if ratio * segment.bytes <= segment_size then small[#small + 1] = segment end
  end
  for tier, members in pairs(size_tiered.tiers(small, ratio)) do
    if #members >= least and facts.become_fewer(members, segment_size) then
      groups[#groups + 1], tier_of[members] = members, tier
    end
  end
  table.sort(groups, function(a, b) return tier_of[a] < tier_of[b] end)
  return groups
end

-- The fuller segments of which enough is dead, all together.
local function worn_out(segments, values, segment_size)
  local large = {}
  for _, segment in ipairs(segments) do
    local is_large = values.ratio * segment.bytes > segment_size
    if is_large and segment.dead_bytes > 0 then large[#large + 1] = segment end
  end
  table.sort(large, function(a, b) return a.dead_bytes / a.bytes > b.dead_bytes / b.bytes end)
  local dead, bytes, chosen = 0, 0, {}
  for _, segment in ipairs(large) do
    dead, bytes = dead + segment.dead_bytes, bytes + segment.bytes
    if dead < values.dead * bytes then break end
    chosen[#chosen + 1] = segment
  end
  return #chosen >= values.least and chosen or nil
end

--- Make the policy.
---@param values table values of the options
---@return fun(store: table): table|nil policy
function size_tiered.new(values)
  return function(store)
    local segments, size = facts.candidates(store), facts.segment_size(store)
    local plan = { reason = "similar sizes" }
    for _, group in ipairs(size_tiered.groups(segments, values.least, values.ratio, size)) do
      plan[#plan + 1] = facts.ids(group)
    end
    local worn = worn_out(segments, values, size)
    if worn then plan[#plan + 1] = facts.ids(worn) end
    return #plan > 0 and plan or nil
  end
end

return size_tiered
