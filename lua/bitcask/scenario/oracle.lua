--- The oracle: what may be found in a store after a crash.
--
-- A store has to come back as it was after some write of its history: every write up to that
-- one, whole, and none behind it. The death of the process may only take away what was on
-- its way; a power cut what was not durable. So the allowed states are those after the first
-- n writes, for n from what must be there to what had been begun.

local oracle = {}

--- Everything that a store holds.
---@param store table
---@return table<string, string> found
function oracle.contents(store)
  local found = {}
  for key, value in store:pairs() do
    found[key] = value
  end
  return found
end

-- One string for each set of pairs.
local function signature(pairs_of)
  local keys = {}
  for key in pairs(pairs_of) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    keys[i] = ("%d:%s=%d:%s"):format(#key, key, #pairs_of[key], pairs_of[key])
  end
  return table.concat(keys, ";")
end

oracle.signature = signature

local function apply(state, entry)
  for _, change in ipairs(entry.changes) do
    state[change.key] = change.value and change or nil
  end
end

local function visible(state, now)
  local values = {}
  for key, change in pairs(state) do
    if not change.expires or change.expires > now then values[key] = change.value end
  end
  return values
end

--- The pairs after the first `count` writes.
---@param log bitcask.scenario.log
---@param count integer
---@param now integer milliseconds: what has expired by then is not in it
---@return table<string, string> pairs
function oracle.after(log, count, now)
  local state = {}
  for i = 1, count do
    apply(state, log.entries[i])
  end
  return visible(state, now)
end

--- How many writes must, and may, have happened at a moment.
---@param log bitcask.scenario.log
---@param begun integer operations of the disk that had begun
---@param next_begins integer the operation that comes next: what returned before it, returned
---@return integer durable, integer acknowledged, integer begun
function oracle.bounds(log, begun, next_begins)
  local acknowledged, started, durable = 0, 0, 0
  for i, entry in ipairs(log.entries) do
    if entry.last and entry.last < next_begins then acknowledged = i end
    if entry.first < begun then started = i end
  end
  for _, mark in ipairs(log.marks) do
    if mark.last < next_begins and mark.upto > durable then durable = mark.upto end
  end
  return durable, acknowledged, math.max(started, acknowledged)
end

--- The highest version that the first `count` writes returned.
---@param log bitcask.scenario.log
---@param count integer
---@return integer version 0: none
function oracle.newest_version(log, count)
  local newest = 0
  for i = 1, count do
    newest = math.max(newest, log.entries[i].version or 0)
  end
  return newest
end

-- Signatures are made once for each number of writes and each moment.
local function signature_after(log, count, now)
  log.signatures = log.signatures or {}
  local at = log.signatures[now]
  if not at then
    at = {}
    log.signatures[now] = at
  end
  if not at[count] then at[count] = signature(oracle.after(log, count, now)) end
  return at[count]
end

--- Which number of writes explains what was found.
---@param log bitcask.scenario.log
---@param found table<string, string>
---@param least integer
---@param most integer
---@param now integer
---@return integer|nil count nil: none from least to most
function oracle.explain(log, found, least, most, now)
  local wanted = signature(found)
  for count = most, least, -1 do
    if signature_after(log, count, now) == wanted then return count end
  end
  return nil
end

local function show(value)
  if value == nil then return "nothing" end
  if #value > 24 then return ("%q... (%d bytes)"):format(value:sub(1, 24), #value) end
  return ("%q"):format(value)
end

local function differences(found, expected)
  local lines = {}
  for key, value in pairs(expected) do
    if found[key] ~= value then
      lines[#lines + 1] = ("%q is %s instead of %s"):format(key, show(found[key]), show(value))
    end
  end
  for key, value in pairs(found) do
    if expected[key] == nil then
      lines[#lines + 1] = ("%q is %s instead of nothing"):format(key, show(value))
    end
  end
  table.sort(lines)
  return table.concat(lines, ", ", 1, math.min(#lines, 4)), #lines
end

--- Why what was found is not explained: how it differs from the state that is nearest.
---@param log bitcask.scenario.log
---@param found table<string, string>
---@param least integer
---@param most integer
---@param now integer
---@return string sentence
function oracle.complain(log, found, least, most, now)
  local nearest, fewest, count_of = nil, math.huge, nil
  for count = least, most do
    local text, number = differences(found, oracle.after(log, count, now))
    if number < fewest then nearest, fewest, count_of = text, number, count end
  end
  return ("after none of the first %d to %d writes is the store so; nearest to %d: %s"):format(
    least, most, count_of, nearest)
end

return oracle
