--- The default policy beside Basho's defaults and the least that cleaning costs, in simulations.
--
--   lua5.4 bench/policies.lua [KEYS [WRITES]]        prints the tables of docs/policies.md
--
-- Each run fills a store with KEYS (30,000) keys of 16 bytes, values of 100, and writes over them
-- WRITES (300,000) times; the figures are of the second half.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/../lua/?.lua;%s/../lua/?/init.lua;"):format(here, here) .. package.path
package.cpath = ("%s/../build/?.so;"):format(here) .. package.cpath

local optimum = require "bitcask.lab.optimum"
local policy = require "bitcask.policy"

local keys = math.tointeger(tonumber(arg[1] or 30000))
local writes = math.tointeger(tonumber(arg[2] or 300000))

local segments = 64 -- that the live data fill

local function workload(kind)
  return {
    kind = kind, keys = keys, writes = writes, warmup = writes // 2,
    segment_size = keys * 144 // segments,
  }
end

local function least(kind, space)
  if kind == "uniform" then return optimum.even(1 / space) end
  return optimum.grouped(optimum.zipf(keys, 0.99), 1 / space)
end

local function show(kind, name, decide)
  local report = assert(policy.simulate(decide, workload(kind)))
  local mean = report.mean_space_amplification
  print(("| %s | %.2f | %.2f | %.2f | %.2f |"):format(name, report.write_amplification, mean,
    report.space_amplification, least(kind, mean)))
  io.stdout:flush()
  return report
end

-- The default policy stays half a segment below its bound in the mean.
local function show_rival(kind, name, decide)
  local rival = show(kind, name, decide)
  local space = rival.mean_space_amplification + 0.5 / segments
  show(kind, ("— default, the same mean space: `space = %.3f`"):format(space),
    policy.default { space = space })
end

-- Begins and ends a hundredth around the utilisation.
local function cost_benefit(utilisation)
  return policy.cost_benefit { start = 1 - utilisation + 0.01, stop = 1 - utilisation - 0.01 }
end

for _, kind in ipairs { "uniform", "zipf" } do
  print(("\n### %s overwrites\n"):format(kind))
  print "| policy | write amplification | space, mean | space, most | least at that mean space |"
  print "|---|---|---|---|---|"
  show(kind, "**default**", policy.default())
  show(kind, "default, 50 % utilisation: `space = 2`", policy.default { space = 2 })
  show(kind, "default, 70 % utilisation: `space = 1 / 0.7`", policy.default { space = 1 / 0.7 })
  show(kind, "cost_benefit, 50 % utilisation", cost_benefit(0.5))
  show(kind, "cost_benefit, 70 % utilisation", cost_benefit(0.7))
  show_rival(kind, "threshold, Basho's defaults, byte counts scaled from 2 GiB files",
    policy.threshold { file_size = 2 ^ 31 })
  show_rival(kind, "threshold, Basho's per cents alone", policy.threshold {
    trigger_dead_bytes = math.huge, dead_bytes = math.huge, small_file = 0,
  })
  show_rival(kind, "threshold, Basho's defaults as they are (every segment is small)",
    policy.threshold())
end
