--- What is there for every spec: stores merge by themselves only where they are given a policy, so
-- that a spec can tell which segments there are. What the default does, spec/policy and
-- spec/api/policies_spec.lua tell.

require "bitcask" -- which puts the default there
require "bitcask.options".open.policy.default = false
