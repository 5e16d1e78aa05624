--- The policy of a store that names none: holds the disk to a multiple of the live data, at
-- the least copying.
--
--   1. What holds nothing live is dropped at once: it costs nothing.
--   2. When the store takes more than `space` bytes for each live one, segments are merged until
--      it does not; those first that give most for what they cost (below). Never those of which
--      less than `least` is dead, so it rests where the space is taken by what nobody can drop.
--   3. Small segments, left by seals, restarts and merges, are joined when there are `small` of
--      about the same size.
--
-- Cleaning a segment of which the share u is live costs u for each 1 - u that it frees, and what is
-- copied too early is copied again. The segments come in the order of
--
--     (1 - u) / u * sqrt(age)
--
-- where age is counted in writes since the segment's newest record: what was not written over for
-- long will not be soon. The square root is a middle way. Without the age the emptiest come
-- first, which is best for even writes and bad for skewed ones; with all of it, as in cost_benefit,
-- even writes cost more. In simulations it was within a hundredth of the best for both.
-- A merge keeps records of one age together, so hot and cold come apart by themselves.
--
-- Good at: everything that is written over, evenly or not, without being told which. Costs: about
-- 1 / (1 - u) bytes written for each byte a user writes; docs/policies.md has the figures.

local facts = require "bitcask.policy.facts"
local settings = require "bitcask.policy.settings"
local size_tiered = require "bitcask.policy.size_tiered"

local default = { name = "default", sentence = "holds the disk to a multiple of the live data" }

default.options = {
  space = {
    default = 1.5, unit = "bytes per live byte", check = settings.above(1),
    sentence = "how many bytes the store may take for each live one",
  },
  least = {
    default = 0.1, check = settings.share,
    sentence = "leave a segment alone as long as less than this share of it is dead",
  },
  small = {
    default = 8, unit = "segments", check = settings.count(3),
    sentence = "join small segments when there are so many of about the same size",
  },
}

-- Small segments are of the same size if none is more than so many times as large.
local tier_ratio = 4

-- A merge copies about so many segments at most, so that it does not need much room itself.
local batch_segments = 4

-- What a merge would copy of a segment. Of its tombstones nobody knows before; that half of
-- them has to stay is a guess that is right at last, since what stays is no longer counted dead.
local function expected_copy(segment)
  local doubtful = math.min(segment.tombstone_bytes or 0, segment.dead_bytes)
  return facts.kept_bytes(segment) + doubtful / 2
end

local function score(segment, newest)
  local used = math.max(expected_copy(segment) / segment.bytes, 1e-6)
  return (1 - used) / used * (newest - segment.max_version + 1) ^ 0.5
end

local function sort_by_score(segments, newest)
  local scores = {}
  for _, segment in ipairs(segments) do
    scores[segment] = score(segment, newest)
  end
  table.sort(segments, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] > scores[b] end
    return a.id < b.id
  end)
end

-- Segments that hold nothing that would have to be copied, and the others.
local function part(segments)
  local empty, others = {}, {}
  for _, segment in ipairs(segments) do
    local is_empty = segment.dead_bytes > 0 and segment.dead_bytes == segment.bytes and
      (segment.tombstones or 0) == 0
    table.insert(is_empty and empty or others, segment)
  end
  return empty, others
end

-- The best of those of which enough is dead, until `excess` bytes are freed.
local function choose(segments, excess, least, newest)
  local worth, chosen = {}, {}
  for _, segment in ipairs(segments) do
    local freed = segment.bytes - expected_copy(segment)
    if freed > 0 and freed >= least * segment.bytes then worth[#worth + 1] = segment end
  end
  sort_by_score(worth, newest)
  for _, segment in ipairs(worth) do
    if excess <= 0 then break end
    chosen[#chosen + 1] = segment
    excess = excess - (segment.bytes - expected_copy(segment))
  end
  return chosen
end

-- How much more than the excess is freed: about a segment, so that the next merge is some way off
-- and what it writes is no splinter; in a small store less, to leave it most of its space.
local function headroom(space, live_bytes, segment_size)
  return math.min(segment_size, (space - 1) * live_bytes / 5)
end

-- The chosen ones as merges of bounded size, each of segments of about the same age.
local function add_batches(plan, chosen, segment_size)
  table.sort(chosen, function(a, b) return a.max_version < b.max_version end)
  local batch, copied = {}, 0
  for _, segment in ipairs(chosen) do
    copied = copied + expected_copy(segment)
    if #batch > 0 and copied > batch_segments * segment_size then
      plan[#plan + 1] = batch
      batch, copied = {}, expected_copy(segment)
    end
    batch[#batch + 1] = segment.id
  end
  if #batch > 0 then plan[#plan + 1] = batch end
end

local function without(segments, chosen)
  local is_chosen, rest = {}, {}
  for _, segment in ipairs(chosen) do
    is_chosen[segment] = true
  end
  for _, segment in ipairs(segments) do
    if not is_chosen[segment] then rest[#rest + 1] = segment end
  end
  return rest
end

--- Make the policy.
---@param values table values of the options
---@return fun(store: table): table|nil policy
function default.new(values)
  return function(store)
    local size = facts.segment_size(store)
    local empty, others = part(facts.candidates(store))
    local plan, reasons = {}, {}
    if #empty > 0 then
      plan[1], reasons[1] = facts.ids(empty), "nothing in them"
    end
    local excess = store.bytes - facts.sum(empty, "bytes") - values.space * store.live_bytes
    local chosen = {}
    if excess > 0 then
      excess = excess + headroom(values.space, store.live_bytes, size)
      chosen = choose(others, excess, values.least, facts.newest_version(store))
    end
    if #chosen > 0 then reasons[#reasons + 1] = "space" end
    add_batches(plan, chosen, size)
    local rest = without(others, chosen)
    for _, group in ipairs(size_tiered.groups(rest, values.small, tier_ratio, size)) do
      plan[#plan + 1] = facts.ids(group)
      reasons[#reasons + 1] = "small segments"
    end
    if #plan == 0 then return nil end
    plan.reason = table.concat(reasons, ", ")
    return plan
  end
end

return default
