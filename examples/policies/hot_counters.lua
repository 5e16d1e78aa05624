--- A table of counters: few keys, written over all the time. A policy from nothing.
--
-- All keys together fill less than a segment or two; what is in the older segments is dead but for
-- a handful of counters that were not touched lately. So the oldest segment is always the
-- cheapest to be rid of, and nothing has to be sorted or weighed: when there are more than
-- a few, merge the oldest ones. The disk never holds much more than those few.

local few = 6

local function oldest_first(store)
  local excess = #store.segments - few
  if excess < 2 then return nil end
  local plan = { reason = "more than a few segments" }
  for i = 1, excess do
    local segment = store.segments[i]
    -- What holds nothing dead would come back as it is.
    if segment.dead_bytes > 0 then plan[#plan + 1] = segment.id end
  end
  return plan
end

return {
  hot_counters = oldest_first,
  workload = { kind = "zipf", keys = 300, writes = 30000, value_size = 8, warmup = 10000,
    segment_size = 16384 },
}
