--- Which keys expire when: a heap by the time at which they are due.
--
-- An item may be out of date, when its key was written again since; whoever takes it looks.

local expiries = {}
expiries.__index = expiries

function expiries.new()
  return setmetatable({ count = 0, dues = {}, keys = {} }, expiries)
end

--- Add a key that is due at a time.
function expiries:add(due, key)
  local dues, keys = self.dues, self.keys
  local at = self.count + 1
  self.count = at
  while at > 1 and dues[at // 2] > due do
    dues[at], keys[at] = dues[at // 2], keys[at // 2]
    at = at // 2
  end
  dues[at], keys[at] = due, key
end

-- The last item fills the place of the first and sinks to where it belongs.
local function remove_first(self)
  local dues, keys, count = self.dues, self.keys, self.count
  local due, key = dues[count], keys[count]
  dues[count], keys[count] = nil, nil
  count = count - 1
  self.count = count
  if count == 0 then return end
  local at = 1
  while 2 * at <= count do
    local child = 2 * at
    if child < count and dues[child + 1] < dues[child] then child = child + 1 end
    if dues[child] >= due then break end
    dues[at], keys[at] = dues[child], keys[child]
    at = child
  end
  dues[at], keys[at] = due, key
end

--- Take an item that is due at `now`.
---@return integer|nil key nil: none is
---@return number? due
function expiries:take(now)
  local due = self.dues[1]
  if not due or due > now then return nil end
  local key = self.keys[1]
  remove_first(self)
  return key, due
end

return expiries
