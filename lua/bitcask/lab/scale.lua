--- Axes: round ticks for a range of numbers, and how they are written.

local scale = {}

--- Ticks at round numbers that cover a range.
---@param least number
---@param most number
---@param wanted integer about how many
---@return number[] ticks from at most `least` to at least `most`
function scale.ticks(least, most, wanted)
  if most <= least then most = least + 1 end
  local rough = (most - least) / wanted
  local power = 10 ^ math.floor(math.log(rough, 10))
  local step = power
  for _, factor in ipairs { 1, 2, 2.5, 5, 10 } do
    step = factor * power
    if step >= rough * 0.999 then break end
  end
  local ticks = {}
  local first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
  for i = first, last do
    ticks[#ticks + 1] = i * step
  end
  return ticks
end

--- Ticks for bytes: round in units of a power of 1024.
function scale.byte_ticks(least, most, wanted)
  local unit = 1
  while most / unit >= 1024 do unit = unit * 1024 end
  local ticks = scale.ticks(least / unit, most / unit, wanted)
  for i, tick in ipairs(ticks) do
    ticks[i] = tick * unit
  end
  return ticks
end

local function short(value)
  return (("%.2f"):format(value):gsub("%.?0+$", ""))
end

--- A number of bytes: 1.5 MiB.
function scale.bytes(value)
  local units, at = { "B", "KiB", "MiB", "GiB", "TiB" }, 1
  while value >= 1024 and at < #units do
    value, at = value / 1024, at + 1
  end
  return short(value) .. " " .. units[at]
end

--- A count: 250k, 1.5M.
function scale.count(value)
  if value >= 1e6 then return short(value / 1e6) .. "M" end
  if value >= 1e3 then return short(value / 1e3) .. "k" end
  return short(value)
end

--- A ratio: 1.25.
scale.ratio = short

--- From values to places on paper.
---@return fun(value: number): number
function scale.linear(from, to, low, high)
  local factor = to > from and (high - low) / (to - from) or 0
  return function(value) return low + (value - from) * factor end
end

return scale
