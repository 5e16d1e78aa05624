--- Trials of a store on a failing system, for a process that has the shim before the C
-- library. Each runs in a fork of its own, so that a crash is seen and spoils nothing.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local history = require "spec.support.history"
local lfs = require "lfs"
local process = require "spec.process"
local ramdisk = require "spec.support.ramdisk"
local recovered = require "spec.support.recovered"
local scratch = require "spec.support.scratch"
local shim = require "spec.shim"
local tidy = require "spec.support.tidy"

local trial = {}

-- ---- What may be there ---------------------------------------------------------------------

-- For each key the values that it may have: the one of the last write that returned, and those
-- of writes behind it whose outcome is not known. false stands for no value.
local Possible = {}
Possible.__index = Possible

local function new_possible()
  return setmetatable({ live = {}, values = {} }, Possible)
end

local function value_of(operation)
  return operation.kind == "put" and operation.value or false
end

function Possible:done(operation)
  for _, part in ipairs(operation.operations or {}) do
    self:done(part)
  end
  if operation.kind ~= "put" and operation.kind ~= "delete" then return end
  self.live[operation.key] = value_of(operation) or nil
  self.values[operation.key] = { value_of(operation) }
end

function Possible:failed(operation)
  for _, part in ipairs(operation.operations or {}) do
    self:failed(part)
  end
  if operation.kind ~= "put" and operation.kind ~= "delete" then return end
  local values = self.values[operation.key] or { false }
  values[#values + 1] = value_of(operation)
  self.values[operation.key] = values
end

function Possible:accept(found)
  for key in pairs(found) do
    assert(self.values[key], ("%q was never written"):format(key))
  end
  for key, values in pairs(self.values) do
    local fits = false
    for _, value in ipairs(values) do
      fits = fits or value == (found[key] or false)
    end
    assert(fits, ("%q is %q, which it cannot be"):format(key, tostring(found[key]):sub(1, 40)))
  end
  -- Of a batch, all or nothing: the second one deletes what the others put.
  local number = (found.b1 or ""):match "^%d+"
  assert(found.b3 == found.b1 and found.b2 == (number ~= "2" and found.b1 or nil),
    ("a part of a batch: %s, %s, %s"):format((found.b1 or "nil"):sub(1, 9),
      (found.b2 or "nil"):sub(1, 9), (found.b3 or "nil"):sub(1, 9)))
  return history.copy(found)
end

-- ---- The history, on a system that fails ---------------------------------------------------

local legal = {
  EIO = { io = true, stopped = true },
  EACCES = { io = true, stopped = true },
  EMFILE = { io = true, stopped = true },
  ENOSPC = { nospace = true, io = true, stopped = true },
  EDQUOT = { nospace = true, io = true, stopped = true },
  EFBIG = { nospace = true, stopped = true },
  ENOMEM = { nomemory = true, io = true, stopped = true },
}

local function check_failure(case, message, code)
  assert(type(message) == "string" and #message > 10, "a failure without a message")
  -- Where what is in the way could not be removed, either.
  if code == "exists" and not case.calls then return end
  assert(case.error and legal[case.error][code],
    ("%s is told as %s: %s"):format(case.error or "nothing", code, message))
end

local function attempt(db, operation, state)
  local kind = operation.kind
  if kind == "put" then return db:put(operation.key, operation.value) end
  if kind == "delete" then
    local version, message, code = db:delete(operation.key)
    return version ~= nil or nil, message, code
  elseif kind == "batch" then
    return history.commit(db, operation.operations)
  elseif kind == "seal" then
    local id, message, code = db:seal()
    return id ~= nil or nil, message, code
  elseif kind == "merge" then
    return db:merge()
  elseif kind == "merge_async" then
    local message, code
    state.job, message, code = db:merge_async()
    return state.job, message, code
  elseif kind == "wait" then
    if not state.job then return true end
    return state.job:wait()
  end
  error("unknown operation " .. kind)
end

-- Reads go on whatever has failed, and tell what they told before.
local function check_reads(db, possible)
  local difference = history.difference(contents.of(db), possible.live)
  assert(not difference, difference)
  for key, value in pairs(possible.live) do
    assert(db:get(key) == value)
  end
end

local function is_stopped(db)
  return db:stats().stopped == 1
end

-- A failed flush leaves it unknown what is durable: nothing may be written after it. Hint
-- files are no part of what was promised.
local function check_stopped(case, db, state)
  local call, name = state.hit:match "^(%S+) (.*)$"
  local is_flush = call == "fsync" or call == "fdatasync" and not name:find "hint"
  if not is_flush or case.error ~= "EIO" then return end
  if state.job then state.job:wait() end
  -- In the background it is found out a moment after the call has failed.
  eventually(function() return is_stopped(db) end, "the stop after a failed flush of " .. name)
end

-- Whether something has failed since it was asked last, and for the first time.
local function was_hit(state)
  local hit = shim.hit()
  if not hit or state.hit then return false end
  state.hit = hit
  return true
end

local function open(case, path, state)
  local options = { segment_size = 512, sync = case.sync }
  local db, message, code = bitcask.open(path, options)
  if not db then
    check_failure(case, message, code)
    state.failures = state.failures + 1
    -- What failed has gone: S67, the next open is none the worse for it.
    shim.disarm()
    db = assert(bitcask.open(path, options))
  end
  -- What was in doubt is decided now.
  state.possible.live = state.possible:accept(contents.of(db))
  if was_hit(state) then state.may_leave_files = true end
  return db
end

local function reopen(case, db, path, state)
  if state.job then state.job:close() end
  local ok, message, code = db:close()
  if not ok then
    check_failure(case, message, code)
    state.failures = state.failures + 1
  end
  return open(case, path, state)
end

local function run_history(case, path, state)
  local possible = state.possible
  local db = open(case, path, state)
  for _, operation in ipairs(history.script()) do
    if operation.kind == "reopen" then
      db = reopen(case, db, path, state)
    else
      local was_stopped = is_stopped(db)
      local ok, message, code = attempt(db, operation, state)
      if ok then
        possible:done(operation)
      else
        check_failure(case, message, code)
        assert(not was_stopped or code == "stopped" or operation.kind == "wait")
        if code ~= "nospace" and not was_stopped then possible:failed(operation) end
        state.failures = state.failures + 1
        check_reads(db, possible)
      end
      assert(not (ok and was_stopped) or operation.kind == "wait",
        "written to when stopped: " .. operation.kind)
      if was_hit(state) then check_stopped(case, db, state) end
    end
  end
  return db
end

-- A put, a seal and a merge: true, or nil, message, code of the first that fails.
local function write_more(db, possible, was_stopped)
  local more = { kind = "put", key = "more", value = "v" }
  local ok, message, code = db:put(more.key, more.value)
  if not ok then
    if not was_stopped then possible:failed(more) end
    return nil, message, code
  end
  possible:done(more)
  ok, message, code = db:seal()
  if ok == nil then return nil, message, code end
  return db:merge(contents.sealed(db))
end

-- When the system is well again, so is a store that did not have to stop, at once. A call that
-- failed in the background a moment ago may be found out only now.
local function go_on(case, db, path, state)
  local possible, was_stopped = state.possible, is_stopped(db)
  local ok, message, code = write_more(db, possible, was_stopped)
  assert(not (ok and was_stopped), "written to when stopped")
  if not ok then
    assert(code == "stopped" and (was_stopped or state.hit), message)
    check_reads(db, possible)
    db:close()
    return
  end
  check_reads(db, possible)
  -- What could not be removed, or looked at, is left for the next open.
  local only_once = case.times == 1 and not (state.hit and state.hit:find "^unlinkat")
  if state.may_leave_files or not only_once and (case.calls or "unlinkat"):find "unlinkat" then
    assert(db:close())
  else
    tidy.close(db, path)
  end
end

local function run_case(case, path, n, results)
  local state = { possible = new_possible(), failures = 0 }
  shim.arm {
    calls = case.calls, at = n, times = case.times, error = case.error, short = case.short,
  }
  local db = run_history(case, path, state)
  if state.job then state.job:close() end
  shim.disarm()
  was_hit(state) -- by what went on in the background
  go_on(case, db, path, state)
  -- Now as whoever comes next finds it.
  recovered.check(path, function(found) return state.possible:accept(found) end)
  scratch.write(results, ("return %d, %q"):format(state.failures, state.hit or ""))
end

-- ---- Killed in the middle --------------------------------------------------------------------

local function run_killed(case, path, n, results)
  shim.arm { calls = case.calls, at = n, kill = case.kill }
  history.play(path, { segment_size = 512, sync = case.sync }, results)
end

local function last_line(path)
  local last = "0"
  for line in scratch.read(path):gmatch "[^\n]+" do
    last = line
  end
  return last
end

-- ---- Trials ----------------------------------------------------------------------------------

-- Run `body` in a fork: how it ended, and what it said in its results.
local function in_fork(body, case, path, n)
  local results, complaints = ramdisk.path(), ramdisk.path()
  scratch.write(results, "")
  local id = process.fork()
  if id == 0 then
    local ok, message = xpcall(body, debug.traceback, case, path, n, results)
    if not ok then scratch.write(complaints, message) end
    process.exit(ok and 0 or 1)
  end
  local how, status = process.wait(id)
  local complaint = lfs.attributes(complaints) and scratch.read(complaints)
  return how, status, results, complaint
end

local function describe_case(case, n)
  return ("%s %s, %s call %d, sync %s"):format(case.error or case.kill or "short",
    case.times == -1 and "from now on" or "once", case.calls or "any", n, case.sync)
end

--- Fail the first, second, ... of the calls `case.calls` in turn, until a whole history has
-- not as many: as `case.error` (an errno's name) or `case.short`, `case.times` in a row (-1:
-- and all that follow). Prints how many trials were made, and in how many a call failed.
function trial.failures(case)
  local n, failed = 0, 0
  repeat
    n = n + case.stride
    local path = ramdisk.path()
    local how, status, results, complaint = in_fork(run_case, case, path, n)
    if how ~= "exit" or status ~= 0 then
      error(("%s: %s %d\n%s"):format(describe_case(case, n), how, status, complaint or ""), 0)
    end
    local failures, hit = load(scratch.read(results))()
    if failures > 0 then failed = failed + 1 end
    ramdisk.clean()
  until hit == ""
  print(n // case.stride, failed)
end

--- The same with a process that is killed before, after or halfway through the call.
function trial.kills(case)
  local operations = history.script()
  local n = 0
  repeat
    n = n + 1
    local path = ramdisk.path()
    local how, status, results, complaint = in_fork(run_killed, case, path, n)
    local last = last_line(results)
    local is_killed = how == "signal" and status == 9
    if not (is_killed or how == "exit" and status == 0) then
      error(("%s: %s %d\n%s"):format(describe_case(case, n), how, status, complaint or ""), 0)
    end
    assert(is_killed or last == "end")
    local done = tonumber(last) or #operations
    local ok, message = pcall(recovered.check, path, {
      history.after(operations, done), history.after(operations, done + 1),
    }, { segment_size = 512 })
    if not ok then
      error(("%s, after operation %s: %s"):format(describe_case(case, n), last, message), 0)
    end
    ramdisk.clean()
  until last == "end"
  print(n - 1)
end

return trial
