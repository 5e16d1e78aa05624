local internals = require "bitcask.internals"
local random = require "spec.support.random"

local place = internals.keydir.place

-- `count` places of records in so many files of so many bytes, in no order.
local function places(count, files, bytes)
  local list, taken = {}, {}
  random.begin(count)
  while #list < count do
    local at = place(math.random(0, files - 1), 64 + math.random(0, bytes // 40) * 40, false)
    if not taken[at] then list[#list + 1] = at end
    taken[at] = true
  end
  return list
end

describe("the stops of a walk", function()
  for _, case in ipairs {
    { "none", 0, 1, 4000 },
    { "one", 1, 1, 4000 },
    { "a few", 20, 3, 8000 },
    { "thirty-two and one", 33, 1, 1 << 23 },
    { "many in one small file", 2000, 1, 160000 },
    { "many in one large file", 3000, 1, (1 << 36) - 128 },
    { "many in many files", 3000, 100000, 1 << 28 },
  } do
    local name, count, files, bytes = table.unpack(case)
    it("come in the order of the files: " .. name, function()
      local list = places(count, files, bytes)
      local sorted = internals.stops.sort(list)
      table.sort(list)
      assert.same(list, sorted)
    end)
  end

  it("come in order where they were so before, and the other way round", function()
    local list = places(1000, 10, 1 << 23)
    table.sort(list)
    assert.same(list, internals.stops.sort(list))
    local reversed = {}
    for i, at in ipairs(list) do
      reversed[#list + 1 - i] = at
    end
    assert.same(list, internals.stops.sort(reversed))
  end)
end)
