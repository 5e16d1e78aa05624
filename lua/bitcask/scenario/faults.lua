--- Failures of the disk in the middle of a story: every operation fails, once, or it and all
-- of its kind from then on, with everything that it can fail with.
--
-- While the disk fails, the store answers correctly or says why not. After it was closed and
-- the disk is well again, it opens and holds every write that was acknowledged; of a write that
-- failed with an unknown outcome it holds all or nothing; of one that was refused, nothing. And
-- what it holds then survives a power cut.
--
-- A failure has a name: 17:sync:io:once is operation 17 of the story, a sync, failing once.

local examine = require "bitcask.scenario.examine"
local oracle = require "bitcask.scenario.oracle"
local witness = require "bitcask.scenario.witness"

local faults = {}

-- What each operation can fail with. `written` and `short` are parts of a whole.
local errors = {
  append = {
    { name = "io" }, { name = "nospace", error = "nospace" },
    { name = "io-in-part", written = 0.5 },
    { name = "nospace-in-part", error = "nospace", written = 0.9 },
  },
  write_at = {
    { name = "io" }, { name = "nospace", error = "nospace" },
    { name = "io-in-part", written = 0.5 },
  },
  cut = { { name = "io" }, { name = "io-done", done = true } },
  sync = { { name = "io" }, { name = "io-done", done = true } },
  sync_directory = { { name = "io" }, { name = "io-done", done = true } },
  create = {
    { name = "io" }, { name = "nospace", error = "nospace" }, { name = "io-done", done = true },
  },
  reserve = { { name = "io" }, { name = "nospace", error = "nospace" } },
  rename = { { name = "io" }, { name = "io-done", done = true } },
  remove = { { name = "io" }, { name = "io-done", done = true } },
  finish = { { name = "io" } },
  open = { { name = "io" }, { name = "nomemory", error = "nomemory" } },
  reopen = { { name = "io" } },
  read = { { name = "io" }, { name = "short", short = 10 } },
  list = { { name = "io" } },
  lock = { { name = "io" } },
  open_directory = { { name = "io" } },
  random = { { name = "io" } },
}

local lasting = { { name = "once", times = 1 }, { name = "for-ever", times = math.huge } }

-- Tell the story; what goes wrong in it is the fault's doing. `trouble(disk)` brings it about
-- once what is given is there.
local function tell(case, trouble)
  local disk, log = case.new_disk(), witness.new_log()
  local store = witness.open(disk, case.open, case, log)
  if case.given then case.given(store) end
  assert(store:sync())
  trouble(disk)
  local ok, failure = pcall(case.doing, store)
  return { disk = disk, log = log, store = store, ok = ok, failure = failure }
end

-- What the disk does in the story when all goes well: the operations, from the first one on.
local function operations_of(case)
  local before
  local told = tell(case, function(disk) before = disk:ops() end)
  if not told.ok then error(told.failure, 0) end
  assert(told.store:close())
  local list, counts = {}, {}
  for line in told.disk:trace():gmatch "[^\n]+" do
    local number, op, rest = line:match "^%s*(%d+)%s+(%S+)%s*(.*)$"
    if tonumber(number) > before then
      counts[op] = (counts[op] or 0) + 1
      list[#list + 1] = { op = op, nth = counts[op], size = tonumber(rest:match "(%d+) bytes") }
    end
  end
  return list
end

-- ---- What may be there ---------------------------------------------------------------------

local function doubtful_of(log)
  local doubtful = {}
  for _, entry in ipairs(log.entries) do
    if entry.is_in_doubt then doubtful[#doubtful + 1] = entry end
  end
  return doubtful
end

-- The sets of pairs that are allowed: all that was acknowledged, and of each write in doubt all
-- or nothing.
local function allowed_signatures(log, doubts, now)
  local allowed = {}
  for mask = 0, (1 << doubts) - 1 do
    local entries, bit = {}, 0
    for _, entry in ipairs(log.entries) do
      local is_there = true
      if entry.is_in_doubt then
        is_there = mask >> bit & 1 == 1
        bit = bit + 1
      end
      if is_there then entries[#entries + 1] = entry end
    end
    allowed[oracle.signature(oracle.after({ entries = entries }, #entries, now))] = true
  end
  return allowed
end

-- What a key may have, as a set; false stands for nothing.
local function allowed_values(log, key, now)
  local values = { [false] = true }
  for _, entry in ipairs(log.entries) do
    for _, change in ipairs(entry.changes) do
      if change.key == key then
        local value = change.value
        if value and change.expires and change.expires <= now then value = false end
        if not entry.is_in_doubt then values = {} end
        values[value] = true
      end
    end
  end
  return values
end

local function keys_of(log)
  local keys = {}
  for _, entry in ipairs(log.entries) do
    for _, change in ipairs(entry.changes) do
      keys[change.key] = true
    end
  end
  return keys
end

-- More writes in doubt than this are not tried in all combinations, but key by key.
local doubts_max = 8

local function is_allowed(log, found, now)
  local doubts = #doubtful_of(log)
  if doubts <= doubts_max then
    return allowed_signatures(log, doubts, now)[oracle.signature(found)] ~= nil
  end
  for key in pairs(keys_of(log)) do
    if not allowed_values(log, key, now)[found[key] or false] then return false end
  end
  return true
end

-- ---- One fault ---------------------------------------------------------------------------------

local function wrong(format, ...) error(format:format(...), 0) end

-- While the disk may still fail: a right answer, or an error.
local function check_reads(told)
  local now = told.disk:now()
  for key in pairs(keys_of(told.log)) do
    local ok, value, message, code = pcall(told.store.store.get, told.store.store, key)
    if not ok then return end -- a closed store, after a reopening that failed
    local is_failure = value == nil and code ~= nil
    if not is_failure and not allowed_values(told.log, key, now)[value or false] then
      wrong("get(%q) gave %q while the disk failed", key, tostring(value))
    end
    if is_failure and message == nil then wrong("get(%q) failed without saying why", key) end
  end
end

local function check_recovered(case, told)
  local store, message, code = case.open(told.disk)
  if not store then wrong("the store does not open again: %s (%s)", message, code) end
  local found = oracle.contents(store)
  if not is_allowed(told.log, found, told.disk:now()) then
    local count = #told.log.entries
    local complaint = oracle.complain(told.log, found, count, count, told.disk:now())
    store:close()
    wrong("after opening again: %s", complaint)
  end
  return store, found
end

-- What was found after opening again is there after a power cut, too.
local function check_power_cut(case, told, found, store)
  local log = { entries = { { changes = {} } } }
  for key, value in pairs(found) do
    table.insert(log.entries[1].changes, { key = key, value = value })
  end
  local bounds = { least = 1, most = 1, newest_version = 0 }
  local examined = setmetatable({ log = log }, { __index = case })
  local cut = told.disk:copy()
  store:close()
  for survivor, state in cut:crash_states { limit = case.second_states, seed = case.seed } do
    local again, complaint = examine.disk(examined, survivor, bounds)
    if not again then wrong("after a power cut that leaves %s: %s", state, complaint) end
  end
end

local function try(case, trouble, heal)
  local told = tell(case, trouble)
  check_reads(told)
  pcall(told.store.close, told.store)
  told.disk:heal()
  if heal then heal(told.disk) end
  local store, found = check_recovered(case, told)
  check_power_cut(case, told, found, store)
end

local function fault_of(operation, how, length)
  local part = how.written and operation.size and math.floor(operation.size * how.written) or 0
  return {
    op = operation.op, at = operation.nth, error = how.error, done = how.done,
    times = length.times,
    written = part > 0 and part or nil, short = how.short,
  }
end

-- Every fault of a story: a function() -> name, fault.
local function each_fault(case)
  return coroutine.wrap(function()
    for position, operation in ipairs(operations_of(case)) do
      for _, how in ipairs(errors[operation.op] or {}) do
        for _, length in ipairs(lasting) do
          local name = ("%d:%s:%s:%s"):format(position, operation.op, how.name, length.name)
          coroutine.yield(name, fault_of(operation, how, length))
        end
      end
    end
  end)
end

--- Let every operation of a story fail.
---@param case table see bitcask.scenario
---@param wanted? string only the fault of that name
---@return table report `faults`, `failures`
function faults.explore(case, wanted)
  local report = { faults = 0, failures = {} }
  for name, fault in each_fault(case) do
    if not wanted or wanted == name then
      report.faults = report.faults + 1
      local ok, complaint = pcall(try, case, function(disk) disk:fail(fault) end)
      if not ok then
        report.failures[#report.failures + 1] = { name = name, complaint = tostring(complaint) }
      end
      if #report.failures >= case.failures then break end
    end
  end
  return report
end

--- Run a story under a trouble of another kind, and check the store after it.
---@param case table see bitcask.scenario
---@param trouble fun(disk) is called when what is given is there
---@param heal? fun(disk) ends it, before the store is opened again
---@return string|nil complaint
function faults.try(case, trouble, heal)
  local ok, complaint = pcall(try, case, trouble, heal)
  return not ok and tostring(complaint) or nil
end

return faults
