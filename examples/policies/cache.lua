--- A cache: keys live for a while, and nobody minds some space.
--
-- Entries die by themselves. Whoever copies one to save space has often copied it for nothing, so
-- the disk may grow to two and a half times the live data; segments in which everything has
-- expired are dropped, which copies nothing. The bound is for days on which keys are written over
-- much faster than they expire.

local policy = require("bitcask").policy

return {
  cache = policy.any(policy.expiry(), policy.default { space = 2.5 }),

  -- What to judge it by: entries of 10 seconds, written at random.
  workload = { kind = "expiring", keys = 5000, writes = 30000, value_size = { 50, 400 },
    rate = 1000, ttl = 10, warmup = 10000 },
}
