local internals = require "bitcask.internals"
local random = require "spec.support.random"

-- Where each of the sorted numbers stood before, as a sort by comparing tells it.
local function expected(numbers, mask)
  local order = {}
  for i = 1, #numbers do
    order[i] = i
  end
  table.sort(order, function(a, b)
    local left, right = numbers[a] & mask, numbers[b] & mask
    if left ~= right then return math.ult(left, right) end
    return a < b
  end)
  return order
end

local function numbers_of(count, bits)
  local list = {}
  random.begin(count + bits)
  for i = 1, count do
    list[i] = math.random(0) >> (64 - bits)
  end
  return list
end

describe("a radix sort", function()
  for _, size in ipairs { 16, 24, 40 } do
    for _, count in ipairs { 0, 1, 2, 20, 32, 33, 3000 } do
      it(("sorts %d items of %d bytes, equal ones in the order they had"):format(count, size),
        function()
          for _, bits in ipairs { 1, 5, 8, 23, 64 } do
            local numbers = numbers_of(count, bits)
            for _, mask in ipairs { -1, ~3, 0xFF00, 0x1FFFFFFFC, 0 } do
              assert.same(expected(numbers, mask), internals.radix.sort(numbers, size, mask))
            end
          end
        end)
    end
  end

  it("leaves in order what was so before, and turns round what was the other way", function()
    local rising, falling = {}, {}
    for i = 1, 1000 do
      rising[i], falling[i] = i * 40, (1001 - i) * 40
    end
    assert.same(expected(rising, -1), internals.radix.sort(rising, 24, -1))
    assert.same(expected(falling, -1), internals.radix.sort(falling, 24, -1))
  end)
end)
