local internals = require "bitcask.internals"
local memory = internals.memory

describe("memory", function()
  after_each(function()
    memory.refuse(0)
  end)

  it("that cannot exist is refused, however its size is put together", function()
    local before = memory.balance()
    local huge = { { 1 << 62, 4 }, { 1 << 33, 1 << 33 }, { -1, -1 }, { -1, 2 }, { 1 << 62, 1 } }
    for _, sizes in ipairs(huge) do
      local zeroed, resized = memory.asks(sizes[1], sizes[2])
      assert.is_false(zeroed)
      assert.is_false(resized)
    end
    assert.equal(before, memory.balance())
  end)

  it("of no bytes can be had", function()
    for _, sizes in ipairs { { 0, 0 }, { 0, 8 }, { 8, 0 } } do
      assert.same({ true, true }, { memory.asks(sizes[1], sizes[2]) })
    end
  end)

  it("is refused at the n-th allocation, once or for ever", function()
    for n = 1, 3 do
      memory.refuse(2 * n)
      for i = 1, 5 do
        assert.same({ true, i ~= n }, { memory.asks(1, 1) })
      end
    end
    memory.refuse(2, true)
    assert.same({ true, false }, { memory.asks(1, 1) })
    assert.same({ false, false }, { memory.asks(1, 1) })
    memory.refuse(0)
    assert.same({ true, true }, { memory.asks(1, 1) })
  end)
end)
