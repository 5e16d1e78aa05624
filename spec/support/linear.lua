--- Whether what threads have done to a store, and been told by it, can be explained by each
-- operation having happened at one moment between its call and its return.
--
-- Every write has a version, and versions are claimed to be the order in which writes take
-- effect: so the order is known, and what remains is to hold everything else against it. An
-- operation is a table:
--
--   call, ret     when it was called, and when it had returned
--   keys, last    what it has written, in order, and the version of the last of that
--   deleted       what it has written is a tombstone
--   reads         what it has seen: from key to version, 0 for a key that is not there
--   differs       the same, but something else than this was seen
--   moment        all of `reads` was seen at one moment, batches whole; else it is of one key
--   version       of that moment, if it was told

local linear = {}

local function describe(operation)
  local words = {}
  for _, field in ipairs { "call", "ret", "last", "version" } do
    words[#words + 1] = operation[field] and ("%s=%d"):format(field, operation[field])
  end
  for key, version in pairs(operation.reads or operation.differs or {}) do
    words[#words + 1] = ("%s:%d"):format(key, version)
  end
  return table.concat(words, " ") .. " writes " .. table.concat(operation.keys or {}, ",")
end

local function complain(what, operation)
  error(what .. ": " .. describe(operation), 0)
end

-- ---- The order of writes -----------------------------------------------------------------

-- order: owner (from version to operation), newest, of (from key to the versions of its writes,
-- rising), latest_call (from version to the latest call of any write up to it).
local function add_writes(order, operation)
  for i, key in ipairs(operation.keys) do
    local version = operation.last - #operation.keys + i
    if order.owner[version] then complain("a version was given out twice", operation) end
    order.owner[version] = operation
    order.newest = math.max(order.newest, version)
    order.of[key] = order.of[key] or {}
    table.insert(order.of[key], version)
  end
end

local function note_times(order)
  local latest = math.mininteger
  for version = 1, order.newest do
    local operation = order.owner[version]
    if not operation then error("nobody has written version " .. version, 0) end
    latest = math.max(latest, operation.call)
    order.latest_call[version] = latest
  end
  local earliest = math.maxinteger
  for version = order.newest, 1, -1 do
    local operation = order.owner[version]
    if earliest < operation.call then complain("a later write has a lower version", operation) end
    earliest = math.min(earliest, operation.ret)
  end
end

local function order_of(history)
  local order = { owner = {}, newest = 0, of = {}, latest_call = { [0] = math.mininteger } }
  for _, operation in ipairs(history) do
    if operation.keys then add_writes(order, operation) end
  end
  for _, versions in pairs(order.of) do table.sort(versions) end
  note_times(order)
  return order
end

-- The version that a key has behind the write `at`, 0 where it is not there; and the next write
-- of the key.
local function state_of(order, key, at)
  local versions = order.of[key] or {}
  local low, high = 0, #versions
  while low < high do
    local middle = (low + high + 1) // 2
    if versions[middle] <= at then low = middle else high = middle - 1 end
  end
  local version = versions[low]
  if not version or order.owner[version].deleted then version = 0 end
  return version, versions[low + 1]
end

-- ---- Reads, and where they fit in ----------------------------------------------------------

-- Where reading has to move on to, nil where it fits; false: nowhere.
local function next_try(order, operation, at)
  for key, version in pairs(operation.reads or {}) do
    local state, next_write = state_of(order, key, at)
    if state ~= version then return next_write or false end
  end
  for key, version in pairs(operation.differs or {}) do
    local state, next_write = state_of(order, key, at)
    if state == version then return next_write or false end
  end
  local owner = order.owner[at]
  if operation.moment and owner and owner.last ~= at then return owner.last end
end

-- The earliest moment, from the write `at` on, at which the operation has seen what it has.
local function fit(order, operation, at)
  while true do
    local next_at = next_try(order, operation, at)
    if next_at == nil then return at end
    if next_at == false then complain("there was never such a moment behind " .. at, operation) end
    at = next_at
  end
end

-- Whoever reads and writes has read just before it has written.
local function check_commit(order, operation)
  local before = operation.last - #operation.keys
  for key, version in pairs(operation.reads) do
    if state_of(order, key, before) ~= version then
      complain(("%s was not %d just before it was committed"):format(key, version), operation)
    end
  end
end

-- All operations by the time at which they were called; beside them the newest write that those
-- which had returned by then have seen or done.
local function check_moments(order, history)
  local by_call = table.move(history, 1, #history, 1, {})
  table.sort(by_call, function(a, b) return a.call < b.call end)
  local by_return = table.move(history, 1, #history, 1, {})
  table.sort(by_return, function(a, b) return a.ret < b.ret end)
  local behind, seen, returned = {}, 0, 1
  for _, operation in ipairs(by_call) do
    while by_return[returned] and by_return[returned].ret < operation.call do
      seen = math.max(seen, behind[by_return[returned]])
      returned = returned + 1
    end
    local at = operation.last
    if not at then
      at = fit(order, operation, math.max(seen, operation.version or 0))
      if operation.version and at ~= operation.version then
        complain("it was another moment than was told, at the earliest " .. at, operation)
      end
      if order.latest_call[at] > operation.ret then
        complain("it has seen what was not written yet", operation)
      end
    elseif operation.last - #operation.keys < seen then
      complain("what it has written was passed already by " .. seen, operation)
    end
    behind[operation] = at
  end
end

--- Raise, saying where, unless all of the history can be explained so.
---@param history table[] operations of all threads, in any order
function linear.check(history)
  local order = order_of(history)
  for _, operation in ipairs(history) do
    if operation.keys and operation.reads then check_commit(order, operation) end
  end
  check_moments(order, history)
end

return linear
