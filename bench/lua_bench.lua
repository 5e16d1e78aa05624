-- What an operation costs from Lua, in nanoseconds: through `require "bitcask"`, through a
-- thin binding of LMDB (native.c), and for a key at hand through bitcask.h without Lua.
-- Rounds alternate between the engines, each with a store of its own. Keys and values are
-- made before the clock starts; every value that is read is compared with what was written, by
-- an operator: a call of assert around each takes 20 to 30 ns, which are no binding's.
-- Calls with one key, over and over, are measured before there are any others: else most of
-- their time would be the collector's, on its way through the strings of this program.
--
--   lua bench/lua_bench.lua [--keys N] [--value-size BYTES] [--rounds N] [--dir DIR]
--                           [--json FILE] [--own-time yes]
--
-- With --own-time yes the time in which the thread waits for a processor is left out.

local native = require "bench_native"
local bitcask = require "bitcask"
local results = require "results"

local options = { keys = 1000000, ["value-size"] = 100, rounds = 3, dir = "/var/tmp", json = "",
  ["own-time"] = "no" }
local VALUES <const> = 16       -- different ones, all in the cache of the processor
local WARM_CALLS <const> = 300000

for i = 1, #arg, 2 do
  local name = arg[i]:match "^%-%-(.+)$"
  local default = options[name] or error("unknown option " .. arg[i], 0)
  options[name] = type(default) == "number" and tonumber(arg[i + 1]) // 1 | 0 or arg[i + 1]
end

-- ---- Data ---------------------------------------------------------------------------

local function random_string(size)
  local words = {}
  for i = 1, (size + 7) // 8 do words[i] = string.pack("<i8", math.random(0)) end
  return table.concat(words):sub(1, size)
end

-- Keys with their values, in one random order for puts and another for gets. In arrays, so that a
-- loop over them costs little of its own, and without ever a table for each pair: the holes that
-- those leave in the heap made a get of either engine four hundred nanoseconds longer.
local function make_data(count, value_size)
  math.randomseed(42)
  local values, data = {}, { keys = {}, values = {} }
  for i = 1, VALUES do values[i] = random_string(value_size) end
  for i = 1, count do
    data.keys[i], data.values[i] = random_string(16), values[math.random(VALUES)]
  end
  local get_keys = table.move(data.keys, 1, count, 1, {})
  local get_values = table.move(data.values, 1, count, 1, {})
  for i = count, 2, -1 do
    local j = math.random(i)
    get_keys[i], get_keys[j] = get_keys[j], get_keys[i]
    get_values[i], get_values[j] = get_values[j], get_values[i]
  end
  data.get_keys, data.get_values = get_keys, get_values
  return data
end

local function absent_keys(count)
  local keys = {}
  for i = 1, count do keys[i] = random_string(16) end
  return keys
end

-- ---- Measuring ----------------------------------------------------------------------

local times = {} -- engine -> metric -> rounds

local function note(engine, metric, nanoseconds)
  times[engine] = times[engine] or {}
  times[engine][metric] = times[engine][metric] or {}
  table.insert(times[engine][metric], nanoseconds)
end

local function measure(engine, metric, count, work)
  collectgarbage()
  local begin = native.now()
  work()
  note(engine, metric, (native.now() - begin) * 1e9 / count)
end

local function fail(engine, key)
  error(("%s: the wrong value, or none, or one too many, for %q"):format(engine, key))
end

local function measure_store(engine, db, data)
  local keys, values, get_keys, get_values = data.keys, data.values, data.get_keys, data.get_values
  local count = #keys
  measure(engine, "put", count, function()
    for i = 1, count do
      if not db:put(keys[i], values[i]) then fail(engine, keys[i]) end
    end
  end)
  measure(engine, "get", count, function()
    for i = 1, count do
      if db:get(get_keys[i]) ~= get_values[i] then fail(engine, get_keys[i]) end
    end
  end)
  local absent = absent_keys(count)
  measure(engine, "absent", count, function()
    for i = 1, count do
      if db:get(absent[i]) ~= nil then fail(engine, absent[i]) end
    end
  end)
end

local function measure_warm(engine, db, key, value)
  measure(engine, "put_warm", WARM_CALLS, function()
    for _ = 1, WARM_CALLS do
      if not db:put(key, value) then fail(engine, key) end
    end
  end)
  measure(engine, "get_warm", WARM_CALLS, function()
    for _ = 1, WARM_CALLS do
      if db:get(key) ~= value then fail(engine, key) end
    end
  end)
end

local function with_directory(name, work)
  local path = ("%s/lua-bench-%s-%x"):format(options.dir, name, os.time())
  assert(os.execute(("mkdir '%s'"):format(path)))
  local _ <close> = setmetatable({}, { __close = function()
    os.execute(("rm -rf '%s'"):format(path))
  end })
  work(path)
end

local engines = {} -- by name: what opens a store of it in a directory

function engines.bitcask(path)
  -- Without merges, as in the calls from C that it is held against.
  return assert(bitcask.open(path, { policy = false }))
end

function engines.lmdb(path)
  return native.lmdb(path, (4 << 30) + 8 * options.keys * (100 + options["value-size"]))
end

-- What Lua itself takes: a table.
local function measure_table(data)
  local keys, values, get_keys, get_values = data.keys, data.values, data.get_keys, data.get_values
  local count = #keys
  local mirror = {}
  measure("lua", "put", count, function()
    for i = 1, count do mirror[keys[i]] = values[i] end
  end)
  measure("lua", "get", count, function()
    for i = 1, count do
      if mirror[get_keys[i]] ~= get_values[i] then fail("lua", get_keys[i]) end
    end
  end)
end

-- A C function that looks at two strings, and the engine without Lua.
local function measure_without(key, value)
  local call = native.call
  measure("lua", "call_warm", WARM_CALLS, function()
    for _ = 1, WARM_CALLS do call(key, value) end
  end)
  with_directory("bitcask", function(path)
    local put, get = native.warm(path, key, value, WARM_CALLS)
    note("bitcask", "c_put_warm", put)
    note("bitcask", "c_get_warm", get)
  end)
end

local ENGINES <const> = { "bitcask", "lmdb", "lua" }

-- Each round begins with the next engine.
local function in_turn(round, measure_one)
  for i = 1, #ENGINES do
    local name = ENGINES[(round + i) % #ENGINES + 1]
    if engines[name] then
      with_directory(name, function(path)
        local db <close> = engines[name](path)
        measure_one(name, db)
      end)
    else
      measure_one(name)
    end
  end
end

local function measure_one_key()
  local key, value = random_string(16), random_string(options["value-size"])
  for round = 1, options.rounds do
    in_turn(round, function(name, db)
      if db then measure_warm(name, db, key, value) else measure_without(key, value) end
    end)
  end
end

local function measure_many(data)
  for round = 1, options.rounds do
    in_turn(round, function(name, db)
      if db then measure_store(name, db, data) else measure_table(data) end
    end)
  end
end

-- ---- Report -------------------------------------------------------------------------

local METRICS <const> = { "put", "get", "absent", "put_warm", "c_put_warm", "get_warm",
  "c_get_warm", "call_warm" }
local function print_table()
  print(("\nfrom Lua: %d keys of 16 bytes, values of %d: ns an operation, medians of %d rounds")
    :format(options.keys, options["value-size"], options.rounds))
  print(("%-12s%12s%12s%12s"):format("", table.unpack(ENGINES)))
  for _, metric in ipairs(METRICS) do
    local row = { ("%-12s"):format(metric) }
    for _, engine in ipairs(ENGINES) do
      local rounds = times[engine][metric]
      row[#row + 1] = rounds and ("%12.0f"):format(results.median(rounds)) or ("%12s"):format "-"
    end
    print(table.concat(row))
  end
end

local function write_json(path)
  local file <close> = assert(io.open(path, "a"))
  file:write(results.encode { part = "lua", keys = options.keys, key_size = 16,
    value_size = options["value-size"], rounds = options.rounds }, "\n")
  for _, engine in ipairs(ENGINES) do
    for _, metric in ipairs(METRICS) do
      for round, value in ipairs(times[engine][metric] or {}) do
        file:write(results.encode { part = "lua", round = round, engine = engine,
          metric = metric, value = value, unit = "ns" }, "\n")
      end
    end
  end
end

local function main()
  if options["own-time"] == "yes" then native.own_time() end
  measure_one_key()
  measure_many(make_data(options.keys, options["value-size"]))
  print_table()
  if options.json ~= "" then write_json(options.json) end
end

main()
