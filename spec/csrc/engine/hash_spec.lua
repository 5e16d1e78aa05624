local hash = require "bitcask.internals".hash
local public = require "bitcask".hash

describe("the hash that places keys", function()
  it("is one of xxHash's, by name", function()
    for _, key in ipairs { "", "a", "key", ("long"):rep(100) } do
      for _, seed in ipairs { 0, 1, -1, 1 << 40 } do
        assert.equal(public.xxh3(key, seed), hash.of("xxh3", key, seed))
        assert.equal(public.xxh64(key, seed), hash.of("xxh64", key, seed))
      end
    end
  end)

  it("of 32 bits is spread over 64", function()
    local high = {}
    for n = 1, 1000 do
      high[hash.of("xxh32", "key" .. n, 7) >> 55] = true
    end
    local count = 0
    for _ in pairs(high) do
      count = count + 1
    end
    assert.is_true(count > 300, count .. " of 512 shards")
  end)

  it("has no other names", function()
    for _, name in ipairs { "", "xxh", "XXH3", "xxh3 ", "md5" } do
      assert.has_error(function() hash.of(name, "key") end)
    end
  end)
end)
