--- Playing a workload against the accounting of a store, with a policy in charge of its merges.
--
-- The policy is asked when an open store would ask it: when a segment was sealed, when a quarter of
-- a segment's size has died or a sixteenth was written, and after a merge that did anything. Merges
-- take no time, while in a store they do, and the store is written to meanwhile. Nothing touches a
-- disk: bitcask.lab.accounting keeps the books by the rules of the engine, and
-- spec/lab/agreement_spec.lua holds the two against each other.

local accounting = require "bitcask.lab.accounting"
local asking = require "bitcask.asking"
local options = require "bitcask.options"
local plans = require "bitcask.plan"
local settings = require "bitcask.policy.settings"
local workloads = require "bitcask.lab.workload"

local simulate = {}

local samples_wanted = 1000

-- A policy that was asked and gives no answer within so many instructions never will.
local instructions <const> = 10000000

-- Begin measuring: what was before does not count.
local function begin_measuring(run)
  local store = run.store
  run.base = { user = store.user_bytes, merge = store.merge_bytes, merges = store.merges }
  run.peak_live, run.sum_bytes, run.sum_live, run.sampled = 0, 0, 0, 0
  store.peak_bytes = store.bytes
end

local columns = {
  "writes", "time", "bytes", "live_bytes", "user_bytes", "merge_bytes", "segments", "merges",
}

local function take_sample(run, i)
  local store, series = run.store, run.series
  local at = #series.writes + 1
  series.writes[at], series.time[at] = i, store.now
  series.bytes[at], series.live_bytes[at] = store.bytes, store.live_bytes
  series.user_bytes[at], series.merge_bytes[at] = store.user_bytes, store.merge_bytes
  series.segments[at] = #store.sealed + (store.active and 1 or 0)
  series.merges[at] = store.merges
  store.peak_bytes = math.max(store.peak_bytes, store.bytes)
  run.peak_live = math.max(run.peak_live, store.live_bytes)
  run.sum_bytes, run.sum_live = run.sum_bytes + store.bytes, run.sum_live + store.live_bytes
  run.sampled = run.sampled + 1
end

-- The merges of a plan that is under way, up to the one with this number.
local function merge_up_to(run, plan, last, i)
  local store, merges = run.store, run.store.merges
  store.peak_bytes = math.max(store.peak_bytes, store.bytes)
  for at = plan.at, last do
    local report = store:merge(plan.queue[at])
    if report.segments_in > 0 then
      report.writes, report.time, report.reason = i, store.now, plan.reason
      table.insert(run.log, report)
    end
  end
  plan.at = last + 1
  plan.is_useful = plan.is_useful or store.merges > merges
end

-- A policy's plan of nothing in particular is nothing.
local function check_plan(given, segments)
  local plan = given == nil and {} or plans.check(given, options.policy_plan, 1)
  plans.check_against(plan.lists or {}, segments, 1)
  plan.queue, plan.at = {}, 1
  for _, ids in ipairs(plan.lists or {}) do
    if #ids > 0 then table.insert(plan.queue, ids) end
  end
  return plan
end

local function without_position(message)
  return (tostring(message):gsub("^[^:]*lua/bitcask/[^:]*:%d+: ", ""))
end

-- Ask the policy, and begin what it says; a message where it failed.
local function ask_and_begin(run, i)
  run.asked = run.asked + 1
  local description = run.store:description()
  local segments = table.move(description.segments, 1, #description.segments, 1, {})
  local ok, plan = asking.ask(run.policy, description, instructions)
  if not ok then return plan end
  ok, plan = pcall(check_plan, plan, segments)
  if not ok then return "the policy returned nonsense: " .. without_position(plan) end
  run.store:seal_at(plan.seal)
  if #plan.queue == 0 then return nil end
  merge_up_to(run, plan, 1, i)
  run.plan = plan
end

-- What the end of each call on a store does, where merges take no time: the first merge of a plan
-- is done when the policy was asked, the others when the end of that one is noticed, at the end of
-- the next call; and if anything has come of it, the policy is asked again. A message where it
-- failed.
local function end_of_call(run, i)
  local store, plan = run.store, run.plan
  if plan then
    run.plan = nil
    merge_up_to(run, plan, #plan.queue, i)
    store.is_due = store.is_due or plan.is_useful
  end
  if not store.is_due then return nil end
  store.is_due = false
  return ask_and_begin(run, i)
end

local function fill(run, player)
  for key = 1, player.fill do
    run.store:put(key, player.size())
    local failure = end_of_call(run, 0)
    if failure then return failure end
  end
end

local function play(run, player, values)
  local store, step, time = run.store, player.step, player.time
  local every = math.max(1, values.writes // samples_wanted)
  if values.warmup == 0 then begin_measuring(run) end
  take_sample(run, 0)
  for i = 1, values.writes do
    store:advance(time(i))
    step(store, i)
    local failure = end_of_call(run, i)
    if failure then return failure end
    if i == values.warmup then begin_measuring(run) end
    if i % every == 0 or i == values.writes then take_sample(run, i) end
  end
end

local function share(a, b)
  return b > 0 and a / b or 0.0
end

local function report(run, values)
  local store, base = run.store, run.base
  local user, merged = store.user_bytes - base.user, store.merge_bytes - base.merge
  return {
    workload = values.name,
    segment_size = values.segment_size,
    write_amplification = share(user + merged, user),
    space_amplification = share(store.peak_bytes, run.peak_live),
    mean_space_amplification = share(run.sum_bytes, run.sum_live),
    user_bytes = user, merge_bytes = merged, merges = store.merges - base.merges,
    bytes = store.bytes, live_bytes = store.live_bytes, peak_bytes = store.peak_bytes,
    asked = run.asked, series = run.series, log = run.log, description = store:description(),
  }
end

local function new_run(policy, values, player)
  local run = {
    policy = policy, series = {}, log = {}, asked = 0,
    store = accounting.new {
      segment_size = values.segment_size, tombstone_size = player.tombstone_size,
    },
  }
  for _, column in ipairs(columns) do
    run.series[column] = {}
  end
  return run
end

local function check_arguments(policy, workload)
  local _, wanted = settings.policy(policy)
  if wanted then
    error(("the policy is a %s; it should be %s"):format(type(policy), wanted), 3)
  end
  if type(workload) ~= "table" then
    error(("the workload is a %s; it should be a table"):format(type(workload)), 3)
  end
end

--- Play a workload with a policy.
---@param policy function from the description of a store to a plan
---@param workload table see bitcask.lab.workload
---@return table|nil report of what came after the fill and the warm-up: `write_amplification`
--- (bytes written by users and merges, for each by users), `space_amplification` (the most bytes
--- on disk, outputs of merges under way included, for each of the most that were live),
--- `mean_space_amplification` (the mean of both over the writes), `user_bytes`, `merge_bytes`,
--- `merges`, `bytes`, `live_bytes`, `peak_bytes`, `asked` (how often the policy was);
--- `series` (lists of equal length: `writes`, `time`, `bytes`, `live_bytes`, `user_bytes`,
--- `merge_bytes`, `segments`, `merges`), `log` (a report of each merge, with `writes`, `time`,
--- `reason`), `description` (of the store at the end)
---@return string? message
---@return string? code "policy": the workload makes no sense, or the policy raised, never
--- answered, or planned nonsense. Raises where the arguments are no policy and no table.
function simulate.run(policy, workload)
  check_arguments(policy, workload)
  local values, message = workloads.check(workload)
  if not values then return nil, message, "policy" end
  local player = workloads.player(values)
  local run = new_run(policy, values, player)
  begin_measuring(run)
  local failure = fill(run, player) or play(run, player, values)
  if failure then return nil, failure, "policy" end
  return report(run, values)
end

return simulate
