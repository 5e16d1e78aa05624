-- The figures of a run as tables in Markdown, for docs/performance.md.
--
--   lua bench/tables.lua results.json
local results = require "results"

local ENGINES <const> = { "bitcask", "bitcask-unverified", "tkrzw", "lmdb", "lmdb-writemap",
  "leveldb", "rocksdb", "rocksdb-blob", "bdb", "gdbm", "sqlite", "erlang", "limit-map",
  "limit-clean", "limit-write" }
local NAMES <const> = { bitcask = "**bitcask**", lmdb = "LMDB", tkrzw = "Tkrzw",
  ["bitcask-unverified"] = "bitcask, `verify = false`",
  ["lmdb-writemap"] = "LMDB, writable map", leveldb = "LevelDB", rocksdb = "RocksDB",
  ["rocksdb-blob"] = "RocksDB BlobDB", bdb = "Berkeley DB", gdbm = "GDBM", sqlite = "SQLite",
  erlang = "Erlang Bitcask", ["limit-map"] = "*limit, mapped*",
  ["limit-clean"] = "*limit, mapped, cleaning*", ["limit-write"] = "*limit, write(2)*",
  lua = "*a Lua table*" }

local function number(value)
  if not value then return "" end
  if math.abs(value) >= 100 or value == 0 then return ("%.0f"):format(value) end
  return (math.abs(value) >= 10 and "%.1f" or "%.2f"):format(value)
end

-- Columns: { heading, part, metric }.
local function print_table(run, title, columns, engines)
  local head, rule = { "engine" }, { "---" }
  for _, column in ipairs(columns) do
    if run.parts[column[2]] then head[#head + 1], rule[#rule + 1] = column[1], "---" end
  end
  if #head == 1 then return end
  print(("\n%s\n\n| %s |\n|%s|"):format(title, table.concat(head, " | "),
    table.concat(rule, "|")))
  for _, engine in ipairs(engines or ENGINES) do
    local cells, found = { NAMES[engine] }, false
    for _, column in ipairs(columns) do
      if run.parts[column[2]] then
        local value = run:value(column[2], engine, column[3])
        cells[#cells + 1] = number(value)
        found = found or value ~= nil
      end
    end
    if found then print("| " .. table.concat(cells, " | ") .. " |") end
  end
end

local function columns(part, list)
  local made = {}
  for heading, metric in list:gmatch "%s*([^=;]+)=([%w_]+);?" do
    made[#made + 1] = { heading, part, metric }
  end
  return made
end

-- The same metrics in several parts: a heading each, "fill, 1 KiB".
local function across(parts, list)
  local made = {}
  for _, part in ipairs(parts) do
    for heading, metric in list:gmatch "%s*([^=;]+)=([%w_]+);?" do
      made[#made + 1] = { heading .. ", " .. part[2], part[1], metric }
    end
  end
  return made
end

local run = results.read(arg[1])
print(run.machine)
print_table(run, "Thousand operations a second", columns("main", "fill=fill; get=get;" ..
  "get, 2 threads=get2; absent=absent; A=a; A, 2t=a2; B=b; B, 2t=b2; overwrite=overwrite;" ..
  "zipfian=zipf; scan=scan; delete all=delete; durable=sync1; durable, 8 writers=sync8"))
print_table(run, "Latencies, microseconds", columns("main", "fill p50=fill_p50; p99=fill_p99;" ..
  "p99.9=fill_p999; worst=fill_max; overwrite p50=overwrite_p50; p99=overwrite_p99;" ..
  "p99.9=overwrite_p999; worst=overwrite_max; zipfian p50=zipf_p50; p99=zipf_p99;" ..
  "p99.9=zipf_p999; worst=zipf_max"))
print_table(run, "Space and memory", columns("main", "after overwriting, MB=overwrite_disk;" ..
  "peak=overwrite_peak; after zipfian=zipf_disk; peak=zipf_peak; merged=merged_disk;" ..
  "full merge, ms=merge; memory, bytes a key=memory; peak while growing=memory_peak;" ..
  "lost by kill -9=lost"))
print_table(run, "Opening, milliseconds, and thousand operations a second", across({
  { "keys-1m", "1 M" }, { "keys-5m", "5 M" }, { "keys-10m", "10 M" }, { "keys-40m", "40 M" } },
  "reopen=reopen; cold=reopen_cold; after kill=recover; the same, cold=recover_cold;" ..
  "fill=fill; get=get; memory=memory"))
print_table(run, "Larger values, thousand operations a second", across({ { "value-1k", "1 KiB" },
  { "value-16k", "16 KiB" }, { "value-64k", "64 KiB" } },
  "fill=fill; get=get; overwrite=overwrite"))
print_table(run, "Length of keys", across({ { "key-8", "8" }, { "key-32", "32" },
  { "key-64", "64" }, { "key-128", "128" }, { "key-200", "200" } },
  "fill=fill; get=get; memory=memory"))
print_table(run, "Four times more data than memory, thousand operations a second",
  columns("scarce", "fill=fill; get=get; absent=absent; overwrite=overwrite"))
print_table(run, "From Lua, nanoseconds", columns("lua", "put=put; get=get; absent=absent;" ..
  "put of one key=put_warm; the C call=c_put_warm; get of one key=get_warm; the C call=c_get_warm"),
  { "bitcask", "lmdb", "lua" })
