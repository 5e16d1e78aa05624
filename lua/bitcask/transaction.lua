--- Transactions: reading and writing as if nobody else were there.
--
-- A transaction reads from a snapshot, collects its writes in a batch, and has the batch
-- expect of every key that was read the version that was read. So it is committed only if
-- all that it has seen is still so: then reading and writing have happened at that moment.
-- Otherwise nothing has happened, and the function is run again. Nobody waits for anybody.

local core = require "bitcask.core"
local options = require "bitcask.options"

local transactions = {}

local batches, snapshots = core.batch, core.snapshot
local read, stat_key = snapshots.methods.get, snapshots.methods.stat

-- transaction -> its state; the transaction itself is empty, so that nobody can reach in. The
-- collector may take both: the snapshot gives itself back.
local states = setmetatable({}, { __mode = "k" })

-- A state: `db`, `snapshot`; by key `seen`, the version that it has in the snapshot (0: it is
-- not there), `values` (read from it), `writes` (a value, or false: deleted) and `options` of
-- those writes; `order`, the keys in which they were first written; `failure`, the first of a
-- read or write.

local function check_open(transaction, method)
  local state = states[transaction]
  if not state then
    error(("bad self of '%s': a bitcask transaction expected"):format(method), 3)
  end
  if state.is_closed then error("attempt to use a transaction that has ended", 3) end
  if not core.cask.is_open(state.db) then error("attempt to use a closed store", 3) end
  return state
end

local function check_string(value, what)
  if type(value) ~= "string" then
    error(("%s should be a string, got %s"):format(what, math.type(value) or type(value)), 3)
  end
end

local function fail(state, message, code)
  state.failure = state.failure or { message = message, code = code }
  return nil, message, code
end

-- The version that the key has in the snapshot, 0 where it is not there; or nil and a failure.
local function version_of(state, key)
  local version = state.seen[key]
  if version then return version end
  local stat, message, code = stat_key(state.snapshot, key)
  if code then return fail(state, message, code) end
  version = stat and stat.version or 0
  state.seen[key] = version
  return version
end

-- Whether the key is there for the transaction; or nil and a failure.
local function is_there(state, key)
  local written = state.writes[key]
  if written ~= nil then return written ~= false end
  local version, message, code = version_of(state, key)
  if not version then return nil, message, code end
  return version ~= 0
end

-- Whether what a write asks for is so, of the key as the transaction sees it; or nil and a
-- failure, which is no failure of the transaction when it is "conflict".
local function check_condition(state, key, opts)
  if not (opts.if_version or opts.if_absent) then return true end
  local there, message, code = is_there(state, key)
  if there == nil then return nil, message, code end
  local version = state.writes[key] == nil and state.seen[key] or nil
  if opts.if_absent and there then
    return nil, "the key was not to be there, and is", "conflict"
  end
  if opts.if_version and version ~= opts.if_version then
    return nil, ("the key was to have version %d, and has not"):format(opts.if_version), "conflict"
  end
  return true
end

--- What a function run by db:transaction reads and writes with. It sees the store as it was
-- when the function was called, and its own writes. Unusable once the function has ended.
---@class bitcask.transaction
local methods = {}

--- The value of a key.
---@param key string
---@return string|nil value nil alone: there is none
---@return integer|string? version or message; a value that the transaction has put has no
--- version yet
---@return string? code as for db:get; a transaction of which a read failed is not committed
function methods:get(key)
  local state = check_open(self, "get")
  check_string(key, "a key")
  local written = state.writes[key]
  if written ~= nil then return written or nil end
  local version = state.seen[key]
  if version == 0 then return nil end
  local value = state.values[key]
  if value then return value, version end
  local found, message
  value, found, message = read(state.snapshot, key)
  if message then return fail(state, found, message) end
  state.seen[key] = version or value and found or 0
  if value == nil then return nil end
  state.values[key] = value
  return value, found
end

--- Whether there is such a key. Reads no value.
---@param key string
---@return boolean|nil is_there
---@return string? message
---@return string? code as for get
function methods:has(key)
  local state = check_open(self, "has")
  check_string(key, "a key")
  return is_there(state, key)
end

--- What is known of a key, as db:stat tells it; of a value that the transaction has put, its
-- `size`.
---@param key string
---@return table|nil stat
---@return string? message
---@return string? code as for get
function methods:stat(key)
  local state = check_open(self, "stat")
  check_string(key, "a key")
  local written = state.writes[key]
  if written then return { size = #written } end
  if written == false or state.seen[key] == 0 then return nil end
  local stat, message, code = stat_key(state.snapshot, key)
  if code then return fail(state, message, code) end
  state.seen[key] = state.seen[key] or stat and stat.version or 0
  return stat
end

local function write(state, key, value, opts)
  if state.writes[key] == nil then state.order[#state.order + 1] = key end
  state.writes[key] = value
  state.options[key] = opts
end

local function check_size(bytes, most, what)
  if #bytes <= most then return true end
  return nil, ("the %s is %d bytes; at most %d can be stored"):format(what, #bytes, most),
    "toolarge"
end

--- Put a value under a key, when the transaction is committed.
---@param key string
---@param value string
---@param opts? table as for db:put; `ttl` counts from the commit; `if_version` and `if_absent`
--- are about the key as the transaction sees it, and what it has put has no version yet
---@return boolean|nil ok true
---@return string? message
---@return string? code "conflict": the condition does not hold, and the transaction goes on
--- without this write; "toolarge", and of a condition as for get: it will not be committed
function methods:put(key, value, opts)
  local state = check_open(self, "put")
  check_string(key, "a key")
  check_string(value, "a value")
  local checked = options.check_write("put", opts, 2)
  local ok, message, code = check_size(key, core.limits.key_size_max, "key")
  if ok then ok, message, code = check_size(value, core.limits.value_size_max, "value") end
  if not ok then return fail(state, message, code) end
  ok, message, code = check_condition(state, key, checked)
  if not ok then return nil, message, code end
  write(state, key, value, checked.ttl and { ttl = checked.ttl })
  return true
end

--- Delete a key, when the transaction is committed.
---@param key string
---@param opts? table as for db:delete; see put
---@return boolean|nil was_there false: there was nothing to delete
---@return string? message
---@return string? code as for put
function methods:delete(key, opts)
  local state = check_open(self, "delete")
  check_string(key, "a key")
  local checked = options.check_write("delete", opts, 2)
  local ok, message, code = check_condition(state, key, checked)
  if not ok then return nil, message, code end
  local there
  there, message, code = is_there(state, key)
  if there then write(state, key, false) end
  return there, message, code
end

-- ---- Running one ---------------------------------------------------------------------

-- store -> coroutine -> true: where a transaction's function is running. Another coroutine may
-- have a transaction of its own meanwhile.
local running = setmetatable({}, { __mode = "k" })

local function coroutines_of(db)
  local coroutines = running[db]
  if not coroutines then
    coroutines = setmetatable({}, { __mode = "k" })
    running[db] = coroutines
  end
  return coroutines
end

local metatable = {
  __index = methods,
  __name = "bitcask transaction",
  __metatable = "bitcask transaction",
  __tostring = function(transaction)
    local state = states[transaction]
    local is_open = state and not state.is_closed
    return ("bitcask transaction (%s)"):format(is_open and "open" or "ended")
  end,
}

-- What ends a transaction, however its function is left: it is closed at the end of a scope.
local ending = {
  __close = function(self)
    local state = self.state
    state.is_closed = true
    self.coroutines[self.coroutine] = nil
    state.snapshot:close()
  end,
}

local function begin(db)
  local snapshot, message, code = snapshots.open(db)
  if not snapshot then return nil, message, code end
  return {
    db = db, snapshot = snapshot, is_closed = false,
    seen = {}, values = {}, writes = {}, options = {}, order = {},
  }
end

-- Write what it has written, if all that it has read is still so.
local function write_all(state)
  local batch <close>, message, code = batches.open(state.db)
  if not batch then return nil, message, code end
  for key, version in pairs(state.seen) do
    batches.expect(batch, key, version)
  end
  for _, key in ipairs(state.order) do
    local value = state.writes[key]
    if value then
      batch:put(key, value, state.options[key] or nil)
    else
      batch:delete(key)
    end
  end
  return batch:commit()
end

-- Without writes there is nothing to check: what it has read was so, all at one moment.
local function commit(state)
  local failure = state.failure
  if failure then return nil, failure.message, failure.code end
  if next(state.writes) == nil then return true end
  return write_all(state)
end

-- A function that returns nothing has succeeded all the same.
local function or_true(...)
  if select("#", ...) == 0 then return true end
  return ...
end

local function finish(state, ...)
  state.is_closed = true
  local version, message, code = commit(state)
  if not version then return false, code == "conflict" and not state.failure, message, code end
  return true, or_true(...)
end

-- true and what the function returned; or false, whether to run it again, message, code.
local function attempt(db, f)
  local coroutines, this = coroutines_of(db), coroutine.running()
  local state, message, code = begin(db)
  if not state then return false, false, message, code end
  coroutines[this] = true
  local _ <close> =
    setmetatable({ state = state, coroutines = coroutines, coroutine = this }, ending)
  local transaction = setmetatable({}, metatable)
  states[transaction] = state
  return finish(state, f(transaction))
end

-- Out of step with the others, longer each time, up to a millisecond. Nothing is held.
local function back_off(number)
  if number < 3 then return end
  local chance = core.now() * 1e6 % 1000 / 1000 -- of the microseconds, to leave math.random alone
  core.pause(chance * math.min(2 ^ number, 1000) / 1e6)
end

local function take_turn(db, f, left, number, ok, ...)
  if ok then return ... end
  local again, message, code = ...
  if not again then return nil, message, code end
  if left == 0 then
    return nil, ("the transaction was run %d times, and others were always in its way: %s")
      :format(number, message), code
  end
  back_off(number)
  return take_turn(db, f, left - 1, number + 1, attempt(db, f))
end

--- Whether a value is a transaction: true; false when it has ended, nil for anything else.
function transactions.is_open(value)
  local state = states[value]
  if not state then return nil end
  return not state.is_closed
end

--- Run a function as a transaction; see db:transaction.
function transactions.run(db, f, opts, level)
  if type(f) ~= "function" then
    error(("a transaction is a function, not a %s"):format(type(f)), level + 1)
  end
  local attempts = options.check(options.transaction, opts, level + 1).attempts
    or options.transaction.attempts.default
  if coroutines_of(db)[coroutine.running()] then
    error("a transaction of this store is running already: they do not nest", level + 1)
  end
  return take_turn(db, f, attempts - 1, 1, attempt(db, f))
end

return transactions
