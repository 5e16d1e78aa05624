local hash = require "bitcask.hash"

-- The reference values of xxHash, of "" and "abc" and with a seed.
local prime32, prime64 = 0x9E3779B1, 0x9E3779B185EBCA8D

describe("bitcask.hash", function()
  it("xxh32 gives the reference values", function()
    assert.equals(0x02CC5D05, hash.xxh32 "")
    assert.equals(0x36B78AE7, hash.xxh32("", prime32))
    assert.equals(0x550D7456, hash.xxh32 "a")
    assert.equals(0x32D153FF, hash.xxh32 "abc")
  end)

  it("xxh64 gives the reference values", function()
    assert.equals(0xEF46DB3751D8E999, hash.xxh64 "")
    assert.equals(0xAC75FDA2929B17EF, hash.xxh64("", prime32))
    assert.equals(0xD24EC4F1A98C6E5B, hash.xxh64 "a")
    assert.equals(0x44BC2CF5AD770999, hash.xxh64 "abc")
  end)

  it("xxh3 gives the reference values", function()
    assert.equals(0x2D06800538D394C2, hash.xxh3 "")
    assert.equals(0xA8A6B918B2F0364A, hash.xxh3("", prime64))
    assert.equals(0x78AF5F94892F3950, hash.xxh3 "abc")
  end)

  it("xxh128 gives the reference values, as high and low half", function()
    local function canonical(...)
      return ("%016x%016x"):format(hash.xxh128(...))
    end
    assert.equals("99aa06d3014798d86001c324468d497f", canonical "")
    assert.equals("06b05ab6733a618578af5f94892f3950", canonical "abc")
  end)

  it("a seed changes the value, and 0 is the seed when none is given", function()
    for _, f in pairs(hash) do
      assert.equals(f "key", (f("key", 0)))
      assert.not_equals(f "key", (f("key", 1)))
    end
  end)

  it("takes any bytes, of any length", function()
    for _, f in pairs(hash) do
      local seen = {}
      for length = 0, 1000 do
        local value = f(("\0"):rep(length))
        assert.equals("integer", math.type(value))
        assert.is_nil(seen[value])
        seen[value] = true
      end
    end
  end)

  it("raises for numbers, and for seeds that are none", function()
    for _, f in pairs(hash) do
      assert.has_error(function() f(1) end)
      assert.has_error(function() f() end)
      assert.has_error(function() f("a", "seed") end)
      assert.has_error(function() f("a", 1.5) end)
    end
    assert.has_error(function() hash.xxh32("a", -1) end)
    assert.has_error(function() hash.xxh32("a", 2 ^ 32) end)
  end)
end)
