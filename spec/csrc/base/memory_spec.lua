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

  it("of a table that grows holds what it held, over every page and every few bytes", function()
    local before = memory.balance()
    local pages, bytes = {}, {}
    for page = 1, 200 do
      pages[page] = page * 4096
      bytes[page] = page * 112
    end
    assert.same({ 200, true }, { memory.grows(table.unpack(pages)) })
    assert.same({ 200, true }, { memory.grows(table.unpack(bytes)) })
    assert.same({ 3, true }, { memory.grows(0, 100, 1 << 20) })
    assert.equal(before, memory.balance())
  end)

  it("of a table stays as it was when more is refused, or cannot exist", function()
    local before = memory.balance()
    local sizes = { 100, 1000, 5000, 10000, 30000, 100000, 200000, 1 << 20 }
    for n = 1, #sizes do
      memory.refuse(n)
      assert.same({ n - 1, true }, { memory.grows(table.unpack(sizes)) })
    end
    for _, huge in ipairs { -1, 1 << 62, 1 << 50 } do
      assert.same({ 0, true }, { memory.grows(huge) })
      assert.same({ 1, true }, { memory.grows(100, huge) })
      assert.same({ 2, true }, { memory.grows(100, 100000, huge) })
    end
    assert.equal(before, memory.balance())
  end)

  it("of a table is asked for in whole pages once it is large", function()
    local last = 0
    for size = 0, 100000, 8 do
      local taken = memory.table_size(size)
      assert(taken >= size and taken >= last and taken == memory.table_size(taken))
      assert(taken == size or taken % 4096 == 0)
      assert(taken < size + 65536)
      last = taken
    end
    assert.equal(16, memory.table_size(16))
  end)
end)
