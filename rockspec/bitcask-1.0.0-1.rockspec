rockspec_format = "3.0"
package = "bitcask"
version = "1.0.0-1"
source = {
  url = "git+https://github.com/bitcask/bitcask.git",
  tag = "v1.0.0",
}
description = {
  summary = "A crash-safe log-structured key/value store",
  detailed = [[
Bitcask keeps every write in append-only files and one entry per key in memory: a write is
one append, a read at most one disk access. Crashes and power cuts lose nothing that was
promised, merging reclaims space while reads and writes go on, and damage is reported,
never returned. The engine is C11; this is its Lua module.]],
  homepage = "https://github.com/bitcask/bitcask",
  license = "MIT",
  labels = { "database", "kv", "storage" },
}
dependencies = {
  "lua >= 5.4, < 5.5",
}
external_dependencies = {
  XXHASH = { header = "xxhash.h" },
}
build = {
  type = "make",
  build_target = "build/rock/bitcask/core.so",
  build_variables = {
    B = "build/rock",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    XXHASH_INCDIR = "$(XXHASH_INCDIR)",
  },
  install_pass = false,
  install = {
    lib = {
      ["bitcask.core"] = "build/rock/bitcask/core.so",
    },
    lua = {
      ["bitcask.init"] = "lua/bitcask/init.lua",
      ["bitcask.batch"] = "lua/bitcask/batch.lua",
      ["bitcask.asking"] = "lua/bitcask/asking.lua",
      ["bitcask.checks"] = "lua/bitcask/checks.lua",
      ["bitcask.cli.candidates"] = "lua/bitcask/cli/candidates.lua",
      ["bitcask.cli.init"] = "lua/bitcask/cli/init.lua",
      ["bitcask.cli.json"] = "lua/bitcask/cli/json.lua",
      ["bitcask.cli.policy"] = "lua/bitcask/cli/policy.lua",
      ["bitcask.consulting"] = "lua/bitcask/consulting.lua",
      ["bitcask.hash"] = "lua/bitcask/hash.lua",
      ["bitcask.scenario"] = "lua/bitcask/scenario.lua",
      ["bitcask.scenario.examine"] = "lua/bitcask/scenario/examine.lua",
      ["bitcask.scenario.faults"] = "lua/bitcask/scenario/faults.lua",
      ["bitcask.scenario.oracle"] = "lua/bitcask/scenario/oracle.lua",
      ["bitcask.scenario.power"] = "lua/bitcask/scenario/power.lua",
      ["bitcask.scenario.witness"] = "lua/bitcask/scenario/witness.lua",
      ["bitcask.sim"] = "lua/bitcask/sim.lua",
      ["bitcask.job"] = "lua/bitcask/job.lua",
      ["bitcask.lab.accounting"] = "lua/bitcask/lab/accounting.lua",
      ["bitcask.lab.chance"] = "lua/bitcask/lab/chance.lua",
      ["bitcask.lab.expiries"] = "lua/bitcask/lab/expiries.lua",
      ["bitcask.lab.trace"] = "lua/bitcask/lab/trace.lua",
      ["bitcask.lab.workload"] = "lua/bitcask/lab/workload.lua",
      ["bitcask.lab.chart"] = "lua/bitcask/lab/chart.lua",
      ["bitcask.lab.init"] = "lua/bitcask/lab/init.lua",
      ["bitcask.lab.optimum"] = "lua/bitcask/lab/optimum.lua",
      ["bitcask.lab.recorder"] = "lua/bitcask/lab/recorder.lua",
      ["bitcask.lab.report"] = "lua/bitcask/lab/report.lua",
      ["bitcask.lab.scale"] = "lua/bitcask/lab/scale.lua",
      ["bitcask.merging"] = "lua/bitcask/merging.lua",
      ["bitcask.options"] = "lua/bitcask/options.lua",
      ["bitcask.plan"] = "lua/bitcask/plan.lua",
      ["bitcask.policy.init"] = "lua/bitcask/policy/init.lua",
      ["bitcask.policy.any"] = "lua/bitcask/policy/any.lua",
      ["bitcask.policy.cost_benefit"] = "lua/bitcask/policy/cost_benefit.lua",
      ["bitcask.policy.default"] = "lua/bitcask/policy/default.lua",
      ["bitcask.policy.expiry"] = "lua/bitcask/policy/expiry.lua",
      ["bitcask.policy.facts"] = "lua/bitcask/policy/facts.lua",
      ["bitcask.policy.limit"] = "lua/bitcask/policy/limit.lua",
      ["bitcask.policy.never"] = "lua/bitcask/policy/never.lua",
      ["bitcask.policy.settings"] = "lua/bitcask/policy/settings.lua",
      ["bitcask.policy.simulate"] = "lua/bitcask/policy/simulate.lua",
      ["bitcask.policy.size_tiered"] = "lua/bitcask/policy/size_tiered.lua",
      ["bitcask.policy.threshold"] = "lua/bitcask/policy/threshold.lua",
      ["bitcask.policy.window"] = "lua/bitcask/policy/window.lua",
      ["bitcask.snapshot"] = "lua/bitcask/snapshot.lua",
      ["bitcask.store"] = "lua/bitcask/store.lua",
      ["bitcask.transaction"] = "lua/bitcask/transaction.lua",
      ["bitcask.walk"] = "lua/bitcask/walk.lua",
    },
    bin = {
      bitcask = "bin/bitcask",
    },
  },
  copy_directories = { "docs", "examples" },
}
test = {
  type = "command",
  script = "spec/run.lua",
}
