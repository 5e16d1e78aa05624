--- The policies that are shipped, small enough to have something to do in stores of a few
-- kilobytes, by name.

local policy = require("bitcask").policy

return {
  default = policy.default(),
  threshold = policy.threshold { trigger_dead_bytes = 4096, dead_bytes = 1024, small_file = 512 },
  ["threshold by per cent"] = policy.threshold(),
  size_tiered = policy.size_tiered(),
  cost_benefit = policy.cost_benefit(),
  expiry = policy.expiry { share = 0.5 },
  any = policy.any(policy.expiry(), policy.size_tiered(), policy.default()),
  limit = policy.limit(policy.default(), { bytes = 20000 }),
  window = policy.window(policy.default(), "00:00-12:00,12:00-00:00"),
  never = policy.never(),
}
