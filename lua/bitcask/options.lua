--- What can be chosen: every option of every call, with its default, its check and the
-- sentence that explains it. Checking and documentation both come from these tables.
--
-- An option is `{default =, unit =, check =, sentence =}`. `check(value)` returns the value
-- as it is used, or nil and what the option should have been.

local checks = require "bitcask.checks"
local core = require "bitcask.core"

local options = {}

local limits = core.limits

local boolean, callable, text = checks.boolean, checks.callable, checks.text
local integer_between, one_of = checks.integer_between, checks.words

local function is_positive(value)
  return type(value) == "number" and value > 0 and value < math.huge
end

local sync_words, sync_wanted = one_of("none", "always")

local function sync(value)
  if sync_words[value] or is_positive(value) then return value end
  return nil, sync_wanted .. " or a number of seconds above 0"
end

local hash_names, hash_wanted = one_of("xxh3", "xxh64", "xxh32")

local function hash(value)
  if hash_names[value] or type(value) == "function" then return value end
  return nil, hash_wanted .. " or a function"
end

local function disk(value)
  if not core.sim.is_disk(value) then return nil, "a disk that bitcask.sim.disk has made" end
  return value
end

local on_damage_words, on_damage_wanted = one_of("raise", "skip")

local function on_damage(value)
  if on_damage_words[value] then return value end
  return nil, on_damage_wanted
end

-- A table that policies return; bitcask.plan looks into it.
local function plan(value)
  if type(value) ~= "table" then return nil, "a list of segment ids, or of such lists" end
  return value
end

-- Longer than this, seconds, is for ever.
local ttl_max = 2 ^ 50

-- Seconds that something lives, above 0; infinitely many are "for ever".
local function ttl(value)
  if type(value) == "number" and value > 0 then return value end -- and no NaN
  return nil, "a number of seconds above 0, or math.huge"
end

local function version(value)
  local integer = type(value) == "number" and math.tointeger(value)
  if not integer or integer < 1 then return nil, "the version of a write" end
  return integer
end

local function rate(value)
  if not is_positive(value) then return nil, "a number of bytes per second above 0" end
  return math.tointeger(math.ceil(math.min(value, 2 ^ 62)))
end

--- Functions that make policies, and are none: bitcask.policy names them here.
options.policy_makers = setmetatable({}, { __mode = "k" })

-- A policy is called with one table; false is none.
local function policy(value)
  local maker = options.policy_makers[value]
  if maker then return nil, ("a policy, as bitcask.policy.%s() returns it"):format(maker) end
  if value == false or type(value) == "function" then return value end
  local metatable = debug.getmetatable(value)
  local call = type(metatable) == "table" and rawget(metatable, "__call")
  if type(call) == "function" then return value end
  return nil, "a policy, which is a function from a store's description to a plan, or false"
end

--- The options of bitcask.open.
options.open = {
  readonly = {
    default = false,
    check = boolean,
    sentence = "never create, write or lock anything in the directory",
  },
  create = {
    default = true,
    check = boolean,
    sentence = 'make the store where there is none; false: "notfound"',
  },
  sync = {
    default = "none",
    unit = "seconds",
    check = sync,
    sentence = 'when writes are flushed: "none", "always", or every so many seconds',
  },
  segment_size = {
    default = limits.segment_size_default,
    unit = "bytes",
    check = integer_between(limits.segment_size_min, limits.segment_size_max),
    sentence = "size at which the active segment is sealed and the next begun",
  },
  hash = {
    default = "xxh3",
    check = hash,
    sentence = "how keys are placed in memory: a name, or function(key) -> integer",
  },
  verify = {
    default = true,
    check = boolean,
    sentence = "check the record's checksum on every read",
  },
  ttl = {
    default = nil,
    unit = "seconds",
    check = ttl,
    sentence = "how long what is written lives that says nothing else; math.huge: for ever",
  },
  salvage = {
    default = false,
    check = boolean,
    sentence = "open, for reading, what is left of a store that would be refused",
  },
  disk = {
    default = nil,
    check = disk,
    sentence = "a simulated disk (bitcask.sim) instead of the file system",
  },
  policy = {
    default = false, -- until bitcask puts its own there
    check = policy,
    sentence = "what to merge and when, by itself: bitcask.policy.default(), another, or false: "
      .. "nothing, never",
  },
  on_event = {
    default = nil,
    check = callable,
    sentence = "function(event), told what the store has done and met",
  },
}

--- The options of puts: of a store, a batch, a transaction.
options.put = {
  ttl = {
    default = nil,
    unit = "seconds",
    check = ttl,
    sentence = "how long it lives; math.huge: for ever, whatever the store's default is",
  },
  if_version = {
    default = nil,
    check = version,
    sentence = 'write only if this is the current version of the key, else "conflict"',
  },
  if_absent = {
    default = false,
    check = boolean,
    sentence = 'write only if there is no such key, else "conflict"',
  },
}

--- The options of deletes.
options.delete = {
  if_version = options.put.if_version,
  if_absent = options.put.if_absent,
}

--- The options of db:transaction.
options.transaction = {
  attempts = {
    default = 1000,
    check = integer_between(1, math.maxinteger),
    sentence = 'how often it is run at most while others are in its way, before "conflict"',
  },
}

--- The options of db:pairs and db:keys.
options.iterate = {
  prefix = { default = "", check = text, sentence = "only keys that begin so" },
  on_damage = {
    default = "raise",
    check = on_damage,
    sentence = 'at a damaged record "raise", or "skip" it and report it as an event',
  },
}

--- What may stand beside the list of a plan, wherever it comes from: the options of
-- db:merge_async.
options.plan = {
  segments = { default = nil, check = plan, sentence = "the plan, when not given as a list" },
  rate = {
    default = nil,
    unit = "bytes per second",
    check = rate,
    sentence = "read at most so fast",
  },
  reason = {
    default = nil,
    check = text,
    sentence = "why; comes back in the report and in events",
  },
}

-- A set of options with others added.
local function with(set, more)
  local both = {}
  for _, options_of_one in ipairs { set, more } do
    for name, option in pairs(options_of_one) do
      both[name] = option
    end
  end
  return both
end

--- What may stand beside the list in the plan of a policy.
options.policy_plan = with(options.plan, {
  seal = {
    default = nil,
    unit = "bytes",
    check = integer_between(1, math.maxinteger),
    sentence = "seal the active segment at so many already, until a plan says otherwise",
  },
})

local filter = {
  default = nil,
  check = callable,
  sentence = "function(key, value, info), which says of each live record whether to keep it "
    .. "(true), to delete its key (false), or its new value",
}

--- The options of db:merge.
options.merge = with(options.plan, {
  filter = filter,
  progress = {
    default = nil,
    check = callable,
    sentence = "function(p) with p.done, p.total and p.what, called while it works",
  },
})

--- The options of db:merging.
options.merging = with(options.plan, {
  filter = filter,
  step = {
    default = 1 << 20,
    unit = "bytes",
    check = integer_between(1, 1 << 40),
    sentence = "about so much is read in one step",
  },
})

--- The names of a set of options, sorted.
---@param set table one of the tables of options above
---@return string[] names
function options.names(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- Check one option; raises where it is unknown or wrong.
---@param set table one of the tables of options above
---@param name any the option's name as it was given
---@param value any
---@param level integer whose mistake it is, as for error
---@return any value as it is used
function options.check_one(set, name, value, level)
  local option = set[name]
  if not option then
    local known = table.concat(options.names(set), ", ")
    error(("unknown option '%s' (known: %s)"):format(tostring(name), known), level + 1)
  end
  local checked, wanted = option.check(value)
  if wanted then
    local given = type(value) == "string" and ("%q"):format(value) or tostring(value)
    error(("option '%s' is %s; it should be %s"):format(name, given, wanted), level + 1)
  end
  return checked
end

--- Check a table of options as a caller gave it.
---@param set table one of the tables of options above
---@param given? table nil: none given
---@param level integer whose mistake it is, as for error
---@return table checked what was given, and nothing else
function options.check(set, given, level)
  local checked = {}
  if given == nil then return checked end
  if type(given) ~= "table" then
    error(("options should be a table, not a %s"):format(type(given)), level + 1)
  end
  for name, value in pairs(given) do
    checked[name] = options.check_one(set, name, value, level + 1)
  end
  return checked
end

--- A time to live in milliseconds, as the core takes it: rounded up, and -1 for ever.
---@param seconds number a checked ttl
---@return integer milliseconds
function options.ttl_ms(seconds)
  if seconds > ttl_max then return -1 end
  return math.max(1, math.ceil(seconds * 1000))
end

--- Check the options of a write.
---@param kind string "put" or "delete"
---@param given? table
---@param level integer whose mistake it is, as for error
---@return table checked
function options.check_write(kind, given, level)
  local checked = options.check(options[kind], given, level + 1)
  if checked.if_version and checked.if_absent then
    error("options 'if_version' and 'if_absent' exclude each other", level + 1)
  end
  return checked
end

-- The core asks what the options of a write come to: how long it lives, in milliseconds, or 0;
-- the version that the key has to have, or 0; whether there may be no such key. A mistake is
-- of whoever called the core, two levels above.
core.check_write_with(function(given, kind)
  local checked = options.check_write(kind, given, 3)
  local ttl_ms = checked.ttl and options.ttl_ms(checked.ttl) or 0
  return ttl_ms, checked.if_version or 0, checked.if_absent or false
end)

return options
