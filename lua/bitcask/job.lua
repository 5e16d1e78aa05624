--- Jobs: merges on a thread of the engine's, while the caller goes on.

local core = require "bitcask.core"
local merging = require "bitcask.merging"

local jobs = {}

-- job -> its state; the job itself is empty, so that nobody can reach in.
local states = setmetatable({}, { __mode = "k" })

-- store -> its job under way, which a caller may have dropped: it goes on all the same.
local running = setmetatable({}, { __mode = "k" })

-- Whether the job's merge was taken from it, by closing the job or its store.
local function is_closed(state)
  return state.closed or (state.merge ~= nil and not state.merge:is_open())
end

local function check_open(job, method)
  local state = states[job]
  if not state then
    error(("bad self of '%s': a bitcask job expected"):format(method), 3)
  end
  if is_closed(state) then error("attempt to use a closed job", 3) end
  return state
end

local function fail(state, message, code)
  state.failure = { message = message, code = code }
end

-- Start the next merge of the plan on its thread.
local function begin_next(state, level)
  state.index = state.index + 1
  local merge, message, code = merging.open(state.db, state.plan, state.index, level + 1)
  if not merge then return fail(state, message, code) end
  merge:pause(state.is_paused)
  local ok
  ok, message, code = merge:start()
  if not ok then
    merge:close()
    return fail(state, message, code)
  end
  state.merge = merge
end

-- Wait for the merge under way and take its report. At the end of each of these calls events are
-- delivered and notes taken, which may lead here again.
local function finish_current(state)
  if state.is_finishing then error("attempt to wait for a job inside its own wait", 0) end
  state.is_finishing = true
  local merge = state.merge
  local ok, message, code = merge:wait()
  if ok then
    state.reports[#state.reports + 1] = merge:report()
  else
    fail(state, message, code)
  end
  state.last_progress = merging.progress_of(merge, state.plan, state.index)
  state.merge, state.is_finishing = nil, false
  merge:close()
end

local function has_more(state)
  return not state.failure and state.index < #state.plan.queue
end

local function go_on(state)
  if not has_more(state) then return end
  if state.cancelled then return fail(state, "the merge was cancelled", "cancelled") end
  -- The first begins in the call that starts the job; by now a segment may have gone.
  local ok, message = pcall(begin_next, state, 2)
  if not ok then fail(state, message, "notfound") end
end

local function is_finished(state)
  return state.merge == nil and not has_more(state)
end

-- Take what has finished, without waiting, and begin what comes next.
local function poll(state)
  while state.merge and not state.is_finishing do
    local merge = state.merge
    local _, _, finished = merge:progress()
    if not finished or state.merge ~= merge then return end -- or somebody was faster
    finish_current(state)
    go_on(state)
  end
end

--- A merge, or several, under way on a thread of the engine's. It goes on when the job is
-- dropped, and ends when the job or its store is closed. The later merges of a plan of
-- several begin during the next call on the store or the job.
---@class bitcask.job
local methods = {}

--- How far it is.
---@return table progress `done` and `total` (bytes read and to read by the merge under way),
--- `what`, `finished`, `paused`, `delay` (seconds that the rate makes it rest just now),
--- `merge` of `merges` (where in a plan of several). Raises on a closed job.
function methods:progress()
  local state = check_open(self, "progress")
  poll(state)
  if state.merge then
    local progress = merging.progress_of(state.merge, state.plan, state.index)
    progress.finished = false -- what it was a moment ago, when it was looked at
    return progress
  end
  local progress = { merge = state.index, merges = #state.plan.queue, what = "merging" }
  local last = state.last_progress or { done = 0, total = 0 }
  progress.done, progress.total, progress.finished = last.done, last.total, true
  progress.paused, progress.delay = false, 0.0
  return progress
end

local function set_paused(state, is_paused)
  state.is_paused = is_paused
  if state.merge then state.merge:pause(is_paused) end
  return true
end

--- Let it rest, within a moment, until job:resume().
---@return boolean ok true. Raises on a closed job.
function methods:pause()
  return set_paused(check_open(self, "pause"), true)
end

--- Let it go on after job:pause().
---@return boolean ok true. Raises on a closed job.
function methods:resume()
  return set_paused(check_open(self, "resume"), false)
end

--- Wait until it is done; one that is paused goes on. May be called again: the answer stays.
---@return table|nil report as db:merge returns it, or nil
---@return string? message what went wrong
---@return string? code "cancelled" after job:cancel(), "io", "nospace", "corrupt", ...
--- Raises on a closed job.
function methods:wait()
  local state = check_open(self, "wait")
  set_paused(state, false)
  while not is_finished(state) do
    if state.merge then finish_current(state) end
    go_on(state)
  end
  if state.failure then return nil, state.failure.message, state.failure.code end
  return merging.sum(state.reports, state.plan.reason)
end

--- Ask it to stop; what is not committed is undone. job:wait() then tells "cancelled",
-- unless it was done already.
---@return boolean ok true. Raises on a closed job.
function methods:cancel()
  local state = check_open(self, "cancel")
  state.cancelled = true
  if state.merge then state.merge:cancel() end
  return true
end

--- Cancel it, if it is not done, and give everything back. Closing twice is harmless.
---@return boolean ok true
function methods:close()
  local state = states[self]
  if not state then error("bad self of 'close': a bitcask job expected", 2) end
  if state.merge then state.merge:close() end
  state.merge, state.closed = nil, true
  return true
end

local metatable = {
  __index = methods,
  __name = "bitcask job",
  __metatable = "bitcask job",
  __close = methods.close,
  __gc = methods.close,
  __tostring = function(job)
    local state = states[job]
    if not state or is_closed(state) then return "bitcask job (closed)" end
    return is_finished(state) and "bitcask job (done)" or "bitcask job (running)"
  end,
}

--- Take what a finished job has done: not waited for, it must not stand in the way of the
-- store's next merge.
function jobs.settle(db)
  local state = states[running[db]]
  if state and not is_closed(state) then poll(state) end
end

--- Whether a value is a job: true; false when it is a closed one, nil for anything else.
function jobs.is_open(value)
  local state = states[value]
  if not state then return nil end
  return not is_closed(state)
end

--- Start merging by a checked plan; see db:merge_async.
function jobs.start(db, plan, level)
  jobs.settle(db)
  local state = { db = db, plan = plan, index = 0, reports = {}, is_paused = false }
  if #plan.queue > 0 then begin_next(state, level + 1) end
  if state.failure then return nil, state.failure.message, state.failure.code end
  if #plan.queue > 1 then core.cask.listen(db) end -- for the moment to begin the next
  local job = {}
  states[job] = state
  running[db] = setmetatable(job, metatable)
  return job
end

return jobs
