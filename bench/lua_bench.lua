-- What an operation costs from Lua, in nanoseconds: through `require "bitcask"`, beside a
-- Lua table and an empty call. Keys and values are made before the clock starts.
--
--   lua bench/lua_bench.lua [--keys N] [--value-size BYTES] [--rounds N] [--dir DIR]

local options = { keys = 1000000, ["value-size"] = 100, rounds = 3, dir = "/var/tmp" }

for i = 1, #arg, 2 do
  local name = arg[i]:match "^%-%-(.+)$"
  local default = options[name] or error("unknown option " .. arg[i], 0)
  options[name] = type(default) == "number" and tonumber(arg[i + 1]) // 1 | 0 or arg[i + 1]
end

-- The wall clock where the system tells it in hundredths of a second: os.clock counts the
-- time of all threads of the process.
local function seconds()
  local file = io.open "/proc/uptime"
  if not file then return os.clock() end
  local now = file:read "n"
  file:close()
  return now
end

local function random_string(size)
  local words = {}
  for i = 1, (size + 7) // 8 do words[i] = string.pack("<i8", math.random(0)) end
  return table.concat(words):sub(1, size)
end

local function shuffled(list)
  local copy = table.move(list, 1, #list, 1, {})
  for i = #copy, 2, -1 do
    local j = math.random(i)
    copy[i], copy[j] = copy[j], copy[i]
  end
  return copy
end

-- Call `work` over all keys, over and over for half a second at least.
local function nanoseconds(keys, work)
  collectgarbage()
  local begin, passes, taken = seconds(), 0, 0
  while taken < 0.5 do
    work(keys)
    passes = passes + 1
    taken = seconds() - begin
  end
  return taken * 1e9 / (passes * #keys)
end

local function median(list)
  table.sort(list)
  return (list[(#list + 1) // 2] + list[#list // 2 + 1]) / 2
end

-- Every measurement: a name, which keys, what to do with them.
local function measurements(db, data)
  local value, rows = data.value, {}
  local function add(name, keys, work)
    rows[#rows + 1] = { name = name, keys = keys, work = work }
  end

  local mirror = {}
  for _, key in ipairs(data.order) do mirror[key] = value end
  local function nothing() end

  add("empty Lua call", data.order, function(keys)
    for i = 1, #keys do nothing(mirror, keys[i]) end
  end)
  add("table get, random", data.order, function(keys)
    for i = 1, #keys do local _ = mirror[keys[i]] end
  end)
  add("table set, fresh table", data.order, function(keys)
    local fresh = {}
    for i = 1, #keys do fresh[keys[i]] = value end
    return fresh
  end)
  add("put, random", data.order, function(keys)
    for i = 1, #keys do assert(db:put(keys[i], value)) end
  end)
  add("put, in order of creation", data.keys, function(keys)
    for i = 1, #keys do assert(db:put(keys[i], value)) end
  end)
  add("get, random", data.order, function(keys)
    for i = 1, #keys do assert(db:get(keys[i])) end
  end)
  add("get, in order of creation", data.keys, function(keys)
    for i = 1, #keys do assert(db:get(keys[i])) end
  end)
  add("get, the same key", data.hot, function(keys)
    for i = 1, #keys do assert(db:get(keys[i])) end
  end)
  add("has, random", data.order, function(keys)
    for i = 1, #keys do assert(db:has(keys[i])) end
  end)
  add("get, absent", data.absent, function(keys)
    for i = 1, #keys do assert(db:get(keys[i]) == nil) end
  end)
  return rows
end

local function make_data(count, value_size)
  math.randomseed(42)
  local data = { keys = {}, absent = {}, hot = {}, value = random_string(value_size) }
  for i = 1, count do
    data.keys[i] = random_string(16)
    data.absent[i] = random_string(16)
    data.hot[i] = data.keys[1]
  end
  data.order = shuffled(data.keys)
  return data
end

local function main()
  local bitcask = require "bitcask"
  local data = make_data(options.keys, options["value-size"])
  local directory = ("%s/lua-bench-%x"):format(options.dir, os.time())
  local _ <close> = setmetatable({}, { __close = function()
    os.execute(("rm -rf '%s'"):format(directory))
  end })
  local db <close> = assert(bitcask.open(directory))

  local begin = seconds()
  for _, key in ipairs(data.order) do assert(db:put(key, data.value)) end
  local fill = (seconds() - begin) * 1e9 / options.keys

  local rows = measurements(db, data)
  local times = {}
  for _ = 1, options.rounds do
    for i, row in ipairs(rows) do
      times[i] = times[i] or {}
      table.insert(times[i], nanoseconds(row.keys, row.work))
    end
  end

  print(("%d keys of 16 bytes, values of %d: ns an operation, medians of %d rounds"):format(
    options.keys, options["value-size"], options.rounds))
  print(("%-28s %8.0f"):format("put, fresh store", fill))
  for i, row in ipairs(rows) do print(("%-28s %8.0f"):format(row.name, median(times[i]))) end
end

main()
