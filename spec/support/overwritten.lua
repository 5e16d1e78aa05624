--- A store whose keys were put over and over, so that most of what stands in its segments is dead.

local bitcask = require "bitcask"

--- Make one: "k0", "k1", ... up to `keys` of them, `puts` puts in turn, values of some three bytes
--- `times` over, and the active segment sealed. What fails raises.
---@param path string
---@param segment_size integer bytes
---@param puts integer
---@param keys integer
---@param times integer
---@return bitcask.store db
---@return table expected what it holds
return function(path, segment_size, puts, keys, times)
  local db, expected = assert(bitcask.open(path, { segment_size = segment_size })), {}
  for i = 1, puts do
    local key, value = "k" .. i % keys, ("v%d "):format(i):rep(times)
    assert(db:put(key, value))
    expected[key] = value
  end
  assert(db:seal() ~= nil)
  return db, expected
end
