--- Consulting: asks the policy of a store what to merge, and sees to it that it is done.
--
-- The engine leaves a note when a segment was sealed, when much has died, and when a merge has
-- ended. The next call on the store comes here, at its end, in the state that gave the policy:
--
--   note -> description -> policy -> plan, checked -> job -> (the merge ends) -> note -> ...
--
-- Nothing that a policy does harms the store. It runs in a coroutine of its own, for so many
-- instructions at most; what it raises, and what is no plan, skips the round and is told as
-- an event. A merge that ended in vain is not tried again as long as its segments stay the same,
-- so that a store which nobody writes to comes to rest.

local asking = require "bitcask.asking"
local core = require "bitcask.core"
local jobs = require "bitcask.job"
local merging = require "bitcask.merging"
local options = require "bitcask.options"

local cask = core.cask

local consulting = {}

-- So many instructions of Lua's a policy may take.
local instructions <const> = 10000000

-- So many merges in vain are remembered.
local vain_limit <const> = 1000

-- store -> its state: `policy`; `job` and `plan`, under way; `is_due`, it is to be asked;
-- `is_asking`, it is being asked; `working`, so many calls are at it, and notes have to wait;
-- `vain`, signatures of merges in vain
local states = setmetatable({}, { __mode = "k" })

--- From now on the store has this policy.
---@param db bitcask.store of which cask.consults is true
---@param policy function a checked one
function consulting.attach(db, policy)
  states[db] = { policy = policy, working = 0, vain = {}, vain_count = 0 }
end

-- ---- Asking ----------------------------------------------------------------------------

-- Beyond the stack: messages without a place, since it is none of the caller's.
local nowhere <const> = 1 << 20

-- What a merge is known by: its segments, and how much of each is dead.
local function signature(ids, segments)
  local parts = {}
  for i, id in ipairs(ids) do
    parts[i] = ("%d:%d"):format(id, segments[id] and segments[id].dead_bytes or -1)
  end
  table.sort(parts)
  return table.concat(parts, " ")
end

-- What counts of each segment later on: the description itself is the policy's, to do with it
-- what it likes.
local function by_id(description)
  local segments = {}
  for _, segment in ipairs(description.segments) do
    segments[segment.id] = { dead_bytes = segment.dead_bytes, damaged = segment.damaged }
  end
  return segments
end

-- Without damaged segments, which no merge takes, and without what was in vain before.
local function leave_out(queue, segments, state)
  local kept = {}
  for _, ids in ipairs(queue) do
    local sound = {}
    for _, id in ipairs(ids) do
      if segments[id] and not segments[id].damaged then sound[#sound + 1] = id end
    end
    if #sound > 0 and not state.vain[signature(sound, segments)] then kept[#kept + 1] = sound end
  end
  return kept
end

local function check(db, given)
  if given == nil then return { queue = {} } end
  local plan = merging.check(db, given, options.policy_plan, nowhere)
  if not plan.lists then plan.queue = {} end -- a rate, and nothing to do
  return plan
end

-- The plan of the policy, checked; or nil and what is wrong with it. How large the active segment
-- is to become holds from now on.
local function ask(db, state)
  local description, message = db:segments()
  if not description then return nil, message end
  local segments = by_id(description)
  cask.hold(db, true)
  state.is_asking = true
  local ok, given = asking.ask(state.policy, description, instructions)
  state.is_asking = false
  cask.hold(db, false)
  if not ok then return nil, given end
  local is_plan, plan = pcall(check, db, given)
  if not is_plan then return nil, "the policy returned nonsense: " .. asking.text_of(plan) end
  cask.seal_at(db, plan.seal or 0)
  plan.queue = leave_out(plan.queue, segments, state)
  plan.is_lenient = true
  return plan
end

--- Raise where a policy is being asked: it decides, and is not to act.
---@param level integer whose mistake it is, as for error
function consulting.check_not_asking(db, level)
  local state = states[db]
  if state and state.is_asking then
    error("a policy cannot merge the store that it is asked about", level + 1)
  end
end

-- ---- Doing ------------------------------------------------------------------------------

-- What has come of a merge: true when anything has. What was in vain is remembered, as it is
-- now that the engine knows better.
local function learn(db, state, ids, report)
  if report.segments_in > 0 then
    state.vain, state.vain_count = {}, 0
    return true
  end
  local description = db:segments()
  if not description then return false end
  if state.vain_count >= vain_limit then state.vain, state.vain_count = {}, 0 end
  state.vain[signature(ids, by_id(description))] = true
  state.vain_count = state.vain_count + 1
  return false
end

-- The job has ended: those of its reports that tell of anything, or nil, message, code.
local function collect(db, state)
  local job, plan = state.job, state.plan
  state.job, state.plan = nil, nil
  local report, message, code = job:wait()
  if not report then return nil, message, code end
  local useful = {}
  for i, one in ipairs(report.merges or { report }) do
    if learn(db, state, plan.queue[i], one) then useful[#useful + 1] = one end
  end
  return useful
end

local function begin(db, state)
  state.is_due = false
  local plan, message = ask(db, state)
  if not plan then return cask.report_policy(db, message) end
  if #plan.queue == 0 then return end
  -- Busy with a merge of somebody else's: that one's end comes with a note.
  state.job = jobs.start(db, plan, 1)
  state.plan = plan
end

-- At the end of a call on the store that found notes.
core.consult_with(function(db, is_due, has_merged)
  jobs.settle(db)
  local state = states[db]
  if not state then return end
  state.is_due = state.is_due or is_due or has_merged and state.working > 0
  if state.working > 0 then return end
  if state.job then
    if not state.job:progress().finished then return end
    local useful = collect(db, state)
    has_merged = useful ~= nil and #useful > 0
  end
  if state.is_due or has_merged then begin(db, state) end
end)

-- A merge that the program wants comes before one that its policy wants: that is undone, and
-- wanted again later.
local function give_way(db, state)
  if not state.job then return end
  state.is_due = true
  if state.job:progress().finished then
    collect(db, state)
  else
    state.job:close()
    state.job, state.plan = nil, nil
  end
end

--- The program is going to merge: its policy has to wait until it is released. What it has under
-- way is finished or undone by then, so that no segment goes that the program may name.
function consulting.hold(db)
  local state = states[db]
  if not state then return end
  state.working = state.working + 1
  give_way(db, state)
end

--- The program has merged. What the policy was to be asked meanwhile it is asked at the end of the
-- next call: here, notes about the asking itself would lead to asking again.
function consulting.release(db)
  local state = states[db]
  if not state then return end
  state.working = state.working - 1
  if state.is_due and state.working == 0 and cask.is_open(db) then cask.leave_note(db) end
end

-- What has come of such work, once it has ended; it may have raised.
function consulting.release_after(db, ok, ...)
  consulting.release(db)
  if not ok then error((...), 0) end
  return ...
end

-- What the policy has under way, to its end.
local function finish(db, state, reports)
  if not state.job then return true end
  local useful, message, code = collect(db, state)
  if not useful then return nil, message, code end
  table.move(useful, 1, #useful, 1, reports)
  return true
end

local function maintain(db, state)
  local reports = {}
  local ok, message, code = finish(db, state, reports)
  if not ok then return nil, message, code end
  local plan
  plan, message = ask(db, state)
  if not plan then return nil, message, "policy" end
  for index, ids in ipairs(plan.queue) do
    local report
    report, message, code = merging.one(db, plan, index, 2)
    if not report then return nil, message, code end
    if learn(db, state, ids, report) then reports[#reports + 1] = report end
  end
  return reports
end

--- Ask the policy, do what it says, and wait; see db:maintain.
function consulting.maintain(db)
  local state = states[db]
  if not state then return {} end
  state.working = state.working + 1
  return consulting.release_after(db, pcall(maintain, db, state))
end

return consulting
