-- What is to be reached, and what a run reached: a table "work, target, reached".
--
-- A target compares our `metric` with what `with` names: an engine, a list of engines of which
-- the best counts, or nothing for a plain figure. "more" targets ask for at least that many
-- times the other's rate; "less" ones for at most that part of its time, memory or space.
local targets = {}

local DURABLE_PEERS <const> = { "tkrzw", "lmdb", "lmdb-writemap", "leveldb", "rocksdb", "bdb",
  "sqlite" }
local EVERY_PEER <const> = { "tkrzw", "lmdb", "lmdb-writemap", "leveldb", "rocksdb",
  "rocksdb-blob", "bdb" }
local LIMITS <const> = { "limit-map", "limit-write" }

local list = {}

-- At least `least` times the rate of another engine.
local function more(work, metric, with, least, part)
  list[#list + 1] = { part = part or "main", work = work, metric = metric, with = with,
    least = least }
end

-- At most `most` times what another engine takes.
local function less(work, metric, with, most, part)
  list[#list + 1] = { part = part or "main", work = work, metric = metric, with = with,
    most = most }
end

-- A figure computed from a round; `get` gives the values of the round.
local function figure(work, text, bound, part, compute)
  list[#list + 1] = { part = part, work = work, text = text, least = bound.least,
    most = bound.most, unit = bound.unit or "", compute = compute }
end

more("fill", "fill", "tkrzw", 1.3)
more("fill", "fill", "lmdb", 4)
more("fill", "fill", "leveldb", 5)
more("fill", "fill", "rocksdb", 5)
more("fill", "fill", "limit-map", 0.75)

more("get", "get", "tkrzw", 1.6)
more("get", "get", "lmdb", 2.5)
more("get", "get", "leveldb", 8)
more("get", "get", "limit-map", 0.65)
figure("get", "two threads, times one", { least = 1.7 }, "main", function(get)
  local two, one = get("bitcask", "get2"), get("bitcask", "get")
  return two and one and two / one
end)

more("get of absent keys", "absent", "tkrzw", 2)
more("get of absent keys", "absent", "lmdb", 5)

-- Milliseconds of the processors that a hypervisor took away during the workload: with more, the
-- longest stall of any program is its own doing.
local QUIET <const> = 20

for _, kind in ipairs { "overwrite", "zipf" } do
  local work = kind == "zipf" and "overwrite, zipfian" or "overwrite, uniform"
  more(work, kind, "tkrzw", 1)
  more(work, kind, "leveldb", 4)
  less(work .. ", p99.9", kind .. "_p999", "leveldb", 0.25)
  figure(work, "worst stall, quiet machine", { most = 5, unit = " ms" }, "main", function(get)
    local worst, stolen = get("bitcask", kind .. "_max"), get("bitcask", kind .. "_stolen")
    return worst and stolen and stolen <= QUIET and worst / 1000
  end)
  for _, space in ipairs { "disk", "peak" } do
    figure(work, space == "disk" and "disk after it, times live" or "disk, peak, times live",
      { most = 2 }, "main", function(get)
        local used, live = get("bitcask", kind .. "_" .. space), get("bitcask", "merged_disk")
        return used and live and used / live
      end)
  end
end

for _, name in ipairs { "a", "b", "a2", "b2" } do
  local work = ("mixed %s, %s"):format(name:sub(1, 1):upper(),
    #name == 2 and "two threads" or "one thread")
  more(work, name, DURABLE_PEERS, 1)
end
for _, name in ipairs { "a", "b" } do
  figure("mixed " .. name:upper(), "two threads, times one", { least = 1 }, "main", function(get)
    local two, one = get("bitcask", name .. "2"), get("bitcask", name)
    return two and one and two / one
  end)
end

for _, writers in ipairs { "1", "8" } do
  local work = ("durable puts, %s writer%s"):format(writers, writers == "1" and "" or "s")
  more(work, "sync" .. writers, "limit-map", 0.9)
  more(work, "sync" .. writers, "leveldb", 1.25)
end

more("scan", "scan", "tkrzw", 2)
more("scan (near the limit)", "scan", "limit-map", 0.7)
less("full merge", "merge", "limit-map", 1.5)
less("full merge", "merge", "erlang", 1 / 6)

figure("memory", "bytes a key", { most = 24 }, "main", function(get)
  return get("bitcask", "memory")
end)
less("memory", "memory", "erlang", 1 / 3)
figure("memory", "bytes a key, keys of 200", { most = 24 }, "key-200", function(get)
  return get("bitcask", "memory")
end)
figure("memory", "peak while growing, times the end", { most = 1.5 }, "keys-5m", function(get)
  local peak, memory = get("bitcask", "memory_peak"), get("bitcask", "memory")
  return peak and memory and peak / memory
end)

figure("clean reopen", "a million keys", { most = 10, unit = " ms" }, "keys-1m", function(get)
  return get("bitcask", "reopen")
end)
figure("clean reopen", "ten million keys", { most = 20, unit = " ms" }, "keys-10m",
  function(get) return get("bitcask", "reopen") end)
for _, millions in ipairs { 1, 10 } do
  figure("reopen after kill -9", ("%d million keys, a million"):format(millions),
    { most = 100, unit = " ms" }, ("keys-%dm"):format(millions), function(get)
      local time = get("bitcask", "recover")
      return time and time / millions
    end)
end
figure("kill -9", "acknowledged puts lost", { most = 0 }, "keys-1m", function(get)
  return get("bitcask", "lost")
end)

for _, metric in ipairs { "put", "get" } do
  figure("from Lua, " .. metric, "as fast as a binding of LMDB", { least = 2.5, unit = " times" },
    "lua", function(get)
      local ours, lmdb = get("bitcask", metric), get("lmdb", metric)
      return ours and lmdb and lmdb / ours
    end)
end
for _, metric in ipairs { "put", "get" } do
  figure("from Lua, " .. metric, "added to the C call", { most = 150, unit = " ns" }, "lua",
    function(get)
      local lua, c = get("bitcask", metric .. "_warm"), get("bitcask", "c_" .. metric .. "_warm")
      return lua and c and lua - c
    end)
end

for _, metric in ipairs { "fill", "get", "overwrite" } do
  more("1 KiB, " .. metric, metric, EVERY_PEER, 1, "value-1k")
  if metric ~= "get" then more("64 KiB, " .. metric, metric, LIMITS, 0.8, "value-64k") end
  more("64 KiB, " .. metric, metric, { "leveldb", "rocksdb-blob", "tkrzw" }, 1, "value-64k")
end

-- ---- Judging ------------------------------------------------------------------------

local function best_of(get, engines, metric, more_is_better)
  local best
  for _, engine in ipairs(engines) do
    local value = get(engine, metric)
    if value and (not best or (value > best) == more_is_better) then best = value end
  end
  return best
end

local function ratio(target)
  local engines = type(target.with) == "table" and target.with or { target.with }
  return function(get)
    local ours = get("bitcask", target.metric)
    local other = best_of(get, engines, target.metric, target.least ~= nil)
    return ours and other and ours / other
  end
end

local function name_of(with)
  if with == DURABLE_PEERS then return "the best durable peer" end
  if with == EVERY_PEER then return "the best peer" end
  if with == LIMITS then return "the better limit" end
  return type(with) == "table" and "the best of " .. table.concat(with, ", ") or with
end

local function number(value, unit)
  local text = value >= 100 and "%.0f" or value >= 10 and "%.1f" or "%.2f"
  return text:format(value) .. unit
end

local function is_met(target, reached)
  if target.least then return reached >= target.least end
  return reached <= target.most
end

-- The targets in order: { work, target, reached, met }, the last two nil where the run does
-- not have it.
function targets.judge(run)
  local rows = {}
  for _, target in ipairs(list) do
    local unit = target.unit or " times"
    local reached = run:each_round(target.part, target.compute or ratio(target))
    local bound = target.least or target.most
    rows[#rows + 1] = {
      work = target.work,
      target = ("%s %s%s"):format(target.least and "at least" or "at most", number(bound, unit),
        target.text and ": " .. target.text or " " .. name_of(target.with)),
      reached = reached and number(reached, unit),
      met = reached and is_met(target, reached),
    }
  end
  return rows
end

-- A table in Markdown.
function targets.print(run, out)
  local met, measured = 0, 0
  out:write("| work | target | reached | |\n|---|---|---|---|\n")
  for _, row in ipairs(targets.judge(run)) do
    if row.reached then
      measured = measured + 1
      met = met + (row.met and 1 or 0)
    end
    out:write(("| %s | %s | %s | %s |\n"):format(row.work, row.target, row.reached or "-",
      row.reached == nil and "not measured" or row.met and "met" or "**missed**"))
  end
  out:write(("\n%d of %d targets met.\n"):format(met, measured))
end

return targets
