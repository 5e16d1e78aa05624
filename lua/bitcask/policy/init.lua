--- Merge policies: what to merge, and when.
--
-- A policy is a function from the description of a store, as db:segments() returns it, to a
-- plan: the ids of the segments of one merge, or a list of such lists, with `rate` (bytes per
-- second), `reason` (text) and `seal` (bytes at which the active segment is sealed from now on, if
-- that is less than segment_size) beside them if it likes; nil or {}: there is nothing to do now.
-- It decides and does nothing else, so it can be tried on a table, and simulated.
--
-- docs/policies.md tells how to write one, and what those here are good at.

local options = require "bitcask.options"
local settings = require "bitcask.policy.settings"
local simulate = require "bitcask.policy.simulate"

local policy = {}

local kinds = {
  default = require "bitcask.policy.default",
  threshold = require "bitcask.policy.threshold",
  size_tiered = require "bitcask.policy.size_tiered",
  cost_benefit = require "bitcask.policy.cost_benefit",
  expiry = require "bitcask.policy.expiry",
  never = require "bitcask.policy.never",
}

local any = require "bitcask.policy.any"
local limit = require "bitcask.policy.limit"
local window = require "bitcask.policy.window"

local function construct(name, opts, level)
  local kind = kinds[name]
  return kind.new(settings.read(kind.options, opts, level + 1))
end

--- The policy of a store that names none: holds the disk to `space` bytes for each live one, at
-- the least copying; drops what holds nothing live; joins small segments.
---@param opts? table `space` (1.5), `least` (0.1: share of a segment that has to be dead),
--- `small` (8 segments of similar size are joined)
---@return function policy
function policy.default(opts) return (construct("default", opts, 2)) end

--- Basho's triggers and thresholds, same meaning, same defaults.
---@param opts? table `trigger_fragmentation` (60 per cent of a segment's records), and
--- `trigger_dead_bytes` (512 MiB): a merge begins; `fragmentation` (40 per cent), `dead_bytes`
--- (128 MiB), `small_file` (10 MiB): what it takes; `file_size`: scale the byte counts from files
--- of this size, 2^31 for Basho's, to the store's segments
---@return function policy
function policy.threshold(opts) return (construct("threshold", opts, 2)) end

--- Segments of similar size are merged with each other when there are `least` of them.
---@param opts? table `least` (4), `ratio` (4: size of the next tier), `dead` (0.4: share of full
--- segments that has to be dead)
---@return function policy
function policy.size_tiered(opts) return (construct("size_tiered", opts, 2)) end

--- Segments by (1 - u) * age / (1 + u), the benefit and cost of Rosenblum and Ousterhout.
---@param opts? table `start` (0.40: share of sealed bytes that is dead), `stop` (0.35), `least`
--- (0.05: share of a segment)
---@return function policy
function policy.cost_benefit(opts) return (construct("cost_benefit", opts, 2)) end

--- Drop segments in which everything has expired.
---@param opts? table `grace` (0 seconds after the last expiry in it), `share` (1: all of it)
---@return function policy
function policy.expiry(opts) return (construct("expiry", opts, 2)) end

--- Never merge by itself.
---@return function policy
function policy.never(opts) return (construct("never", opts, 2)) end

local function check_policy(value, which, level)
  local checked, wanted = settings.policy(value)
  if not checked then
    error(("%s is a %s; it should be %s"):format(which, type(value), wanted), level + 1)
  end
  return checked
end

--- What any of several policies wants. Of two that want the same segment the first has it.
---@param ... function policies, at least one
---@return function policy
function policy.any(...)
  local policies = table.pack(...)
  if policies.n == 0 then error("any() needs a policy", 2) end
  for i = 1, policies.n do
    check_policy(policies[i], ("argument %d of any()"):format(i), 2)
  end
  return any.new(policies)
end

--- A policy at some hours of the day only, local time.
---@param inner function a policy
---@param hours string like "22:00-06:00"; several are parted by commas
---@return function policy
function policy.window(inner, hours)
  check_policy(inner, "argument 1 of window()", 2)
  local spans, wanted = window.parse(hours)
  if not spans then
    error(("the hours of window() are %s; they should be %s"):format(tostring(hours), wanted), 2)
  end
  return window.new(inner, spans)
end

--- A policy, held to merging so much each time, or to so many bytes a second.
---@param inner function a policy
---@param opts table `bytes` (of the segments of a plan), `rate` (bytes per second)
---@return function policy
function policy.limit(inner, opts)
  check_policy(inner, "argument 1 of limit()", 2)
  return limit.new(inner, settings.read(limit.options, opts, 2))
end

for name in pairs(kinds) do
  options.policy_makers[policy[name]] = name
end

--- Play a workload with a policy against the accounting of a store, in memory; see
-- bitcask.policy.simulate for what it returns, bitcask.lab.workload for workloads.
policy.simulate = simulate.run

--- What there is: for each constructor its `name`, its `sentence`, and its `options`.
---@return table[] kinds sorted by name
function policy.kinds()
  local list = { any, limit, window }
  for _, kind in pairs(kinds) do
    list[#list + 1] = kind
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return policy
