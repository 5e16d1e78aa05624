--- The simulated disk: a file system in memory on which the real engine runs unchanged, and
-- which can be asked what a power cut at this moment could leave.
--
--   local disk = bitcask.sim.disk { seed = 7 }
--   local db = assert(bitcask.open("store", { disk = disk }))
--   db:put("ada", "1815")
--   for survivor, name in disk:crash_states() do
--     local after <close> = assert(bitcask.open("store", { disk = survivor }))
--     print(name, after:get("ada"))
--   end
--
-- What may survive: any subset of what no completed sync covers. Names, lengths and sectors
-- are kept or lost one by one; a sector may hold any of the writes to it, or garbage
-- where it was written to. docs/reliability.md has the model in full.
--
-- On a simulated disk the engine has no thread of its own: what it would do in the background
-- it does inside the calls that cause it. The clock stands still until `disk:advance` moves
-- it, and random bytes follow from the seed, so that the same program does the same again.

local checks = require "bitcask.checks"
local core = require "bitcask.core"
local options = require "bitcask.options"

local sim = {}

local boolean, text, word_of = checks.boolean, checks.text, checks.word_of

-- How often a fault happens; for ever is -1 in C.
local function times(value)
  if value == math.huge then return -1 end
  local integer = type(value) == "number" and math.tointeger(value)
  if not integer or integer < 1 then return nil, "a whole number above 0, or math.huge" end
  return integer
end

local any_integer, at_least_0, at_least_1 = checks.whole(), checks.whole(0), checks.whole(1)

--- The options of sim.disk.
sim.disk_options = {
  seed = { default = 1, check = any_integer, sentence = "what its random bytes follow from" },
  sector = {
    default = 512,
    unit = "bytes",
    check = at_least_1,
    sentence = "what a power cut writes as one",
  },
  space = {
    default = 0,
    unit = "bytes",
    check = at_least_0,
    sentence = 'what fits on it before "nospace"; 0: no limit',
  },
  allocation = {
    default = 1024,
    unit = "bytes",
    check = at_least_1,
    sentence = "what a growing file is given ahead, at the least",
  },
  mapped = {
    default = true,
    check = boolean,
    sentence = "let files be read through mappings, as the real disk does",
  },
}

--- The operations that can fail, by name.
sim.operations = {
  "open_directory", "create", "open", "reopen", "reserve", "remove", "rename",
  "sync_directory", "list", "lock", "append", "write_at", "cut", "read", "sync", "finish",
  "random",
}

--- The options of disk:fail.
sim.fault_options = {
  op = {
    default = "any",
    check = word_of("any", table.unpack(sim.operations)),
    sentence = "which operation fails: a name of sim.operations, or any",
  },
  file = { default = "", check = text, sentence = "only on files with this in their name" },
  at = { default = 1, check = at_least_1, sentence = "from the n-th such operation from now on" },
  times = { default = 1, check = times, sentence = "so many of them; math.huge: all" },
  error = {
    default = "io",
    check = word_of("io", "nospace", "nomemory"),
    sentence = "the code that it fails with",
  },
  written = {
    default = 0,
    unit = "bytes",
    check = at_least_0,
    sentence = "so much was written before it failed; of an append, taken back",
  },
  short = {
    default = -1,
    unit = "bytes",
    check = at_least_0,
    sentence = "a read does not fail, but returns no more than this",
  },
  done = {
    default = false,
    check = boolean,
    sentence = "it was done all the same: only its answer is a failure",
  },
}

--- The options of disk:crash_states.
sim.state_options = {
  limit = {
    default = 1000,
    check = at_least_1,
    sentence = "all states where there are no more than this; else about so many",
  },
  seed = { default = 1, check = any_integer, sentence = "what is drawn where not all are made" },
}

-- What was given, and defaults for the rest.
local function complete(set, given, level)
  local checked = options.check(set, given, level + 1)
  for name, option in pairs(set) do
    if checked[name] == nil then checked[name] = option.default end
  end
  return checked
end

--- A new empty disk.
---@param opts? table the options in sim.disk_options: `seed`, `sector`, `space`, `allocation`,
--- `mapped`
---@return bitcask.sim.disk disk for the option `disk` of bitcask.open
function sim.disk(opts)
  local checked = complete(sim.disk_options, opts, 2)
  return assert(core.sim.new(checked.seed, checked.sector, checked.space, checked.allocation,
    not checked.mapped))
end

---@class bitcask.sim.disk
local methods = core.sim.methods

local open_directory = methods.directory

--- A directory of the disk, to write a store of one's own in; it is made where there is none,
-- and its own name is durable then. What is done there is counted, fails and is lost by the
-- same rules as what the engine does.
--
--   directory:create(name)      a file, new and empty; `"exists"`
--   directory:open(name)        a file, to be read and written; `"notfound"`
--   directory:remove(name)      `"notfound"`
--   directory:rename(from, to)  atomic; a file that had the name `to` is gone; `"notfound"`
--   directory:sync()            makes the changes of names durable; a file's sync does not
--   directory:list()            the names, in no order
--
--   file:append(bytes)          all or nothing; returns the offset at which they stand
--   file:write_at(offset, bytes)  zeros come before them where the file ends earlier
--   file:read([offset [, size]])  a string, shorter than `size` at the end of the file
--   file:size()                 bytes, as programs see it
--   file:sync()                 makes the contents durable, and the length
--   file:cut(length)            no more than its size
--   file:close()                it is gone for this handle; to use it then raises
--
-- Appends to a file go through one handle: each knows an end of its own. A removed file can be
-- used through its handles. All return true where nothing else is said; failures are
-- nil, message, code.
---@param path string
---@return bitcask.sim.directory|nil directory nil, message, code where the disk fails
function methods:directory(path) return open_directory(self, path) end

--- Let an operation fail. Several faults may be set; each counts operations by itself.
--
-- After a failed sync, what was not durable by then never will be, whatever later syncs say:
-- the system takes its pages for clean.
---@param fault table the options in sim.fault_options: `op`, `file`, `at`, `times`, `error`,
--- `written`, `short`, `done`
---@return boolean true
function methods:fail(fault)
  local checked = complete(sim.fault_options, fault, 2)
  return assert(self:set_fault(checked.op, checked.file, checked.at, checked.times, checked.error,
    checked.written, checked.short, checked.done))
end

--- Move the clock of the disk, forwards or backwards.
---@param seconds number
---@return boolean true
function methods:advance(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or math.abs(seconds) > 1e12 then
    error("the clock is moved by a number of seconds", 2)
  end
  return assert(self:advance_ms(math.floor(seconds * 1000 + 0.5)))
end

--- The disks that a power cut at this moment could leave.
---@param opts? table the options in sim.state_options: `limit`, `seed`
---@return fun(): bitcask.sim.disk, string iterator of a disk and the name of its state
function methods:crash_states(opts)
  local checked = complete(sim.state_options, opts, 2)
  local states = assert(self:states(checked.limit, checked.seed))
  return function() return states:next() end
end

--- How many states disk:crash_states could make in all.
---@return number count
function methods:crash_state_count() return assert(self:states(1, 1)):total() end

--- One of the disks of disk:crash_states, by the name it came with.
---@param name string
---@param seed? integer the seed that disk:crash_states had, which garbage is drawn by
---@return bitcask.sim.disk disk raises where there is no such state
function methods:crash_state(name, seed)
  return assert(self:states(1, seed or 1)):named(name)
end

--- What is left when the process dies at this moment, and the machine runs on.
---@param torn? integer bytes that were made of the write which comes next in a replay
---@return bitcask.sim.disk|nil disk nil where no write comes that has so many bytes
function methods:kill(torn) return self:kill_raw(torn or 0) end

return sim
