--- Merging by a plan, in the thread of the caller; bitcask.job does it in the background.

local core = require "bitcask.core"
local options = require "bitcask.options"
local plans = require "bitcask.plan"

local merging = {}

-- A step reads about so much, bytes: short enough that progress moves.
local step_size = options.merging.step.default

-- The figures of a report, which add up over several merges.
local figures = {
  "segments_in", "segments_out", "bytes_read", "bytes_written", "records_kept",
  "records_dropped", "tombstones_kept", "tombstones_dropped", "segments_damaged",
  "keys_dropped", "keys_rewritten", "seconds",
}

--- One report for a whole plan: the report itself of one merge, the sum of several.
function merging.sum(reports, reason)
  local total = reports[1]
  if #reports ~= 1 then
    total = { merges = reports }
    for _, figure in ipairs(figures) do
      total[figure] = figure == "seconds" and 0.0 or 0
      for _, report in ipairs(reports) do
        total[figure] = total[figure] + report[figure]
      end
    end
  end
  total.reason = reason
  return total
end

--- Check a plan against its store.
---@param db bitcask.store
---@param given? table as db:merge takes it
---@param set table the options that may stand in it, of bitcask.options
---@param level integer whose mistake it is, as for error
---@return table plan as bitcask.plan has it, with the `queue` of merges in order; in it false
--- stands for "whatever has anything to drop"
function merging.check(db, given, set, level)
  local plan = plans.check(given, set, level + 1)
  local queue = plan.lists or { false }
  if plan.lists then plans.check_against(queue, core.cask.segments(db), level + 1) end
  plan.queue = {}
  for _, ids in ipairs(queue) do
    if not ids or #ids > 0 then plan.queue[#plan.queue + 1] = ids end
  end
  return plan
end

-- Those of the segments that are still there: a plan of a policy may be overtaken by merges of
-- others, and is done as far as it goes.
local function still_there(db, ids)
  local sealed, left = {}, {}
  for _, segment in ipairs(core.cask.segments(db) or {}) do
    sealed[segment.id] = not segment.active
  end
  for _, id in ipairs(ids) do
    if sealed[id] then left[#left + 1] = id end
  end
  return left
end

--- Open one of the merges of a checked plan.
---@return userdata|nil merge of the core
---@return string? message
---@return string? code
function merging.open(db, plan, index, level)
  local ids = plan.queue[index] or nil
  if plan.is_lenient then ids = still_there(db, ids) end
  -- Through pcall, so that a mistake is raised where it was made and not here.
  local ok, merge, message, code = pcall(core.merge.open, db, ids, plan.rate or 0, plan.reason,
    plan.filter ~= nil)
  if not ok then error(merge, level + 1) end
  return merge, message, code
end

--- How far a merge is, as progress functions and jobs tell it.
function merging.progress_of(merge, plan, index)
  local done, total, finished, delay, paused = merge:progress()
  return {
    done = done, total = total, what = "merging", finished = finished, delay = delay,
    paused = paused, merge = index, merges = #plan.queue,
  }
end

-- Ask the filter what the merge asks. True: it was answered; false: nothing was asked.
local function answer(merge, filter)
  local key, value, version, expires, segment = merge:question()
  if not key then return false end
  local verdict = filter(key, value, { version = version, expires = expires, segment = segment })
  if type(verdict) ~= "boolean" and type(verdict) ~= "string" then
    error(("the filter returned a %s; it should be true (keep), false (delete) or a string "
      .. "(the new value)"):format(type(verdict)), 0)
  end
  return merge:answer(verdict)
end

-- A step of the merge, with all that its filter has to say meanwhile.
local function step(merge, plan, budget)
  local begun_at = merge:progress()
  while true do
    local finished, message, code = merge:step(budget)
    if finished == nil or not plan.filter then return finished, message, code end
    local answered
    answered, message, code = answer(merge, plan.filter)
    if answered == nil then return nil, message, code end
    if not answered then return finished end
    if budget > 0 and merge:progress() - begun_at >= budget then return false end
  end
end

-- ---- All at once ---------------------------------------------------------------------

-- With somebody to tell, and at a slow rate, in smaller steps.
local function step_budget(plan)
  if not plan.progress then return 0 end
  return plan.rate and math.max(4096, math.min(step_size, plan.rate // 4)) or step_size
end

--- Do one of the merges of a checked plan, and wait.
---@return table|nil report
---@return string? message
---@return string? code
function merging.one(db, plan, index, level)
  local merge <close>, message, code = merging.open(db, plan, index, level + 1)
  if not merge then return nil, message, code end
  local budget = step_budget(plan)
  local finished, report
  repeat
    merge:rest()
    finished, message, code = step(merge, plan, budget)
    if finished == nil then return nil, message, code end
    if finished then report = merge:report() end
    if plan.progress then plan.progress(merging.progress_of(merge, plan, index)) end
  until finished
  return report
end

--- Merge by a plan and wait; see db:merge.
function merging.now(db, plan, level)
  local reports = {}
  for index = 1, #plan.queue do
    local report, message, code = merging.one(db, plan, index, level + 1)
    if not report then return nil, message, code end
    reports[index] = report
  end
  return merging.sum(reports, plan.reason)
end

-- ---- Step by step --------------------------------------------------------------------

-- iterator -> its state; the iterator itself is empty, so that nobody can reach in.
local states = setmetatable({}, { __mode = "k" })

local function close_merge(state)
  if state.merge then state.merge:close() end
  state.merge = nil
end

local function close(state)
  close_merge(state)
  if not state.closed then state.at_end() end
  state.closed = true
end

-- The progress of a merge that is done: its report comes with it, and at the end of a plan
-- of several that of all.
local function conclude(state, progress)
  state.reports[state.index] = state.merge:report()
  progress.report = state.reports[state.index]
  progress.finished = state.index == #state.plan.queue
  if progress.finished then progress.report = merging.sum(state.reports, state.plan.reason) end
  close_merge(state)
end

local function begin_next(state)
  state.index = state.index + 1
  local merge, message = merging.open(state.db, state.plan, state.index, 3)
  if not merge then
    close(state)
    error(message, 3)
  end
  state.merge = merge
end

local function next_step(iterator)
  local state = states[iterator]
  if not state.merge and state.index == #state.plan.queue then close(state) end
  if state.closed then return nil end
  if not state.merge then begin_next(state) end
  local is_fine, finished, message = pcall(step, state.merge, state.plan,
    state.plan.step or step_size)
  if not is_fine or finished == nil then
    close(state)
    error(is_fine and message or finished, is_fine and 2 or 0)
  end
  local progress = merging.progress_of(state.merge, state.plan, state.index)
  if finished then conclude(state, progress) end
  return progress
end

local methods = {}

--- Leave the merge: what is not committed is undone. Closing twice is harmless.
---@return boolean ok true
function methods:close()
  local state = states[self]
  if not state then error("bad self of 'close': a bitcask merging expected", 2) end
  close(state)
  return true
end

local metatable = {
  __index = methods,
  __name = "bitcask merging",
  __metatable = "bitcask merging",
  __call = next_step,
  __close = methods.close,
  __gc = methods.close,
  __tostring = function(iterator)
    local state = states[iterator]
    return ("bitcask merging (%s)"):format(state and not state.closed and "open" or "closed")
  end,
}

--- Merge by a plan in steps; see db:merging. `at_end` is called once, when no step will come.
function merging.steps(db, plan, at_end)
  local iterator = {}
  states[iterator] = { db = db, plan = plan, index = 0, reports = {}, at_end = at_end }
  setmetatable(iterator, metatable)
  return next_step, iterator, nil, iterator
end

--- Whether a value is such an iterator: true; false when it is a closed one, nil for
-- anything else.
function merging.is_open(value)
  local state = states[value]
  if not state then return nil end
  return not state.closed
end

return merging
