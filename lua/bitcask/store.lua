--- What a store answers to. Most of it is the core's own; what is made of several of its
-- calls is here.
--
-- On every call: misuse raises (wrong types, a closed store, a store that came through a
-- fork); what goes wrong outside returns nil, message, code, where code is one of
-- bitcask.errors.

local consulting = require "bitcask.consulting"
local core = require "bitcask.core"
local jobs = require "bitcask.job"
local merging = require "bitcask.merging"
local options = require "bitcask.options"
local transactions = require "bitcask.transaction"
local walks = require "bitcask.walk"
require "bitcask.batch" -- documents what batches answer to
require "bitcask.snapshot" -- gives snapshots their methods

local cask, iterator = core.cask, core.iterator

--- An open store. Closes itself at the end of a `local db <close>`, raising there what
-- db:close would return, unless an error is on its way already; and when it is collected.
---@class bitcask.store
local store = cask.methods

--- Store `value` under `key`.
---@param key string up to 65535 bytes, any
---@param value string up to 2^32-1 bytes, any
---@param opts? table `ttl` (seconds, with fractions, after which it is gone; math.huge: never,
--- whatever the store's default is), `if_version` (write only if this is the key's current
--- version), `if_absent` (write only if there is no such key)
---@return integer|nil version of this write: unique, and higher than any before
---@return string? message
---@return string? code "conflict" where the condition does not hold, "nospace", "toolarge",
--- "readonly", "io", "stopped", "nomemory"
store.put = cask.put

--- The value of a key.
---@param key string
---@return string|nil value nil alone: there is none
---@return integer|string? version or message
---@return string? code "corrupt", "io", "nomemory"
store.get = cask.get

--- Whether there is such a key. Reads no value.
---@param key string
---@return boolean|nil is_there
---@return string? message
---@return string? code
store.has = cask.has

--- Delete a key.
---@param key string
---@param opts? table `if_version`, `if_absent`, as for put
---@return integer|boolean|nil version of the tombstone; false where there was no such key
---@return string? message
---@return string? code as for put
store.delete = cask.delete

--- What is known of a key without reading its value.
---@param key string
---@return table|nil stat `version`, `size` (bytes of the value), `expires` (seconds since
--- 1970; nil: never), `segment` (id), `offset` (bytes into that segment); nil alone: no key
---@return string? message
---@return string? code
store.stat = cask.stat

--- The values of many keys, read in the order in which they stand in the files.
---@param keys string[]
---@return table<string, string>|nil values what is absent is not in it
---@return string? message where any of the keys could not be read
---@return string? code as for get
store.get_many = cask.get_many

--- The number of keys; `#db` is the same.
---@return integer count
store.count = cask.count

--- Flush: every write that returned before is on stable storage.
---@return boolean|nil ok true
---@return string? message
---@return string? code "io", "nospace", "stopped"
store.sync = cask.sync

--- Seal the active segment now, so that it can be merged.
---@return integer|boolean|nil id of that segment; false where nothing was written since the
--- last
---@return string? message
---@return string? code as for put
store.seal = cask.seal

--- Write down now what opening needs to know, so that after a kill, too, it takes only as long
-- as what was written since takes to be gone through. It is done without being asked at a clean
-- close, and in the background now and then.
---@return boolean|nil done, string|nil message, string|nil code `false`: not with a hash
--- function of one's own; code "busy": while a merge changes over
store.checkpoint = cask.checkpoint

--- Move a store opened with `readonly` forward to what the writer has written since.
-- Iterators keep their view. Elsewhere it does nothing.
---@return boolean|nil ok true
---@return string? message
---@return string? code
store.refresh = cask.refresh

--- The store's figures, all numbers, as they are now or since it was opened: `keys`,
-- `bytes`, `live_bytes`, `dead_bytes`, `segments`, `open_files`, `keydir_bytes`, `gets`,
-- `puts`, `deletes`, `merges`, `syncs`, `snapshots`, `version`, and more.
---@return table<string, integer>|nil stats
---@return string? message
---@return string? code
store.stats = cask.stats

--- Close the store, and its iterators, snapshots, batches, changes and jobs with it.
-- Everything is given back whatever is returned. Closing twice is harmless; any other call
-- afterwards raises.
---@return boolean|nil ok true
---@return string? message the last flush failed
---@return string? code "io", "nospace", "stopped"
store.close = cask.close

-- Raise at the caller of the method, not in it.
local function check_open(db)
  local ok, message = pcall(cask.count, db)
  if not ok then error(message, 3) end
end

-- ---- Iteration -----------------------------------------------------------------------

--- Iterate over the pairs: `for key, value, version in db:pairs() do ... end`, in no order
-- that could be relied on, over the store as it is now: nothing written, sealed or merged
-- meanwhile changes what comes. Leaving the loop gives its resources back. `pairs(db)` does
-- the same, except that after a `break` they come back when the iterator is collected.
---@param opts? table `prefix`: only keys that begin so; `on_damage`: "raise" (the default)
--- at a damaged record, or "skip" it and report it as an event
---@return function next raises what fails
---@return userdata iterator has `close`
---@return nil
---@return userdata closing
function store:pairs(opts)
  return walks.begin(iterator.open, self, opts, false)
end

--- Iterate over the keys alone, reading no values: `for key in db:keys() do ... end`.
---@param opts? table as for pairs
---@return function next
---@return userdata iterator
---@return nil
---@return userdata closing
function store:keys(opts)
  return walks.begin(iterator.open, self, opts, true)
end

-- ---- Several writes, one moment, what has happened -----------------------------------

--- A batch: writes that are collected, and count all or not at all, through any crash.
---@return bitcask.batch|nil batch empty
---@return string? message
---@return string? code "nomemory"
store.batch = core.batch.open

--- A snapshot: the store as it is now, for as long as it is wanted.
---@return bitcask.snapshot|nil snapshot
---@return string? message
---@return string? code "nomemory"
store.snapshot = core.snapshot.open

--- Run `f(tx)`, which reads and writes with `tx` (get, has, stat, put, delete) as if nobody
-- else were there: what it has written is written as one batch, if all that it has read is
-- still so; otherwise it is run again, so it should do nothing else that cannot be done twice.
-- Others are not kept waiting. An error in it discards what it has written, and is passed on
-- unchanged. It may yield where Lua allows it, and may call the store, which is then no part
-- of the transaction; transactions of one store do not nest.
---@param f function f(tx)
---@param opts? table `attempts`: how often it is run at most, 1000 when left out
---@return any what `f` has returned; true where it returned nothing. Or nil
---@return string? message
---@return string? code "conflict": others were in the way at every attempt; the code of a read
--- or write of the transaction that failed; as for batch:commit
function store:transaction(f, opts)
  check_open(self)
  return transactions.run(self, f, opts, 1) -- 1: a tail call leaves no frame of this function
end

local function check_version(since)
  local version = since == nil and 0 or type(since) == "number" and math.tointeger(since)
  if not version or version < 0 then
    error("a version should be an integer from 0, got " .. tostring(since), 3)
  end
  return version
end

--- Iterate over what was written after a version, oldest first, up to now:
-- `for change in db:changes(since) do ... end`. What was written over since comes as long as it
-- is on disk; where merges have dropped some of it that is said, and not passed over: the
-- iterator raises when it happens on the way.
---@param since? integer the version of the last change that is known; 0 when left out
---@return function|nil next gives a table: `version`, `key`, `value` (nil: deleted), `deleted`
--- (boolean), `expires` (seconds since 1970, or nil); raises what fails
---@return userdata|string changes has `close`; or message
---@return string? code "notfound": merges have dropped writes after that version; "corrupt",
--- "io", "nomemory"
---@return userdata? closing
function store:changes(since)
  check_open(self)
  return core.changes.open(self, check_version(since))
end

-- ---- The store as a table ------------------------------------------------------------

local function check_key(key)
  if type(key) ~= "string" then
    error("a key should be a string, got " .. (math.type(key) or type(key)), 3)
  end
end

local function check_value(value)
  if type(value) ~= "string" then
    error("a value should be a string, got " .. (math.type(value) or type(value)), 3)
  end
end

--- The store in the clothes of a table: `t[k]`, `t[k] = v`, `t[k] = nil`, `pairs(t)`, and
-- `#t` for the number of keys. What fails is raised. Functions that go past metamethods,
-- `next` and `rawget` among them, see an empty table.
---@return table<string, string> proxy
function store:table()
  check_open(self)
  local db = self
  local metatable = { __name = "bitcask table", __metatable = "bitcask table" }
  function metatable.__index(_, key)
    check_key(key)
    local value, message, code = cask.get(db, key)
    if code then error(message, 2) end
    return value
  end
  function metatable.__newindex(_, key, value)
    check_key(key)
    local version, message
    if value == nil then
      version, message = cask.delete(db, key)
    else
      check_value(value)
      version, message = cask.put(db, key, value)
    end
    if version == nil then error(message, 2) end
  end
  function metatable.__pairs()
    return walks.begin(iterator.open, db, nil, false)
  end
  function metatable.__len()
    return cask.count(db)
  end
  return setmetatable({}, metatable)
end

-- ---- Segments and merging ------------------------------------------------------------

--- The store as policies see it.
---@return table|nil description `segments` (sealed, oldest first), `active` (the segment
--- being written, or nil), `bytes`, `live_bytes`, `dead_bytes` (of all, the active one
--- included), `keys`, `now` (seconds since 1970), `segment_size` (bytes at which the active one
--- is sealed). A segment: `id`, `bytes`, `live_bytes`, `dead_bytes`, `records`,
--- `live_records`, `tombstones`, `tombstone_bytes`, `expired_bytes`, `expired` (when the last of
--- those did, seconds since 1970; nil: nothing has), `min_version`, `max_version`, `created`,
--- `sealed` (seconds since 1970), `pinned` (held by readers), `damaged` (a merge met damage in
--- it), `active`
---@return string? message
---@return string? code
function store:segments()
  check_open(self)
  local all, message, code = cask.segments(self)
  if not all then return nil, message, code end
  local description = {
    segments = {}, bytes = 0, live_bytes = 0, dead_bytes = 0,
    keys = cask.count(self), now = cask.now(self), segment_size = cask.segment_size(self),
  }
  for _, segment in ipairs(all) do
    if segment.active then
      description.active = segment
    else
      table.insert(description.segments, segment)
    end
    for _, figure in ipairs { "bytes", "live_bytes", "dead_bytes" } do
      description[figure] = description[figure] + segment[figure]
    end
  end
  return description
end

-- The plan, checked while nothing of a policy's is under way: what it names is there until the
-- policy is released.
local function hold_and_check(db, plan, set)
  consulting.check_not_asking(db, 3)
  jobs.settle(db)
  consulting.hold(db)
  local ok, checked = pcall(merging.check, db, plan, set, 4)
  if ok then return checked end
  consulting.release(db)
  error(checked, 0)
end

--- Merge now, and wait. Reads and writes may go on meanwhile: from `progress`, and in other
-- threads and states.
---@param plan? table a list of ids of sealed segments (one merge), or a list of such lists
--- (several, one after the other); beside the list, or alone: `segments` (the same list),
--- `rate` (bytes per second), `reason` (text), `progress` (function(p), with `p.done`,
--- `p.total`, `p.what`), `filter`. nil: every sealed segment with anything to drop, and with a
--- filter every one; {}: nothing. The filter is a function(key, value, info) with
--- `info.version`, `info.expires` (seconds since 1970, or nil) and `info.segment`. It is
--- called once for each live record of these segments, and returns true (keep), false (delete
--- the key) or a string (its new value). It may call the store, and yield; it may be asked
--- again about a record, where a merge has to begin again, so it should do nothing else that
--- cannot be done twice. What it says is written, as deletes and puts with versions of their
--- own, when all was asked: a key that was written meanwhile stays as it was written
---@return table|nil report `segments_in`, `segments_out`, `bytes_read`, `bytes_written`,
--- `records_kept`, `records_dropped`, `tombstones_kept`, `tombstones_dropped`,
--- `segments_damaged`, `keys_dropped` and `keys_rewritten` (by the filter), `seconds`; of
--- several merges the sum, and each in `merges`
---@return string? message of several merges, those before are committed
---@return string? code "busy", "readonly", "io", "nospace", "corrupt", "stopped"
--- Raises where the plan names segments that are not there or not sealed, and what
--- `progress` and `filter` raise; the merge is then undone.
function store:merge(plan)
  check_open(self)
  local checked = hold_and_check(self, plan, options.merge)
  return consulting.release_after(self, pcall(merging.now, self, checked, 3))
end

--- Merge in bounded steps, for programs that have other things to do between them:
--
--   for p in db:merging { step = 2^20 } do coroutine.yield() end
--
-- Leaving the loop undoes what is not committed. No step waits: at a `rate`, one that comes
-- too early does nothing, and `p.delay` tells when the next is due. The steps that begin and
-- end a merge take longer than others: they walk what is in memory, and flush what was copied.
---@param plan? table as for merge, with `step` (bytes, about 2^20 when left out), and without
--- `progress`
---@return function next gives a table: `done` and `total` (bytes read and to read by this
--- merge), `what`, `finished`, `delay` (seconds), `merge` of `merges`; and `report` where a
--- merge has ended, which is that of the whole plan in the last. Raises what fails, "busy" too
---@return userdata iterator has `close`
---@return nil
---@return userdata closing
function store:merging(plan)
  check_open(self)
  local checked = hold_and_check(self, plan, options.merging)
  return merging.steps(self, checked, function() consulting.release(self) end)
end

--- Start merging on a thread of the engine's. The job goes on even when it is dropped.
---@param plan? table as for merge, without `progress` and `filter`
---@return bitcask.job|nil job
---@return string? message
---@return string? code as for merge
function store:merge_async(plan)
  check_open(self)
  local checked = hold_and_check(self, plan, options.plan)
  return consulting.release_after(self, pcall(jobs.start, self, checked, 2))
end

--- Ask the store's policy what to merge, do that, and wait; a merge that it has under way
-- already is waited for first.
---@return table[]|nil reports one for each merge that did anything, as db:merge returns them; {}
--- where there was nothing to do, or the store has no policy
---@return string? message
---@return string? code "policy": it failed, or what it returned is no plan; as for merge
function store:maintain()
  check_open(self)
  consulting.check_not_asking(self, 2)
  return consulting.maintain(self)
end

return store
