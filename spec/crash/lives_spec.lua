-- See spec/crash/explore.lua.

local explore = require "spec.crash.explore"

local busted = { describe = describe, it = it, teardown = teardown }

explore.chapters(busted, "manifest", "checkpoints", "policies", "disks")
