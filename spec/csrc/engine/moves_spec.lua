local internals = require "bitcask.internals"
local refusal = require "spec.support.refusal"

local keydirs = internals.keydir

-- A keydir with entries that lead to segments in slots 1 to 5, and the offsets in each, rising.
local function made(count)
  local keydir, offsets = assert(keydirs.new()), { {}, {}, {}, {}, {} }
  for n = 1, count do
    local slot = n * 7919 % 5 + 1
    assert(keydir:reserve(n * 0x9E3779B97F4A7C15, 1))
    keydir:insert(n * 0x9E3779B97F4A7C15, keydirs.place(slot, 32 * n), 32)
    table.insert(offsets[slot], 32 * n)
  end
  return keydir, offsets
end

describe("the moves of segments", function()
  local cases = {
    ["were counted before"] = function(_, exact) return exact end,
    ["were more before"] = function(_, exact) return exact + 7 end,
    ["are one more than expected"] = function(_, exact) return exact - 1 end,
    ["are expected by nobody"] = function() return 0 end,
    ["are more than expected in one of them"] = function(k, exact) return k == 1 and 1 or exact end,
  }
  for name, expected in pairs(cases) do
    it("are the places that entries lead to, in order, where they " .. name, function()
      for _, count in ipairs { 10, 3000, 40000 } do
        local keydir, offsets = made(count)
        local second, fourth = keydir:moves(2, expected(1, #offsets[2]), 4,
          expected(2, #offsets[4]))
        assert.same(offsets[2], second)
        assert.same(offsets[4], fourth)
      end
    end)
  end

  it("are none where nothing leads to a segment", function()
    local keydir, offsets = made(100)
    local none, some = keydir:moves(9, 3, 1, #offsets[1])
    assert.same({}, none)
    assert.same(offsets[1], some)
  end)

  it("in want of memory can be had later", function()
    local keydir, offsets = made(1000)
    refusal.everywhere(function() return keydir:moves(3, 0) end)
    assert.same(offsets[3], (keydir:moves(3, #offsets[3])))
  end)
end)
