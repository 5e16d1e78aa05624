--- An event log: events are added, hardly ever changed, and kept for a time.
--
-- The oldest segments expire as a whole. In between there is nothing to gain, and what is there to
-- do may wait for the night: joining the small segments that restarts leave behind.

local policy = require("bitcask").policy

return {
  event_log = policy.any(
    policy.expiry { grace = 60 },
    policy.window(policy.limit(policy.size_tiered { least = 8 }, { rate = 20 * 2 ^ 20 }),
      "01:00-05:00")),

  -- Events of five minutes' time to live, one write in a hundred to one of the past.
  workload = { kind = "series", keys = 5000, writes = 30000, overwrites = 0.01, warmup = 10000,
    value_size = 200, rate = 50, ttl = 300 },
}
