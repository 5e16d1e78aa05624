-- Runs the parts of the benchmark one after the other, all results in one file of JSON lines,
-- then prints which targets are met and draws the charts.
--
--   lua bench/run.lua --bench PROGRAM [--out DIR] [--quick] [--parts A,B,...] [--rounds N]
--                     [--seconds N] [--engines A,B,...] [--dir DIR] [--charts DIR] [--keep]
--                     [--owntime] [--stolen PERCENT]
--
--   --out      where results.json goes (build/bench)
--   --lua      the interpreter (lua5.4)
--   --parts    of parts.lua, or "lua": what operations cost from Lua
--   --seconds  after which a workload other than fill stops (30)
--   --engines  instead of those that parts.lua names
--   --keep     add to results.json; a part that was run before counts as it is run now
--   --owntime  without the time in which a thread waits for a processor (bench --own-time)
--   --stolen   of the processors' time: who loses more to a hypervisor is measured again (1)
--   --charts   where the charts go (as --out)

local parts = require "parts"
local results = require "results"

local function parse(arguments)
  local options = { out = "build/bench", rounds = "3", dir = "/var/tmp", lua = "lua5.4" }
  local flags, i = { quick = true, keep = true, owntime = true }, 1
  while i <= #arguments do
    local name = arguments[i]:match "^%-%-(%a+)$"
    if not name then error("not an option: " .. arguments[i], 0) end
    options[name] = flags[name] or arguments[i + 1] or error(arguments[i] .. " needs a word", 0)
    i = i + (flags[name] and 1 or 2)
  end
  return options
end

local function quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

local function execute(words)
  io.stdout:flush()
  local command = {}
  for i, word in ipairs(words) do command[i] = quote(word) end
  if not os.execute(table.concat(command, " ")) then
    io.stderr:write("failed: ", table.concat(command, " "), "\n")
  end
end

-- "2 x Some CPU, 24 GB, Linux 6.1".
local function machine()
  local function first(path, pattern)
    local file <close> = io.open(path)
    return file and file:read("a"):match(pattern) or "?"
  end
  local _, cores = first("/proc/cpuinfo", ".*"):gsub("processor%s*:", "")
  local kilobytes = tonumber(first("/proc/meminfo", "MemTotal:%s*(%d+)")) or 0
  return ("%d x %s, %.0f GiB, Linux %s"):format(cores,
    first("/proc/cpuinfo", "model name%s*:%s*([^\n]+)"), kilobytes / 2 ^ 20,
    first("/proc/sys/kernel/osrelease", "%S+"))
end

local function wanted(list, name)
  return not list or ("," .. list .. ","):find("," .. name .. ",", 1, true) ~= nil
end

-- More than most engines, and their files, take while values are overwritten.
local function memory_wanted(part)
  local live = part.keys * ((part["key-size"] or 16) + (part["value-size"] or 100))
  return 2 ^ 30 + 4 * live
end

local function run_part(options, part, json)
  local quick = options.quick and part.quick
  if options.quick and not quick then return end
  local words = { options.bench, "--part", part.name, "--json", json, "--dir", options.dir,
    "--rounds", options.quick and "1" or options.rounds }
  local function add(name, value)
    if value then table.move({ "--" .. name, value }, 1, 2, #words + 1, words) end
  end
  local function of(name) return quick and quick[name] or part[name] end
  for _, name in ipairs { "keys", "key-size", "value-size", "memory", "workloads" } do
    add(name, of(name))
  end
  add("seconds", options.seconds or options.quick and "0.3" or part.seconds)
  if not options.quick then
    add("rest", "2")
    add("hold", ("%d"):format(memory_wanted(part)))
    add("stolen", options.stolen or "1")
  end
  add("engines", options.engines or of "engines")
  if options.owntime then words[#words + 1] = "--own-time" end
  execute(words)
end

local function run_lua(options, json)
  if not package.searchpath("bench_native", package.cpath) then
    io.stderr:write("lua: skipped, LMDB's library is not here\n")
    return
  end
  execute { options.lua, "bench/lua_bench.lua", "--json", json, "--dir", options.dir,
    "--keys", options.quick and "20000" or "1000000",
    "--rounds", options.quick and "1" or options.rounds,
    "--own-time", options.owntime and "yes" or "no" }
end

-- Beside the part "main", where Erlang and a built copy of its Bitcask are given.
local function run_erlang(options, json)
  local source = os.getenv "ERLANG_BITCASK"
  if not source or not os.execute "command -v escript >/dev/null 2>&1" then
    io.stderr:write("left out: Erlang's Bitcask (erlang, and ERLANG_BITCASK=its built source)\n")
    return
  end
  for round = 1, options.quick and 1 or tonumber(options.rounds) do
    local store = ("%s/erlang-bitcask-%x-%d"):format(options.dir, os.time(), round)
    os.execute(("escript bench/erlang_bitcask.escript %s %s %d 100 %d >> %s"):format(quote(source),
      quote(store), options.quick and 8000 or 1000000, round, quote(json)))
    os.execute("rm -rf " .. quote(store))
  end
end

local function main()
  local options = parse(arg)
  local json = options.out .. "/results.json"
  if not options.keep then os.remove(json) end
  do
    local file <close> = assert(io.open(json, "a"))
    file:write(results.encode { machine = machine() }, "\n")
  end
  for _, part in ipairs(parts) do
    if wanted(options.parts, part.name) then run_part(options, part, json) end
  end
  if wanted(options.parts, "main") and wanted(options.engines, "erlang") then
    run_erlang(options, json)
  end
  if wanted(options.parts, "lua") then run_lua(options, json) end
  local run = results.read(json)
  print()
  if options.quick then
    print "This was the quick run: too small to be judged by the targets, as `make bench` is."
  else
    require("targets").print(run, io.stdout)
  end
  require("charts").draw(run, options.charts or options.out)
end

main()
