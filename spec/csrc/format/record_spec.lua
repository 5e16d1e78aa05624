local bits = require "spec.support.bits"
local record = require "bitcask.internals".record

local SALT, OFFSET = 0x0123456789ABCDEF, 64
local TOMBSTONE, EXPIRES, CONTINUES = 1, 2, 4

local function encode(fields)
  return record.encode(fields, SALT, OFFSET)
end

local function decode(bytes)
  return record.decode(bytes, SALT, OFFSET)
end

local samples = {
  put = { version = 1, key = "k", value = "v", flags = 0, synced = 0 },
  ["put of nothing"] = { version = 7, key = "", value = "", flags = 0, synced = 3 },
  ["put that expires"] =
    { version = -1, key = "key", value = "value", flags = EXPIRES, expires = 1234567890123 },
  tombstone = { version = 1 << 40, key = "gone", value = "", flags = TOMBSTONE, synced = -1 },
  ["part of a batch"] = { version = 5, key = "ab", value = ("v"):rep(13), flags = CONTINUES },
  ["tombstone in a batch"] = { version = 6, key = "abc", value = "",
    flags = TOMBSTONE | CONTINUES },
  ["put of a long key"] =
    { version = 9, key = ("long"):rep(100), value = "v", flags = EXPIRES, expires = 5 },
  ["everything"] = { version = 6, key = "abc", value = "", expires = 1,
    flags = TOMBSTONE | CONTINUES | EXPIRES },
}

local function expected(fields)
  return {
    version = fields.version, key = fields.key, value = fields.value, flags = fields.flags,
    expires = fields.expires or 0, synced = (fields.synced or 0) & 0xFFFFFFFF,
    is_value_intact = true,
  }
end

describe("a record", function()
  for name, fields in pairs(samples) do
    it("is read as it was written: " .. name, function()
      local bytes = encode(fields)
      local header = record.encode_header(fields, SALT, OFFSET)
      assert.equal(bytes:sub(1, #header), header)
      assert.equal(0, #bytes % 8)
      assert.equal(#bytes, record.peek(bytes))
      assert.same(expected(fields), decode(bytes))
    end)

    it("is none when any of its bytes is missing: " .. name, function()
      for cut in bits.cuts(encode(fields)) do
        assert.same({ nil, "shape" }, { decode(cut) })
      end
    end)

    it("may be followed by anything: " .. name, function()
      assert.same(expected(fields), decode(encode(fields) .. ("\xB5"):rep(100)))
    end)

    it("is noticed with any bit of header or key wrong: " .. name, function()
      local bytes = encode(fields)
      local header = fields.flags & EXPIRES ~= 0 and 36 or 28
      for flipped in bits.flips(bytes, 1, header + #fields.key) do
        assert.is_nil((decode(flipped .. ("\0"):rep(300))))
      end
    end)

    it("tells its key and size with any bit of the value wrong: " .. name, function()
      local bytes = encode(fields)
      local header = fields.flags & EXPIRES ~= 0 and 36 or 28
      local from = header + #fields.key + 1
      for flipped in bits.flips(bytes, from, from + #fields.value - 1) do
        local damaged = assert(decode(flipped))
        assert.is_false(damaged.is_value_intact)
        assert.equal(fields.key, damaged.key)
        assert.equal(fields.version, damaged.version)
      end
      for flipped in bits.flips(bytes, from + #fields.value) do -- the padding
        assert.same(expected(fields), decode(flipped))
      end
    end)
  end

  it("has the same bytes for all sizes of key and value, read back", function()
    local keys = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 100, 219, 220, 221, 227, 228, 229, 230, 231, 232,
      233, 255, 256, 257, 1000, 65534, 65535 }
    for _, key_size in ipairs(keys) do
      for _, value_size in ipairs { 0, 1, 7, 8, 9, 240, 241, 5000 } do
        for _, flags in ipairs { 0, EXPIRES } do
          local fields = { version = 3, key = ("k"):rep(key_size), value = ("v"):rep(value_size),
            flags = flags, expires = flags // 2 }
          local bytes = encode(fields)
          local bare = 28 + 4 * flags + key_size + value_size
          assert.equal((bare + 7) // 8 * 8, #bytes)
          assert.equal(("\0"):rep(#bytes - bare), bytes:sub(bare + 1))
          assert.same(expected(fields), decode(bytes))
        end
      end
    end
  end)

  it("counts only in its own place of its own file", function()
    local bytes = encode(samples.put)
    for _, other in ipairs { 0, 8, 63, 65, 72, OFFSET + (1 << 32), -64 } do
      assert.same({ nil, "check" }, { record.decode(bytes, SALT, other) })
    end
    for bit = 0, 63 do
      assert.same({ nil, "check" }, { record.decode(bytes, SALT ~ (1 << bit), OFFSET) })
    end
  end)

  it("has a seed that wraps around", function()
    local bytes = record.encode(samples.put, -8, 64)
    assert.same(expected(samples.put), record.decode(bytes, -8, 64))
    assert.same(expected(samples.put), record.decode(bytes, 0, 56))
  end)
end)

describe("what was never written as a record", function()
  it("is none: flags that nobody knows, well checked", function()
    for flags = 0, 255 do
      local value = flags & TOMBSTONE == 0 and "v" or ""
      local bytes = encode { version = 1, key = "k", value = value, flags = flags, expires = 9 }
      assert.equal(flags < 8, decode(bytes) ~= nil)
      assert.equal(flags < 8, record.peek(bytes) ~= nil)
    end
  end)

  it("is none: a tombstone with a value", function()
    local bytes = encode { version = 1, key = "k", value = "v", flags = TOMBSTONE }
    assert.same({ nil, "shape" }, { decode(bytes) })
  end)

  it("is none: a version of zero", function()
    assert.same({ nil, "check" }, { decode(encode { version = 0, key = "k", value = "v" }) })
  end)

  it("is none: zeros", function()
    for size = 0, 100 do
      assert.is_nil((decode(("\0"):rep(size))))
    end
  end)

  it("is none: a size that does not fit, up to the largest", function()
    local bytes = encode(samples.put)
    for _, size in ipairs { 100, 1 << 16, 1 << 31, (1 << 32) - 1 } do
      local huge = bytes:sub(1, 16) .. string.pack("<I4", size) .. bytes:sub(21)
      assert.same({ nil, "shape" }, { decode(huge) })
      assert.is_true(record.peek(huge) >= size)
    end
  end)
end)
