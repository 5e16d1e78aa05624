--- A policy that is asked at some hours of the day only, in local time: "22:00-06:00" is
-- from ten at night, inclusive, to six in the morning, exclusive. Several are parted by commas.

local window = { name = "window", sentence = "a policy, at some hours of the day only" }

local function minute_of_day(hours, minutes)
  hours, minutes = tonumber(hours), tonumber(minutes)
  if hours > 24 or minutes > 59 or hours == 24 and minutes > 0 then return nil end
  return 60 * hours + minutes
end

local function parse_one(text)
  local from_hours, from_minutes, to_hours, to_minutes =
    text:match "^%s*(%d%d?):(%d%d)%s*%-%s*(%d%d?):(%d%d)%s*$"
  if not from_hours then return nil end
  local from = minute_of_day(from_hours, from_minutes)
  local to = minute_of_day(to_hours, to_minutes)
  return from and to and from ~= to and { from = from, to = to } or nil
end

--- Read hours as they are written.
---@param text any
---@return table[]|nil spans each `from` and `to`, minutes since midnight
---@return string? wanted what it should have been
function window.parse(text)
  local wanted = 'hours of the day like "22:00-06:00", or several, parted by commas'
  if type(text) ~= "string" then return nil, wanted end
  local spans = {}
  for part in (text .. ","):gmatch "([^,]*)," do
    local span = parse_one(part)
    if not span then return nil, wanted end
    spans[#spans + 1] = span
  end
  return spans
end

local function is_within(spans, minute)
  for _, span in ipairs(spans) do
    local is_over_midnight = span.from > span.to
    local after, before = minute >= span.from, minute < span.to
    if is_over_midnight and (after or before) or after and before then return true end
  end
  return false
end

--- Bind a policy to hours.
---@param policy function
---@param spans table[] as window.parse returns them
---@return fun(store: table): table|nil policy
function window.new(policy, spans)
  return function(store)
    local time = os.date("*t", math.floor(store.now))
    if not is_within(spans, 60 * time.hour + time.min) then return nil end
    return policy(store)
  end
end

return window
