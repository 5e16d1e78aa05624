-- Charts of a run as SVG files: throughput, latencies and throughput while merging, memory a
-- key, opening time against keys. What a run did not measure is left out of them.
--
--   lua bench/charts.lua results.json DIRECTORY
local svg = require "svg"

local charts = {}

local ENGINES <const> = {
  { id = "bitcask", name = "bitcask", colour = "#e5533d", strong = true },
  { id = "tkrzw", name = "Tkrzw", colour = "#3f8ae0" },
  { id = "lmdb", name = "LMDB", colour = "#2f9e6e" },
  { id = "lmdb-writemap", name = "LMDB, writable map", colour = "#7fb83f" },
  { id = "leveldb", name = "LevelDB", colour = "#a06ee1" },
  { id = "rocksdb", name = "RocksDB", colour = "#d0952b" },
  { id = "bdb", name = "Berkeley DB", colour = "#c86b98" },
  { id = "gdbm", name = "GDBM", colour = "#4fa8b0" },
  { id = "sqlite", name = "SQLite", colour = "#9a7b5f" },
  { id = "erlang", name = "Erlang Bitcask", colour = "#b0413e" },
  { id = "limit-map", name = "limit, mapped", colour = "#8b949e", dashed = true },
  { id = "limit-clean", name = "limit, cleaning", colour = "#8b949e", dashed = true },
}

local function rounded(number) return (("%.3g"):format(number)) end

local function conditions(run, part)
  local facts = run.parts[part]
  if not facts then return "" end
  return ("%s keys of %d bytes, values of %d, %s"):format(svg.short(facts.keys), facts.key_size,
    facts.value_size, facts.rounds == 1 and "one round" or
    ("medians of %d rounds"):format(facts.rounds))
end

-- The engines of which `has(id)` is true.
local function those_with(has)
  local chosen = {}
  for _, engine in ipairs(ENGINES) do
    if has(engine.id) then chosen[#chosen + 1] = engine end
  end
  return chosen
end

-- ---- Bars: a panel a workload --------------------------------------------------------

local WORKLOADS <const> = {
  { "fill", "fill: puts of new keys" }, { "get", "get" },
  { "absent", "get of absent keys" }, { "get2", "get, two threads" },
  { "overwrite", "overwrite, uniform, while merging" }, { "zipf", "overwrite, zipfian" },
  { "a", "A: half puts, zipfian" }, { "b2", "B: one put in twenty, two threads" },
  { "sync8", "durable puts, eight writers" }, { "scan", "scan" },
}

local function bars(canvas, run, metric, title, x, y, width)
  local engines = those_with(function(id)
    return id ~= "limit-clean" and run:value("main", id, metric) ~= nil
  end)
  local most = 0
  for _, engine in ipairs(engines) do
    most = math.max(most, run:value("main", engine.id, metric))
  end
  local left, row = x + 128, 17
  local scale = svg.scale(0, most, 0, width - 128 - 52)
  canvas:text(x, y, title, "ink head")
  for i, engine in ipairs(engines) do
    local value, top = run:value("main", engine.id, metric), y + 9 + (i - 1) * row
    canvas:text(left - 8, top + 11, engine.name, engine.strong and "ink strong" or "soft", "end")
    canvas:bar(left, top + 1, scale(value), row - 5, engine.colour)
    canvas:text(left + scale(value) + 6, top + 11, svg.short(value * 1000),
      engine.strong and "ink strong small" or "soft small")
  end
end

local function throughput(run)
  local panel = 46 + 17 * #those_with(function(id)
    return id ~= "limit-clean" and run:value("main", id, "fill") ~= nil
  end)
  local canvas = svg.new(920, 66 + panel * ((#WORKLOADS + 1) // 2), "Operations a second",
    conditions(run, "main") ..
    "; no sync but for durable puts; the limit is a bare append and index without safety")
  for i, workload in ipairs(WORKLOADS) do
    local column, line = (i - 1) % 2, (i - 1) // 2
    bars(canvas, run, workload[1], workload[2], 20 + column * 450, 80 + line * panel, 430)
  end
  return canvas
end

-- ---- Lines --------------------------------------------------------------------------

local function frame(canvas, box, x_axis, y_axis)
  for _, value in ipairs(y_axis.ticks) do
    local y = y_axis.scale(value)
    canvas:line(box.left, y, box.right, y, "grid")
    canvas:text(box.left - 6, y + 4, y_axis.label(value), "soft small", "end")
  end
  for i, value in ipairs(x_axis.ticks) do
    canvas:text(x_axis.scale(value), box.bottom + 16, x_axis.label(value), "soft small",
      i == #x_axis.ticks and "end" or "middle")
  end
  canvas:line(box.left, box.bottom, box.right, box.bottom, "axis")
  canvas:text(box.left, box.top - 10, y_axis.name, "soft small")
  canvas:text(box.right, box.bottom + 32, x_axis.name, "soft small", "end")
end

local function bounds(curves, name)
  local low, high = math.huge, -math.huge
  for _, curve in ipairs(curves) do
    for _, point in ipairs(curve.points) do
      low, high = math.min(low, point[name]), math.max(high, point[name])
    end
  end
  return low, high
end

local function plot(canvas, curves, x_axis, y_axis, dots)
  for i = #curves, 1, -1 do -- ours last, above the others
    local engine, points = curves[i].engine, {}
    for _, point in ipairs(curves[i].points) do
      points[#points + 1] = { x_axis.scale(point.x), y_axis.scale(point.y) }
    end
    canvas:curve(points, engine.colour, engine.strong and 3 or 1.8, engine.dashed, dots)
  end
end

local function names_of(curves)
  local engines = {}
  for i, curve in ipairs(curves) do engines[i] = curve.engine end
  return engines
end

local function logarithmic(curves, name, from, to)
  local low, high = bounds(curves, name)
  local ticks = svg.decades(low, high)
  return { ticks = ticks, scale = svg.scale(ticks[1], ticks[#ticks], from, to, true) }
end

-- Curves of the engines for which `points_of(id)` has points.
local function collect(points_of)
  local curves = {}
  for _, engine in ipairs(ENGINES) do
    local points = points_of(engine.id)
    if points and #points > 0 then curves[#curves + 1] = { engine = engine, points = points } end
  end
  return curves
end

local function latency_panel(canvas, run, kind, box)
  local curves = collect(function(id)
    local found = id ~= "limit-clean" and
      run:curve("main", id, kind .. "_latency", kind .. "_p999")
    local points = {}
    for _, point in ipairs(found or {}) do -- by how rare: 0.999 -> 1000
      if point.x < 0.999995 then points[#points + 1] = { x = 1 / (1 - point.x), y = point.y } end
    end
    return points
  end)
  if #curves == 0 then return curves end
  local x_axis = { ticks = { 2, 10, 100, 1000, 10000, 100000 }, name = "of the puts",
    scale = svg.scale(2, 100000, box.left, box.right, true) }
  local labels <const> = { [2] = "50", [10] = "90", [100] = "99", [1000] = "99.9",
    [10000] = "99.99", [100000] = "99.999" }
  x_axis.label = function(value) return labels[value] .. " %" end
  local y_axis = logarithmic(curves, "y", box.bottom, box.top)
  y_axis.name, y_axis.label = "microseconds at most", svg.short
  frame(canvas, box, x_axis, y_axis)
  plot(canvas, curves, x_axis, y_axis)
  return curves
end

local function latency(run)
  local canvas = svg.new(920, 460, "How long a put takes while overwriting and merging",
    conditions(run, "main"))
  local curves = latency_panel(canvas, run, "overwrite",
    { left = 70, right = 450, top = 158, bottom = 408 })
  latency_panel(canvas, run, "zipf", { left = 520, right = 900, top = 158, bottom = 408 })
  canvas:text(70, 128, "uniform keys", "ink head")
  canvas:text(520, 128, "zipfian keys", "ink head")
  canvas:legend(20, 72, names_of(curves))
  return canvas
end

local function merging(run)
  local ours = run:curve("main", "bitcask", "overwrite_rate", "overwrite")
  local canvas = svg.new(920, 420, "Puts a second over time, while overwriting and merging",
    conditions(run, "main") .. "; three uniform puts a key, until done or out of time")
  local end_ = ours and #ours > 0 and 1.8 * ours[#ours].x or 10
  local curves = collect(function(id)
    local points = {}
    for _, point in ipairs(run:curve("main", id, "overwrite_rate", "overwrite") or {}) do
      if point.x <= end_ and id ~= "limit-map" then
        points[#points + 1] = { x = point.x, y = point.y * 1000 }
      end
    end
    return points
  end)
  if #curves == 0 then return canvas end
  local box = { left = 70, right = 900, top = 120, bottom = 370 }
  local _, high = bounds(curves, "y")
  local x_ticks, y_ticks = svg.ticks(end_, 8), svg.ticks(high, 5)
  local x_axis = { ticks = x_ticks, name = "seconds", label = rounded,
    scale = svg.scale(0, x_ticks[#x_ticks], box.left, box.right) }
  local y_axis = { ticks = y_ticks, name = "puts a second", label = svg.short,
    scale = svg.scale(0, y_ticks[#y_ticks], box.bottom, box.top) }
  frame(canvas, box, x_axis, y_axis)
  plot(canvas, curves, x_axis, y_axis)
  canvas:legend(20, 72, names_of(curves))
  return canvas
end

-- Values of a metric over several parts, `x` being a fact of the part.
local function over_parts(run, parts, fact, id, metric)
  local points = {}
  for _, part in ipairs(parts) do
    local value = run:value(part, id, metric)
    if value then points[#points + 1] = { x = run.parts[part][fact], y = value } end
  end
  return points
end

local function memory(run)
  local parts <const> = { "key-8", "main", "key-32", "key-64", "key-128", "key-200" }
  local canvas = svg.new(920, 400, "Private memory a key, after a fill",
    "values of 100 bytes; files that are mapped or cached by the system do not count")
  local curves = collect(function(id)
    if id == "limit-clean" then return nil end
    local points = over_parts(run, parts, "key_size", id, "memory")
    return #points > 1 and points
  end)
  if #curves == 0 then return canvas end
  local box = { left = 60, right = 900, top = 115, bottom = 350 }
  local _, high = bounds(curves, "y")
  local y_ticks = svg.ticks(high, 5)
  local x_axis = { ticks = { 8, 16, 32, 64, 128, 200 }, name = "bytes of a key", label = rounded,
    scale = svg.scale(8, 200, box.left + 10, box.right - 10, true) }
  local y_axis = { ticks = y_ticks, name = "bytes", label = rounded,
    scale = svg.scale(0, y_ticks[#y_ticks], box.bottom, box.top) }
  frame(canvas, box, x_axis, y_axis)
  plot(canvas, curves, x_axis, y_axis, true)
  canvas:legend(20, 72, names_of(curves))
  return canvas
end

local function opening_panel(canvas, run, metric, box, low, high)
  local parts <const> = { "keys-1m", "keys-5m", "keys-10m", "keys-40m" }
  local curves = collect(function(id)
    return over_parts(run, parts, "keys", id, metric)
  end)
  if #curves == 0 then return curves end
  local x_ticks = {}
  for _, part in ipairs(parts) do
    if run.parts[part] then x_ticks[#x_ticks + 1] = run.parts[part].keys end
  end
  local x_axis = { ticks = x_ticks, name = "keys", label = svg.short,
    scale = svg.scale(x_ticks[1], math.max(x_ticks[#x_ticks], 2 * x_ticks[1]), box.left + 15,
      box.right - 15, true) }
  local y_ticks = svg.decades(low, high)
  local y_axis = { ticks = y_ticks, name = "milliseconds until a first key is read",
    label = svg.short, scale = svg.scale(y_ticks[1], y_ticks[#y_ticks], box.bottom, box.top, true) }
  frame(canvas, box, x_axis, y_axis)
  plot(canvas, curves, x_axis, y_axis, true)
  return curves
end

local function opening(run)
  local canvas = svg.new(920, 420, "Opening a store",
    "keys of 16 bytes, values of 100, in the page cache; a tenth more keys put before the kill")
  local low, high = 0.1, 1000
  for _, part in ipairs { "keys-1m", "keys-5m", "keys-10m", "keys-40m" } do
    for _, engine in ipairs(ENGINES) do
      for _, metric in ipairs { "reopen", "recover" } do
        local value = run:value(part, engine.id, metric)
        if value then low, high = math.min(low, value), math.max(high, value) end
      end
    end
  end
  local curves = opening_panel(canvas, run, "reopen",
    { left = 60, right = 450, top = 140, bottom = 370 }, low, high)
  opening_panel(canvas, run, "recover",
    { left = 510, right = 900, top = 140, bottom = 370 }, low, high)
  canvas:text(60, 112, "after a clean close", "ink head")
  canvas:text(510, 112, "after kill -9", "ink head")
  canvas:legend(20, 72, names_of(curves))
  return canvas
end

local ALL <const> = { throughput = throughput, latency = latency, memory = memory,
  opening = opening, merging = merging }

-- Draw every chart of a run (see results.lua) into `directory`, as throughput.svg and so on.
function charts.draw(run, directory)
  for name, draw in pairs(ALL) do draw(run):save(("%s/%s.svg"):format(directory, name)) end
end

if arg and arg[0]:match "charts%.lua$" then
  charts.draw(require("results").read(arg[1]), arg[2] or ".")
end

return charts
