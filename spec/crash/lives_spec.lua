-- See spec/crash/explore.lua.

local explore = require "spec.crash.explore"

explore.chapters({ describe = describe, it = it, teardown = teardown }, "manifest", "policies", "disks")
