--- Charts as SVG, drawn by hand. Colours are CSS classes: `c1` to `c8` for the policies, in the
-- style sheet of the report, so that they suit a light and a dark page.

local scale = require "bitcask.lab.scale"

local chart = {}

local width, height = 560, 280
local left, right, top, bottom = 66, 14, 12, 38

--- Text as it may stand in HTML.
function chart.escape(text)
  local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
  return (tostring(text):gsub('[&<>"]', entities))
end

local function wrap(parts, tall)
  return ('<svg viewBox="0 0 %d %d" role="img">%s</svg>'):format(width, tall or height,
    table.concat(parts, "\n"))
end

local function text(parts, x, y, class, content)
  parts[#parts + 1] = ('<text x="%.1f" y="%.1f" class="%s">%s</text>'):format(x, y, class,
    chart.escape(content))
end

local function line(parts, x1, y1, x2, y2, class)
  parts[#parts + 1] = ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>'):format(
    x1, y1, x2, y2, class)
end

local function rectangle(parts, x, y, w, h, class)
  parts[#parts + 1] = ('<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" class="%s"/>'):format(
    x, y, w, h, class)
end

local function draw_y_axis(parts, y, ticks, format)
  for _, tick in ipairs(ticks) do
    line(parts, left, y(tick), width - right, y(tick), "grid")
    text(parts, left - 8, y(tick) + 4, "tick end", format(tick))
  end
end

local function draw_x_axis(parts, x, ticks, format, label, tall)
  tall = tall or height
  local y = tall - bottom
  for i, tick in ipairs(ticks) do
    if x(tick) <= width - right + 1 then
      line(parts, x(tick), y, x(tick), y + 4, "axis")
      text(parts, x(tick), y + 17, i == 1 and "tick" or "tick middle", format(tick))
    end
  end
  line(parts, left, y, width - right, y, "axis")
  text(parts, (left + width - right) / 2, tall - 5, "label middle", label)
end

local function most_of(series)
  local most = 0
  for _, one in ipairs(series) do
    for _, value in ipairs(one.y) do
      if value > most then most = value end
    end
  end
  return most
end

-- Of many points so many that the eye sees the same: the lowest and highest of each stretch.
local function thinned(xs, ys, wanted)
  local points = {}
  local stretch = math.max(1, 2 * #xs // wanted)
  for from = 1, #xs, stretch do
    local low, high = from, from
    for i = from, math.min(#xs, from + stretch - 1) do
      if ys[i] < ys[low] then low = i end
      if ys[i] > ys[high] then high = i end
    end
    points[#points + 1] = math.min(low, high)
    if low ~= high then points[#points + 1] = math.max(low, high) end
  end
  return points
end

local function polyline(parts, one, x, y)
  local places = {}
  for _, i in ipairs(thinned(one.x, one.y, 400)) do
    places[#places + 1] = ("%.1f,%.1f"):format(x(one.x[i]), y(one.y[i]))
  end
  parts[#parts + 1] = ('<polyline class="line %s" points="%s"><title>%s</title></polyline>'):format(
    one.class, table.concat(places, " "), chart.escape(one.name))
end

--- Lines over the number of writes.
---@param given table `series`: list of `{name =, class =, x = {}, y = {}}`; `y_format`: a
--- function of scale; `least`: where the y axis begins, 0 when left out
---@return string svg
function chart.lines(given)
  local parts = {}
  local make_ticks = given.y_format == scale.bytes and scale.byte_ticks or scale.ticks
  local y_ticks = make_ticks(given.least or 0, most_of(given.series), 5)
  local y = scale.linear(y_ticks[1], y_ticks[#y_ticks], height - bottom, top)
  local x_most = 1
  for _, one in ipairs(given.series) do x_most = math.max(x_most, one.x[#one.x]) end
  local x = scale.linear(0, x_most, left, width - right)
  draw_y_axis(parts, y, y_ticks, given.y_format)
  draw_x_axis(parts, x, scale.ticks(0, x_most, 6), scale.count, "writes")
  for _, one in ipairs(given.series) do polyline(parts, one, x, y) end
  return wrap(parts)
end

-- Labels one below the other where points lie close together.
local function draw_labels(parts, points)
  table.sort(points, function(a, b) return a.y < b.y end)
  local taken = {}
  for _, point in ipairs(points) do
    local y = point.y + 4
    for _, other in ipairs(taken) do
      if math.abs(other.x - point.x) < 120 and y < other.y + 14 then y = other.y + 14 end
    end
    taken[#taken + 1] = { x = point.x, y = y }
    local is_right = point.x > width - 140
    local class = is_right and "label end" or "label"
    text(parts, point.x + (is_right and -9 or 9), y, class, point.name)
  end
end

--- Points of two ratios, each with its name.
---@param given table `points`: list of `{name =, class =, x =, y =}`; `x_label`, `y_label`
---@return string svg
function chart.scatter(given)
  local parts, places = {}, {}
  local x_most, y_most = 1.5, 1.5
  for _, point in ipairs(given.points) do
    x_most, y_most = math.max(x_most, point.x), math.max(y_most, point.y)
  end
  local x_ticks, y_ticks = scale.ticks(1, x_most, 6), scale.ticks(1, y_most, 5)
  local x = scale.linear(x_ticks[1], x_ticks[#x_ticks], left, width - right)
  local y = scale.linear(y_ticks[1], y_ticks[#y_ticks], height - bottom, top)
  draw_y_axis(parts, y, y_ticks, scale.ratio)
  draw_x_axis(parts, x, x_ticks, scale.ratio, given.x_label)
  for i, point in ipairs(given.points) do
    places[i] = { x = x(point.x), y = y(point.y), name = point.name }
    parts[#parts + 1] = ('<circle cx="%.1f" cy="%.1f" r="5" class="dot %s"/>'):format(
      places[i].x, places[i].y, point.class)
  end
  draw_labels(parts, places)
  return wrap(parts)
end

local row_height = 58

--- A row for each policy: a bar for each segment, oldest first; as high as it is large, filled
-- as far as it is live.
---@param rows table[] each `name`, `class`, `segments`
---@return string svg
function chart.segments(rows)
  local parts, largest = {}, 1
  local tall = #rows * row_height + bottom
  for _, row in ipairs(rows) do
    for _, segment in ipairs(row.segments) do largest = math.max(largest, segment.bytes) end
  end
  for i, row in ipairs(rows) do
    local base = i * row_height
    local step = (width - left - right) / math.max(1, #row.segments)
    local y = scale.linear(0, largest, 0, row_height - 22)
    for k, segment in ipairs(row.segments) do
      local x, w = left + (k - 1) * step, math.max(0.5, math.min(step - 1, 14))
      rectangle(parts, x, base - y(segment.bytes), w, y(segment.bytes), "hollow " .. row.class)
      rectangle(parts, x, base - y(segment.live_bytes), w, y(segment.live_bytes),
        "fill " .. row.class)
    end
    line(parts, left, base, width - right, base, "axis")
    text(parts, left, base - row_height + 14, "label", ("%s: %d segments"):format(row.name,
      #row.segments))
  end
  text(parts, left, tall - 16, "label", "oldest data")
  text(parts, width - right, tall - 16, "label end", "newest data")
  return wrap(parts, tall)
end

--- A row for each policy: a tick for each merge, at its time; its height is the root of what it
-- has written, so that small ones are seen beside large ones.
---@param rows table[] each `name`, `class`, `log`
---@param writes integer where the axis ends
---@return string svg
function chart.moments(rows, writes)
  local parts, largest = {}, 1
  local tall = #rows * row_height + bottom + 6
  for _, row in ipairs(rows) do
    for _, merge in ipairs(row.log) do largest = math.max(largest, merge.bytes_written) end
  end
  local x = scale.linear(0, writes, left, width - right)
  local y = scale.linear(0, largest ^ 0.5, 2, row_height - 22)
  for i, row in ipairs(rows) do
    local base = i * row_height
    for _, merge in ipairs(row.log) do
      local high = y(merge.bytes_written ^ 0.5)
      line(parts, x(merge.writes), base, x(merge.writes), base - high, "moment " .. row.class)
    end
    line(parts, left, base, width - right, base, "axis")
    text(parts, left, base - row_height + 14, "label", ("%s: %d merges"):format(row.name, #row.log))
  end
  draw_x_axis(parts, x, scale.ticks(0, writes, 6), scale.count, "writes", tall)
  return wrap(parts, tall)
end

return chart
