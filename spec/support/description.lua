--- Descriptions of stores, as policies get them, written by hand.

local description = {}

--- A segment. What is not given follows from what is: full of live records of 100 bytes.
function description.segment(id, given)
  local bytes = given.bytes or 1000
  local dead = given.dead_bytes or 0
  local segment = {
    id = id, bytes = bytes, dead_bytes = dead, live_bytes = bytes - dead,
    records = bytes // 100, live_records = (bytes - dead) // 100, tombstones = 0,
    tombstone_bytes = 0, expired_bytes = 0, min_version = 100 * id, max_version = 100 * id + 99,
    created = 1000 + id, sealed = 1001 + id, pinned = false, damaged = false, active = false,
  }
  for field, value in pairs(given) do
    segment[field] = value
  end
  return segment
end

--- A store of some segments, oldest first, with ids 1, 2, 3, ...
---@param list table[] what is known of each segment
---@param given? table fields of the store: `now`, `segment_size`, `active` and so on
function description.store(list, given)
  local store = { segments = {}, bytes = 0, live_bytes = 0, dead_bytes = 0, keys = 0 }
  for id, segment in ipairs(list) do
    store.segments[id] = description.segment(id, segment)
    for _, field in ipairs { "bytes", "live_bytes", "dead_bytes" } do
      store[field] = store[field] + store.segments[id][field]
    end
    store.keys = store.keys + store.segments[id].live_records
  end
  store.now, store.segment_size = 5000, 1000
  for field, value in pairs(given or {}) do
    store[field] = value
  end
  return store
end

--- The ids that a plan names, sorted; nil for a plan of nothing.
function description.ids(plan)
  if plan == nil then return nil end
  local ids = {}
  for _, list in ipairs(plan) do
    for _, id in ipairs(type(list) == "table" and list or { list }) do
      ids[#ids + 1] = id
    end
  end
  table.sort(ids)
  return ids[1] and ids or nil
end

return description
