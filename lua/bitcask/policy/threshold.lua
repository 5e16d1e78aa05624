--- Basho's triggers and thresholds, with their meaning and their defaults.
--
-- A merge begins when some segment reaches a trigger: so many per cent of its records dead, or
-- so many dead bytes. It then takes every segment that reaches a threshold, the lower bar of the
-- same kind, and every small one. A segment reaches what it is equal to.
--
-- Good at: behaving as the operators of a Basho store expect it to. Costs: the disk fills until a
-- trigger is reached, and then much is merged at once; a segment's age plays no part, so what is
-- never written over is copied again and again beside what is. The byte counts are for files of
-- 2 GiB, as Basho's are; `file_size = 2^31` scales them to the segment size of the store.

local facts = require "bitcask.policy.facts"
local settings = require "bitcask.policy.settings"

local mebibyte = 1 << 20

local threshold = { name = "threshold", sentence = "Basho's triggers and thresholds" }

threshold.options = {
  trigger_fragmentation = {
    default = 60, unit = "per cent", check = settings.percent,
    sentence = "merge when so many of a segment's records are dead",
  },
  trigger_dead_bytes = {
    default = 512 * mebibyte, unit = "bytes", check = settings.from(0),
    sentence = "merge when a segment has so many dead bytes",
  },
  fragmentation = {
    default = 40, unit = "per cent", check = settings.percent,
    sentence = "then take the segments of whose records so many are dead",
  },
  dead_bytes = {
    default = 128 * mebibyte, unit = "bytes", check = settings.from(0),
    sentence = "and those with so many dead bytes",
  },
  small_file = {
    default = 10 * mebibyte, unit = "bytes", check = settings.from(0),
    sentence = "and those smaller than this",
  },
  file_size = {
    unit = "bytes", check = settings.above(0),
    sentence = "scale the byte counts from files of this size to the store's segments",
  },
}

--- Per cent of a segment's records that are dead, rounded down, as Basho's Bitcask counts it.
---@param segment table
---@return integer per_cent
function threshold.fragmentation_of(segment)
  if segment.records == 0 then return 0 end
  return math.floor(100 * (segment.records - segment.live_records) / segment.records)
end

-- Tombstones that are still needed count as dead records, but merging would not free them.
local function reaches(segment, fragmentation, dead_bytes)
  if segment.dead_bytes <= 0 then return false end
  return threshold.fragmentation_of(segment) >= fragmentation or segment.dead_bytes >= dead_bytes
end

--- Make the policy.
---@param bars table values of the options
---@return fun(store: table): table|nil policy
function threshold.new(bars)
  local function triggers(segment, factor)
    return reaches(segment, bars.trigger_fragmentation, factor * bars.trigger_dead_bytes)
  end

  local function is_taken(segment, factor)
    return segment.bytes < factor * bars.small_file or triggers(segment, factor) or
      reaches(segment, bars.fragmentation, factor * bars.dead_bytes)
  end

  return function(store)
    local factor = bars.file_size and facts.segment_size(store) / bars.file_size or 1
    local is_triggered, taken = false, {}
    for _, segment in ipairs(facts.candidates(store)) do
      is_triggered = is_triggered or triggers(segment, factor)
      if is_taken(segment, factor) then taken[#taken + 1] = segment end
    end
    if not is_triggered then return nil end
    return { facts.ids(taken), reason = "a trigger was reached" }
  end
end

return threshold
