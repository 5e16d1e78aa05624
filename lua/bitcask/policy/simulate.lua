--- Playing a workload against the accounting of a store, with a policy in charge of its merges.
--
-- The policy is asked when an open store would ask it: when a segment was sealed, when a quarter of
-- a segment's size has died or a sixteenth was written, and after a merge that did anything. What
-- it plans is merged at once, while a store takes its time, and is written to meanwhile. Nothing
-- touches a disk: bitcask.lab.accounting keeps the books by the rules of the engine, and
-- spec/lab/agreement_spec.lua holds the two against each other.

local accounting = require "bitcask.lab.accounting"
local options = require "bitcask.options"
local plans = require "bitcask.plan"
local settings = require "bitcask.policy.settings"
local workloads = require "bitcask.lab.workload"

local simulate = {}

local samples_wanted = 1000

-- A policy that was asked and gives no answer within so many instructions never will.
local instructions_max, instructions_step = 10000000, 100000

-- A policy is asked, too, when a sixteenth of a segment, but no less than this, was written.
local growth_least <const> = 1 << 20

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

local function merge_all(run, plan, i)
  local store = run.store
  store.peak_bytes = math.max(store.peak_bytes, store.bytes)
  local merges = store.merges
  for _, ids in ipairs(plan.lists or {}) do
    local report = #ids > 0 and store:merge(ids)
    if report and report.segments_in > 0 then
      report.writes, report.time, report.reason = i, store.now, plan.reason
      table.insert(run.log, report)
    end
  end
  return store.merges > merges
end

-- Ask within a budget of instructions, so that a policy that loops is an error and no silence.
local function ask(policy, description)
  local spent = 0
  local hook, mask, count = debug.gethook()
  debug.sethook(function()
    spent = spent + instructions_step
    if spent > instructions_max then
      error(("the policy has not answered within %d instructions"):format(instructions_max), 0)
    end
  end, "", instructions_step)
  local ok, plan = pcall(policy, description)
  debug.sethook(hook, mask, count)
  return ok, plan
end

-- A policy's plan of nothing in particular is nothing.
local function check_plan(given, description)
  if given == nil then return {} end
  local plan = plans.check(given, options.policy_plan, 1)
  plans.check_against(plan.lists or {}, description.segments, 1)
  return plan
end

local function without_position(message)
  return (tostring(message):gsub("^[^:]*lua/bitcask/[^:]*:%d+: ", ""))
end

-- Ask the policy, and do what it says: true if that was anything; or nil and why it failed.
local function consult_once(run, i)
  run.asked = run.asked + 1
  local description = run.store:description()
  local ok, plan = ask(run.policy, description)
  if ok then ok, plan = pcall(check_plan, plan, description) end
  if not ok then return nil, "the policy failed: " .. without_position(plan) end
  run.store:seal_at(plan.seal)
  return merge_all(run, plan, i)
end

-- The same until there is nothing to do, which comes: each merge that counts leaves fewer records
-- or fewer segments. A message where it failed.
local function consult(run, i)
  run.died_at, run.user_bytes_at = run.store.died, run.store.user_bytes
  local has_merged, failure
  repeat
    has_merged, failure = consult_once(run, i)
  until not has_merged
  return failure
end

local function is_worth_asking(run, is_sealed)
  local store = run.store
  return is_sealed or store.died - run.died_at >= store.segment_size // 4 or
    store.user_bytes - run.user_bytes_at >= math.max(growth_least, store.segment_size // 16)
end

local function fill(run, player)
  for key = 1, player.fill do
    local is_sealed = run.store:put(key, player.size())
    local failure = is_worth_asking(run, is_sealed) and consult(run, 0)
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
    local failure = is_worth_asking(run, step(store, i)) and consult(run, i)
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
    policy = policy, series = {}, log = {}, asked = 0, died_at = 0, user_bytes_at = 0,
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
