-- Panels with axes, lines and bars as SVG that can be read on light and on dark pages: the
-- picture brings its own background, chosen by what the reader prefers.
local svg = {}

local STYLE <const> = [[
<style>
  .page { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 } .axis { stroke: #818b98; stroke-width: 1 }
  text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif }
  .title { font-size: 16px; font-weight: 600 } .head { font-size: 13px; font-weight: 600 }
  .small { font-size: 11px } .strong { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 }
    .grid { stroke: #2d333b } .axis { stroke: #656c76 }
  }
</style>
]]

local ESCAPES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local canvas = {}
canvas.__index = canvas

-- A picture of `width` by `height` pixels with a title, and a line below it in small print.
function svg.new(width, height, title, subtitle)
  local self = setmetatable({ width = width, height = height, parts = {} }, canvas)
  self:add('<rect class="page" width="%d" height="%d" rx="6"/>', width, height)
  self:text(20, 28, title, "ink title")
  if subtitle then self:text(20, 46, subtitle, "soft small") end
  return self
end

function canvas:add(format, ...) self.parts[#self.parts + 1] = format:format(...) end

-- `anchor`: start, middle or end.
function canvas:text(x, y, text, class, anchor)
  self:add('<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>', x, y, class,
    anchor or "start", (text:gsub("[&<>]", ESCAPES)))
end

function canvas:line(x1, y1, x2, y2, class)
  self:add('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>', x1, y1, x2, y2, class)
end

function canvas:bar(x, y, width, height, colour)
  self:add('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="%s"/>', x, y,
    math.max(width, 1), height, colour)
end

-- Points are { x, y } in pixels. A dashed line is for what is no engine.
function canvas:curve(points, colour, width, dashed, dots)
  local words = {}
  for i, point in ipairs(points) do words[i] = ("%.1f,%.1f"):format(point[1], point[2]) end
  self:add('<polyline points="%s" fill="none" stroke="%s" stroke-width="%g" %s' ..
    'stroke-linejoin="round"/>', table.concat(words, " "), colour, width,
    dashed and 'stroke-dasharray="5 4" ' or "")
  for _, point in ipairs(dots and points or {}) do
    self:add('<circle cx="%.1f" cy="%.1f" r="%g" fill="%s"/>', point[1], point[2], width + 1,
      colour)
  end
end

-- Names with their colours, in lines from (x, y) on. Items: { name, colour, dashed, strong }.
function canvas:legend(x, y, items)
  local at = x
  for _, item in ipairs(items) do
    local length = 30 + 7.2 * #item.name
    if at + length > self.width - 10 then at, y = x, y + 18 end
    self:curve({ { at, y - 4 }, { at + 18, y - 4 } }, item.colour, 3, item.dashed)
    self:text(at + 23, y, item.name, item.strong and "ink strong" or "ink")
    at = at + length + 10
  end
end

function canvas:save(path)
  local file <close> = assert(io.open(path, "w"))
  file:write(('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" ' ..
    'viewBox="0 0 %d %d" role="img">\n'):format(self.width, self.height, self.width, self.height),
    STYLE, table.concat(self.parts, "\n"), "\n</svg>\n")
end

-- ---- Scales -------------------------------------------------------------------------

-- Map [low, high] to [from, to]; with `log` by the logarithm.
function svg.scale(low, high, from, to, log)
  if not log then
    return function(value) return from + (value - low) / (high - low) * (to - from) end
  end
  return function(value)
    local part = (math.log(math.max(value, low)) - math.log(low)) / (math.log(high) - math.log(low))
    return from + part * (to - from)
  end
end

-- About `count` round numbers from 0 up to the first that is not below `high`.
function svg.ticks(high, count)
  local rough = high / count
  local power = 10 ^ math.floor(math.log(rough, 10))
  local step = 10 * power
  for _, factor in ipairs { 5, 2.5, 2, 1 } do
    if factor * power >= rough then step = factor * power end
  end
  local ticks = {}
  for i = 0, math.ceil(high / step - 1e-9) do ticks[#ticks + 1] = i * step end
  return ticks
end

-- The powers of ten that enclose both.
function svg.decades(low, high)
  local ticks = {}
  for power = math.floor(math.log(low, 10) + 1e-9), math.ceil(math.log(high, 10) - 1e-9) do
    ticks[#ticks + 1] = 10.0 ^ power
  end
  return ticks
end

-- 1500 as "1.5k"; small numbers as they are.
function svg.short(value)
  local function plain(number) return (("%.3g"):format(number)) end
  if value >= 999500 then return plain(value / 1e6) .. "M" end
  if value >= 999.5 then return plain(value / 1e3) .. "k" end
  return plain(value)
end

return svg
