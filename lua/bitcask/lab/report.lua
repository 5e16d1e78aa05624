--- The report of the laboratory: one HTML file that needs no other.

local chart = require "bitcask.lab.chart"
local scale = require "bitcask.lab.scale"

local report = {}

local style = [[
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --soft: #57606a;
  --rule: #d8dee4; --panel: #f6f8fa;
  --c1: #2563c9; --c2: #c2410c; --c3: #15803d; --c4: #a21caf; --c5: #a16207; --c6: #0e7490;
  --c7: #be123c; --c8: #525252; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e6e9ed; --soft: #9aa4af;
  --rule: #333a42; --panel: #1d2126;
  --c1: #6ea8fe; --c2: #fb923c; --c3: #4ade80; --c4: #e879f9; --c5: #facc15; --c6: #22d3ee;
  --c7: #fb7185; --c8: #b4b4b4; } }
body { margin: 0 auto; max-width: 1180px; padding: 24px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 40px 0 4px; }
h3 { font-size: 14px; margin: 0 0 2px; } p { margin: 4px 0 12px; color: var(--soft); }
table { border-collapse: collapse; margin: 12px 0 20px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 14px 4px 0; text-align: right; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
th:first-child, td:first-child, td.failed { text-align: left; }
td { white-space: nowrap; } td.failed { white-space: normal; } td.best { font-weight: 700; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 16px; }
figure { margin: 0; padding: 12px; background: var(--panel); border-radius: 8px; }
figure p { font-size: 13px; margin: 0 0 6px; }
svg { width: 100%; height: auto; display: block; }
.grid { stroke: var(--rule); } .axis { stroke: var(--soft); }
.tick, .label { font: 11px system-ui, sans-serif; fill: var(--soft); }
.label { fill: var(--ink); } .end { text-anchor: end; } .middle { text-anchor: middle; }
.line { fill: none; stroke-width: 1.7; stroke-linejoin: round; }
.moment { stroke-width: 1.2; stroke-opacity: .75; } .hollow { fill-opacity: .22; }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 3px;
  margin-right: 7px; }
.base { stroke: var(--ink); stroke-dasharray: 4 3; }
]]

local palette = 8

local function color_styles()
  local rules = {}
  for i = 1, palette do
    local rule = ".line.N, .moment.N { stroke: var(--N); } " ..
      ".dot.N, .fill.N, .hollow.N { fill: var(--N); } .swatch.N { background: var(--N); }"
    rules[i] = rule:gsub("N", "c" .. i)
  end
  return table.concat(rules, "\n")
end

local function class_of(i)
  return "c" .. (i - 1) % palette + 1
end

-- ---- The table ------------------------------------------------------------------------

local figures = {
  { "write amplification", "write_amplification", "%.2f" },
  { "space amplification, most", "space_amplification", "%.2f" },
  { "space amplification, mean", "mean_space_amplification", "%.2f" },
  { "written by users", "user_bytes", scale.bytes },
  { "written by merges", "merge_bytes", scale.bytes },
  { "merges", "merges", "%d" },
  { "most on disk", "peak_bytes", scale.bytes },
}

local function best_of(results, field)
  local best
  for _, result in ipairs(results) do
    local value = result.report and result.report[field]
    if value and (not best or value < best) then best = value end
  end
  return best
end

local function cell(result, figure, best)
  local value, format = result.report[figure[2]], figure[3]
  local shown = type(format) == "function" and format(value) or format:format(value)
  local is_best = figure[3] == "%.2f" and value == best
  return ("<td%s>%s</td>"):format(is_best and ' class="best"' or "", shown)
end

local function table_row(i, result, bests)
  local cells = { ('<td><span class="swatch %s"></span>%s</td>'):format(class_of(i),
    chart.escape(result.name)) }
  if not result.report then
    cells[2] = ('<td class="failed" colspan="%d">%s</td>'):format(#figures,
      chart.escape(result.message))
  else
    for k, figure in ipairs(figures) do cells[k + 1] = cell(result, figure, bests[k]) end
  end
  return "<tr>" .. table.concat(cells) .. "</tr>"
end

local function summary(results)
  local heads, bests, rows = { "<th>policy</th>" }, {}, {}
  for k, figure in ipairs(figures) do
    heads[k + 1] = ("<th>%s</th>"):format(figure[1])
    bests[k] = best_of(results, figure[2])
  end
  for i, result in ipairs(results) do rows[i] = table_row(i, result, bests) end
  return ("<table><tr>%s</tr>%s</table>"):format(table.concat(heads), table.concat(rows, "\n"))
end

-- ---- The charts -----------------------------------------------------------------------

local function figure(title, explanation, svg)
  return ("<figure><h3>%s</h3><p>%s</p>%s</figure>"):format(title, explanation, svg)
end

-- One line for each policy that came through; `value(series, i)` is its height.
local function lines_of(results, value)
  local lines = {}
  for i, result in ipairs(results) do
    if result.report then
      local series, y = result.report.series, {}
      for k = 1, #series.writes do y[k] = value(series, k) end
      lines[#lines + 1] = { name = result.name, class = class_of(i), x = series.writes, y = y }
    end
  end
  return lines
end

-- A dashed line that is the same for all.
local function add_base(lines, results, field)
  for _, result in ipairs(results) do
    if result.report then
      local series = result.report.series
      table.insert(lines, { name = field, class = "base", x = series.writes, y = series[field] })
      return lines
    end
  end
  return lines
end

-- Since the first sample, which is behind the fill.
local function write_amplification(series, k)
  local user = series.user_bytes[k] - series.user_bytes[1]
  local merged = series.merge_bytes[k] - series.merge_bytes[1]
  return user > 0 and (user + merged) / user or 1
end

local function space_amplification(series, k)
  local live = series.live_bytes[k]
  return live > 0 and math.min(series.bytes[k] / live, 20) or 1
end

local function merged_bytes(series, k)
  return series.merge_bytes[k] - series.merge_bytes[1]
end

local function user_line(results)
  local lines = lines_of(results, function(series, k)
    return series.user_bytes[k] - series.user_bytes[1]
  end)
  if lines[1] then lines[1].class, lines[1].name = "base", "users" end
  return lines[1]
end

local function rows_of(results)
  local rows = {}
  for i, result in ipairs(results) do
    if result.report then
      rows[#rows + 1] = {
        name = result.name, class = class_of(i), log = result.report.log,
        segments = result.report.description.segments,
      }
    end
  end
  return rows
end

local function points_of(results)
  local points = {}
  for i, result in ipairs(results) do
    if result.report then
      points[#points + 1] = {
        name = result.name, class = class_of(i),
        x = result.report.space_amplification, y = result.report.write_amplification,
      }
    end
  end
  return points
end

local function charts(results)
  local space = lines_of(results, function(series, k) return series.bytes[k] end)
  local written = lines_of(results, merged_bytes)
  table.insert(written, user_line(results))
  local rows = rows_of(results)
  local last = rows[1] and space[1].x[#space[1].x] or 1
  return table.concat({
    figure("Write and space amplification", "Lower left is better. To the right: the most disk " ..
      "needed; up: bytes written for each byte that users write.",
      chart.scatter { points = points_of(results), x_label = "space amplification, most" }),
    figure("Space over time", "Bytes on disk; dashed: what is live.",
      chart.lines { series = add_base(space, results, "live_bytes"), y_format = scale.bytes }),
    figure("Bytes written", "By merges, in all; dashed: by users.",
      chart.lines { series = written, y_format = scale.bytes }),
    figure("Write amplification over time",
      "Bytes written for each byte of users, since the start.",
      chart.lines { series = lines_of(results, write_amplification), y_format = scale.ratio,
        least = 1 }),
    figure("Space amplification over time", "Bytes on disk for each live byte at that moment.",
      chart.lines { series = lines_of(results, space_amplification), y_format = scale.ratio,
        least = 1 }),
    figure("Merge moments", "Each merge; the higher, the more it wrote. A dot: it copied nothing.",
      chart.moments(rows, last)),
    figure("Segments at the end, by age", "Sealed segments, oldest data left. Filled: live.",
      chart.segments(rows)),
  }, "\n")
end

-- ---- The page -------------------------------------------------------------------------

local function value_sizes(range)
  if range[1] == range[2] then return scale.bytes(range[1]) end
  return ("%s to %s"):format(scale.bytes(range[1]), scale.bytes(range[2]))
end

local function describe(workload)
  local parts = {
    workload.kind, scale.count(workload.keys) .. " keys", scale.count(workload.writes) .. " writes",
    "values of " .. value_sizes(workload.value_size),
    "segments of " .. scale.bytes(workload.segment_size),
  }
  if workload.kind == "trace" then parts[2], parts[4] = "recorded", nil end
  if workload.warmup > 0 then
    parts[#parts + 1] = ("figures after %s writes"):format(scale.count(workload.warmup))
  end
  local all = {}
  for i = 1, 6 do all[#all + 1] = parts[i] end
  return table.concat(all, ", ")
end

local function section(experiment)
  return ('<h2>%s</h2><p>%s</p>%s<div class="charts">%s</div>'):format(
    chart.escape(experiment.workload.name), chart.escape(describe(experiment.workload)),
    summary(experiment.results), #points_of(experiment.results) > 0 and
    charts(experiment.results) or "")
end

--- Write the report of some experiments.
---@param experiments table[] as bitcask.lab.compare returns them
---@return string html
function report.html(experiments)
  local sections = {}
  for i, experiment in ipairs(experiments) do sections[i] = section(experiment) end
  return table.concat({
    "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    "<title>Merge policies compared</title>",
    "<style>", style, color_styles(), "</style></head><body>",
    "<h1>Merge policies compared</h1>",
    "<p>Simulated: the accounting of a store, without a disk. Lower is better throughout; bold ",
    "is the lowest.</p>",
    table.concat(sections, "\n"), "</body></html>\n",
  }, "\n")
end

return report
