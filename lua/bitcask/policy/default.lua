--- The policy of a store that names none: holds the disk to a multiple of the live data, at
-- the least copying.
--
--   1. What holds nothing live is dropped at once: it costs nothing.
--   2. When the store takes more than `space` bytes for each live one, segments are merged until
--      it does not; those first that give most for what they cost (below). Never those of which
--      less than `least` is dead, so it rests where the space is taken by what nobody can drop.
--   3. Small segments, left by seals, restarts and merges, are joined when there are `small` of
--      about the same size.
--   4. Where the live data fill only a few segments, the active one is sealed sooner than usual: in
--      small segments a store is merged bit by bit, and so with little room and little copying.
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

-- While a merge works, its inputs and its outputs take space. So it copies this share of the live
-- data at most, and segments are no larger than that: a larger one could not be merged so. But they
-- do not become smaller than this share of the usual size, or this, bytes; and a merge does not
-- copy more than so many segments. Joining is for segments that are small beside a smaller part, so
-- that what only grows is not joined again and again as the fitting size grows with it.
local part_of_live <const>, part_of_segment <const> = 16, 16
local least_segment <const> = 1 << 20
local batch_segments <const> = 4
local part_to_join <const> = 64

-- So large a part of the live data as a segment, within the bounds.
local function part_of(live_bytes, parts, segment_size)
  local least = math.max(least_segment, segment_size // part_of_segment)
  return math.min(segment_size, math.max(least, live_bytes // parts))
end

local function most_copied(live_bytes, size)
  return math.min(batch_segments * size, math.max(size, live_bytes // part_of_live))
end

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

-- The chosen ones as merges that copy `most` bytes each, of segments of about the same age.
local function add_batches(plan, chosen, most)
  table.sort(chosen, function(a, b) return a.max_version < b.max_version end)
  local batch, copied = {}, 0
  for _, segment in ipairs(chosen) do
    copied = copied + expected_copy(segment)
    if #batch > 0 and copied > most then
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
    local live, full = store.live_bytes, facts.segment_size(store)
    local size = part_of(live, part_of_live, full)
    local empty, others = part(facts.candidates(store))
    local plan, reasons = {}, {}
    if #empty > 0 then
      plan[1], reasons[1] = facts.ids(empty), "nothing in them"
    end
    local excess = store.bytes - facts.sum(empty, "bytes") - values.space * live
    local chosen = {}
    if excess > 0 then
      excess = excess + headroom(values.space, live, size)
      chosen = choose(others, excess, values.least, facts.newest_version(store))
    end
    if #chosen > 0 then reasons[#reasons + 1] = "space" end
    add_batches(plan, chosen, most_copied(live, size))
    local rest, joined = without(others, chosen), part_of(live, part_to_join, full)
    for _, group in ipairs(size_tiered.groups(rest, values.small, tier_ratio, joined)) do
      plan[#plan + 1] = facts.ids(group)
      reasons[#reasons + 1] = "small segments"
    end
    if size < full and store.active then plan.seal = size end
    if #plan > 0 then plan.reason = table.concat(reasons, ", ") end
    return next(plan) and plan or nil
  end
end

return default
