--- What a store holds, as a plain table.

local contents = {}

--- All pairs, by iteration.
function contents.of(db)
  local all = {}
  for key, value in db:pairs() do
    assert(all[key] == nil, "a key came twice")
    all[key] = value
  end
  return all
end

--- The keys of a table, sorted.
function contents.keys(all)
  local keys = {}
  for key in pairs(all) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

--- The ids of a store's sealed segments, oldest first.
function contents.sealed(db)
  local ids = {}
  for i, segment in ipairs(assert(db:segments()).segments) do
    ids[i] = segment.id
  end
  return ids
end

--- Raise, saying where, unless the store holds exactly `expected` by every way of reading.
function contents.check(db, expected)
  local keys = contents.keys(expected)
  assert(db:count() == #keys, ("count is %d, not %d"):format(db:count(), #keys))
  assert(#db == #keys)
  local many = assert(db:get_many(keys))
  for _, key in ipairs(keys) do
    local value, message = db:get(key)
    assert(value == expected[key], ("get %q: %s"):format(key, message or "differs"))
    assert(many[key] == expected[key], ("get_many %q differs"):format(key))
    assert(db:has(key), ("has %q is false"):format(key))
    assert(db:stat(key).size == #value, ("stat %q differs"):format(key))
  end
  local iterated = contents.of(db)
  for key, value in pairs(iterated) do
    assert(value == expected[key], ("pairs gives %q wrongly"):format(key))
  end
  assert(#contents.keys(iterated) == #keys, "pairs leaves keys out")
  local seen = 0
  for key in db:keys() do
    seen = seen + 1
    assert(expected[key], ("keys gives %q"):format(key))
  end
  assert(seen == #keys, "keys leaves keys out")
end

return contents
