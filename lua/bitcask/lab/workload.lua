--- Workloads: who writes what, when. A workload is a table; `kind` is one of
--
--   uniform     every key written once, then keys at random, all equally often
--   zipf        the same, but the k-th most frequent key in proportion to 1 / k^theta
--   sequential  the same, but one key after the other, over and over
--   deletes     keys at random are written, or with the share `deletes` deleted
--   expiring    keys at random are written and live `ttl` seconds
--   series      new keys only, that live `ttl` seconds, beside the share `overwrites` of writes
--               to keys of the recent past
--   trace       what `bitcask policy record` has recorded
--
-- The other fields, with their defaults, are in workload.options.

local accounting = require "bitcask.lab.accounting"
local chance = require "bitcask.lab.chance"
local options = require "bitcask.options"
local settings = require "bitcask.policy.settings"
local traces = require "bitcask.lab.trace"

local record_size = accounting.record_size

local workload = {}

local function value_size(value)
  local least, most = value, value
  if type(value) == "table" then least, most = value[1], value[2] end
  local is_range = math.type(least) == "integer" and math.type(most) == "integer" and
    0 <= least and least <= most
  if not is_range then return nil, "a number of bytes, or {least, most}" end
  return { least, most }
end

local function kind(value)
  if workload.kinds[value] then return value end
  return nil, "one of " .. table.concat(workload.names(), ", ")
end

local function text(value)
  if type(value) == "string" then return value end
  return nil, "a string"
end

workload.options = {
  kind = { check = kind, sentence = "who writes what; see above" },
  name = { check = text, sentence = "what to call it in reports; its kind when left out" },
  keys = {
    default = 100000, check = settings.count(1),
    sentence = "how many keys there are, or live at once",
  },
  writes = {
    default = 1000000, check = settings.count(1),
    sentence = "how many writes and deletes, after each key was written once",
  },
  warmup = {
    default = 0, check = settings.count(0),
    sentence = "how many of these come before figures are taken",
  },
  key_size = { default = 16, unit = "bytes", check = settings.count(0), sentence = "of each key" },
  value_size = {
    default = { 100, 100 }, unit = "bytes", check = value_size,
    sentence = "of each value, or {least, most}, then evenly between them",
  },
  segment_size = {
    unit = "bytes", check = settings.count(128),
    sentence = "at which segments are sealed; a fortieth of all keys' records when left out",
  },
  rate = {
    default = 1000, unit = "writes per second", check = settings.above(0),
    sentence = "how fast they come",
  },
  ttl = {
    unit = "seconds", check = settings.above(0),
    sentence = "how long keys live (expiring, series); when left out, as long as `keys` writes " ..
      "take",
  },
  theta = { default = 0.99, check = settings.share, sentence = "how skewed zipf is, below 1" },
  deletes = {
    default = 0.5, check = settings.share, sentence = "which share of the operations are deletes",
  },
  overwrites = {
    default = 0, check = settings.share, sentence = "which share of a series goes to old keys",
  },
  seed = { default = 1, check = settings.count(0), sentence = "of chance" },
  path = { check = text, sentence = "the file of a trace" },
  trace = {
    check = function(value)
      if traces.is_trace(value) then return value end
      return nil, "a trace that was read"
    end,
    sentence = "the trace itself",
  },
}

--- Names of the kinds, sorted.
function workload.names()
  local names = {}
  for name in pairs(workload.kinds) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- When what is written now expires: to the millisecond, as the engine has it.
local function due(now, ttl)
  return ((now + ttl) * 1000 + 0.5) // 1 / 1000
end

-- ---- What each kind does --------------------------------------------------------------

-- Each is function(values, player) and returns function(store, i), which does the i-th
-- operation and returns whether a segment was sealed for it. `player.size(expires)` is the size of
-- a record to write.
local kinds = {}
workload.kinds = kinds

function kinds.uniform(values, player)
  local even, keys, size = chance.even(values.seed), values.keys, player.size
  return function(store) return store:put(even(keys), size()) end
end

function kinds.zipf(values, player)
  local zipf, size = chance.zipf(values.seed, values.keys, values.theta), player.size
  return function(store) return store:put(zipf(), size()) end
end

function kinds.sequential(values, player)
  local keys, size = values.keys, player.size
  return function(store, i) return store:put((i - 1) % keys + 1, size()) end
end

function kinds.deletes(values, player)
  local even, keys, size = chance.even(values.seed), values.keys, player.size
  local deletes = values.deletes * 2 ^ 20
  return function(store)
    local key = even(keys)
    if even(1 << 20) <= deletes then return store:delete(key) end
    return store:put(key, size())
  end
end

function kinds.expiring(values, player)
  local even, keys, size = chance.even(values.seed), values.keys, player.size
  local ttl = values.ttl
  return function(store) return store:put(even(keys), size(true), due(store.now, ttl)) end
end

function kinds.series(values, player)
  local even, size, ttl = chance.even(values.seed), player.size, values.ttl
  local overwrites, expires = values.overwrites * 2 ^ 20, ttl < math.huge
  local newest = 0
  return function(store)
    local key = newest + 1
    if newest > 0 and even(1 << 20) <= overwrites then
      key = newest + 1 - even(math.min(newest, values.keys))
    end
    newest = math.max(newest, key)
    return store:put(key, size(expires), expires and due(store.now, ttl) or nil)
  end
end

function kinds.trace(values)
  local trace = values.trace
  local sizes, expires = trace.sizes, trace.expires
  return function(store, i)
    if sizes[i] < 0 then return store:delete(trace.keys[i]) end
    return store:put(trace.keys[i], sizes[i], expires[i])
  end
end

-- Those that begin with a store that has every key.
local is_filled = { uniform = true, zipf = true, sequential = true, deletes = true }

-- ---- Checking -------------------------------------------------------------------------

-- Something has to be left to measure.
local function check_warmup(values)
  if values.warmup == 0 or values.warmup < values.writes then return values end
  local format = "the workload's option 'warmup' is %d; it should be fewer than the writes, %d"
  return nil, format:format(values.warmup, values.writes)
end

local function check_together(values)
  if values.kind == "zipf" and values.theta >= 1 then
    return nil, "the workload's option 'theta' is 1; it should be a share below 1"
  end
  if values.kind ~= "trace" then return check_warmup(values) end
  if not values.trace then
    if not values.path then return nil, "a workload of kind trace needs a path, or a trace" end
    local message
    values.trace, message = traces.read(values.path)
    if not values.trace then return nil, message end
  end
  values.writes = math.min(values.writes, values.trace.count)
  return check_warmup(values)
end

local function data_size(values)
  local size = values.value_size
  local ttl = values.kind == "expiring" or values.kind == "series"
  local record = record_size(values.key_size, (size[1] + size[2]) // 2, ttl)
  return values.kind == "trace" and values.trace.live_bytes or values.keys * record
end

--- Check a workload, and fill in what it leaves out.
---@param given table
---@return table|nil values
---@return string? message what is wrong with it
function workload.check(given)
  local set = workload.options
  local values = {}
  for name, option in pairs(set) do values[name] = option.default end
  if given.kind == nil then
    return nil, "a workload needs a kind: one of " .. table.concat(workload.names(), ", ")
  end
  for name, value in pairs(given) do
    local ok, checked = pcall(options.check_one, set, name, value, 1)
    if not ok then return nil, "workload: " .. tostring(checked):gsub("^[^:]+:%d+: ", "") end
    values[name] = checked
  end
  if given.kind == "trace" and not given.writes then values.writes = math.maxinteger end
  local message
  values, message = check_together(values)
  if not values then return nil, message end
  values.name = values.name or values.kind
  values.ttl = values.ttl or values.keys / values.rate
  values.segment_size = values.segment_size or math.max(1024, data_size(values) // 40)
  return values
end

-- ---- Playing --------------------------------------------------------------------------

local function sizer(values)
  local least, most = values.value_size[1], values.value_size[2]
  local fixed = record_size(values.key_size, least)
  local fixed_expiring = record_size(values.key_size, least, true)
  if least == most then
    return function(expires) return expires and fixed_expiring or fixed end
  end
  local even = chance.even(values.seed + 1)
  return function(expires)
    return record_size(values.key_size, least - 1 + even(most - least + 1), expires)
  end
end

--- What plays a checked workload.
---@param values table
---@return table player `fill`: keys to write first; `size(expires)`: of a record to write;
--- `step(store, i)`: does the i-th operation, true when a segment was sealed for it;
--- `time(i)`: when it is, seconds; `tombstone_size(key)`
function workload.player(values)
  local player = { fill = is_filled[values.kind] and values.keys or 0, size = sizer(values) }
  player.step = kinds[values.kind](values, player)
  local tombstone = record_size(values.key_size, 0)
  local trace, rate = values.trace, values.rate
  if values.kind == "trace" then
    function player.tombstone_size(key) return trace.tombstone_sizes[key] end
    function player.time(i) return trace.times[i] end
  else
    function player.tombstone_size() return tombstone end
    function player.time(i) return i / rate end
  end
  return player
end

return workload
