--- bitcask: a log-structured key/value store that loses nothing.
--
--   local bitcask = require "bitcask"
--   local db <close> = assert(bitcask.open("data/users"))
--   assert(db:put("ada", "1815"))
--   print(db:get("ada"))
--
-- Misuse raises; the world's failures return nil, message, code. An absent key is nil
-- alone, and no failure.

local consulting = require "bitcask.consulting"
local core = require "bitcask.core"
local hash = require "bitcask.hash"
local jobs = require "bitcask.job"
local merging = require "bitcask.merging"
local options = require "bitcask.options"
local scenario = require "bitcask.scenario"
local sim = require "bitcask.sim"
local policy = require "bitcask.policy"
local transactions = require "bitcask.transaction"
require "bitcask.store" -- gives stores their methods

local bitcask = {}

bitcask._VERSION = "bitcask " .. core.version

--- The codes of failures, each under its own name: `code == bitcask.errors.locked`.
---@type table<string, string>
bitcask.errors = core.codes

--- xxHash for any use; see bitcask.hash.
bitcask.hash = hash

--- Simulated disks; see bitcask.sim.
bitcask.sim = sim

--- Stories that are cut short at every moment; see bitcask.scenario.
bitcask.scenario = scenario

--- What to merge and when; see bitcask.policy.
bitcask.policy = policy
options.open.policy.default = policy.default() -- which is made of modules that check options

local function check_directory(directory)
  if type(directory) ~= "string" then
    error(("the name of the directory is a string, not a %s"):format(type(directory)), 3)
  end
  if directory == "" then error("the name of the directory is empty", 3) end
  if directory:find("\0", 1, true) then
    error("the name of the directory has a zero byte in it", 3)
  end
end

--- Open the store in a directory.
--
-- `on_event` is called with a table at the end of the call on the store during which, or
-- before which, something happened; the first may come at the end of `open` itself. An
-- error in it breaks nothing: it is said with warn(), and the next event is delivered. It
-- cannot yield. Events, by `kind`:
--
--   "recovered"   what opening did: seconds, records, segments, torn_bytes, orphans
--   "sealed"      segment, bytes
--   "merging"     segments, bytes, reason
--   "merged"      report, seconds, reason
--   "corruption"  file, offset, bytes, message
--   "error"       code, message: background work that failed
--
-- A `policy` is asked in the state that gave it, at the end of the first call on the store after a
-- segment was sealed, after much has died, and after a merge that did anything has ended. What it
-- plans is done on a thread of the engine's. It cannot yield, may read the store, and may neither
-- merge nor close it; it takes ten million instructions at most. What it raises, and nonsense
-- that it returns, is told as an event, `kind` "error" and `code` "policy".
--
-- A Lua function as `hash` runs in the calls on the store, cannot yield, and may call the
-- store but not close it; what it raises, the call raises. Such a store is not shared.
---@param directory string is made if it is not there, but not its parents
---@param opts? table the options in bitcask.options: `readonly`, `create`, `sync`,
--- `segment_size`, `hash`, `policy`, `ttl`, `verify`, `salvage`, `disk`, `on_event`
---@return bitcask.store|nil store
---@return string? message which file, and why
---@return string? code "locked", "notfound", "corrupt", "incompatible", "busy", "io",
--- "nospace", "nomemory". Raises for unknown options and wrong values.
function bitcask.open(directory, opts)
  check_directory(directory)
  local checked = options.check(options.open, opts, 2)
  -- 0, not -1, is for ever here.
  checked.ttl_ms = checked.ttl and math.max(0, options.ttl_ms(checked.ttl))
  local merge_by = checked.policy
  checked.consults = merge_by and "only" or nil
  if merge_by == nil then
    merge_by = options.open.policy.default
    checked.consults = merge_by and "if_free" or nil -- who comes second does without
  end
  local db, message, code = core.cask.open(directory, checked)
  if db and merge_by and core.cask.consults(db) then consulting.attach(db, merge_by) end
  return db, message, code
end

local kinds = {
  { name = "store", is_open = core.cask.is_open },
  { name = "iterator", is_open = core.iterator.is_open },
  { name = "snapshot", is_open = core.snapshot.is_open },
  { name = "batch", is_open = core.batch.is_open },
  { name = "changes", is_open = core.changes.is_open },
  { name = "transaction", is_open = transactions.is_open },
  { name = "job", is_open = jobs.is_open },
  { name = "merging", is_open = merging.is_open },
}

--- What kind of handle a value is, as io.type tells of files.
---@param value any
---@return string|nil kind "store", "iterator", "snapshot", "batch", "changes", "transaction",
--- "job", "merging", or "closed store" and so on; nil for anything else
function bitcask.type(value)
  for _, kind in ipairs(kinds) do
    local is_open = kind.is_open(value)
    if is_open ~= nil then return is_open and kind.name or "closed " .. kind.name end
  end
  return nil
end

return bitcask
