local bits = require "spec.support.bits"
local hint = require "bitcask.internals".hint
local refusal = require "spec.support.refusal"
local xxh3 = require "bitcask".hash.xxh3

local header = { kind = "hint", store = "0123456789abcdef", number = 3, salt = 99,
  created_ms = 5, boot = 0 }
local binding = { segment_length = 1000, segment_digest = -5, entries = 3 }
local entries = {
  { version = 1, offset = 64, size = 32, expires = 0, flags = 0, key = "k" },
  { version = -1, offset = (1 << 35) - 8, size = (1 << 35) - 8, expires = 77, flags = 2, key = "" },
  { version = 3, offset = 128, size = 40, expires = 0, flags = 5, key = ("long"):rep(16383) },
  failed = false,
}

describe("a hint file", function()
  it("is read as it was written", function()
    local bytes = hint.encode(header, binding, entries)
    assert.same({ header, binding, entries }, { hint.decode(bytes) })
    local none = { failed = false }
    assert.same({ header, binding, none }, { hint.decode(hint.encode(header, binding, none)) })
  end)

  local short = { entries[1], entries[2] }

  it("is refused at every other length", function()
    local bytes = hint.encode(header, binding, short)
    for cut in bits.cuts(bytes) do
      assert.equal("corrupt", select(3, hint.decode(cut)))
    end
    for more = 1, 64 do
      assert.equal("corrupt", select(3, hint.decode(bytes .. ("\0"):rep(more))))
    end
  end)

  it("is refused with any bit wrong", function()
    for flipped in bits.flips(hint.encode(header, binding, short)) do
      assert.equal("corrupt", select(3, hint.decode(flipped)))
    end
  end)

  it("written in want of memory leaves none behind", function()
    assert.is_true(refusal.everywhere(function()
      return hint.encode(header, binding, entries)
    end) > 1)
  end)
end)

describe("the entries of a hint file that pass their check", function()
  -- A hint file whose entries are any bytes.
  local function with(body)
    local prefix = hint.encode(header, binding, {}):sub(1, 64)
    local facts = string.pack("<i8i8i8i8i8", 1000, -5, 3, #body, xxh3(body, header.salt))
    return prefix .. facts .. string.pack("<i8", xxh3(facts, header.salt)) .. body
  end

  it("are those before the first that is none", function()
    local body = hint.encode(header, binding, { entries[1], entries[2] }):sub(113)
    for cut, kept in bits.cuts(body) do
      local _, _, found = hint.decode(with(cut))
      assert.equal(kept >= 20 and 1 or 0, #found)
      assert.equal(kept ~= 0 and kept ~= 20, found.failed)
    end
  end)

  it("have a version and no flags that nobody knows", function()
    for flags = 0, 255 do
      local expires = flags & 2 ~= 0 and ("\1"):rep(8) or ""
      local _, _, found = hint.decode(with(string.pack("<i8I4I4I2B", 1, 8, 4, 0, flags) .. expires))
      assert.equal(flags > 7, found.failed)
    end
    local _, _, found = hint.decode(with(string.pack("<i8I4I4I2B", 0, 8, 4, 0, 0)))
    assert.is_true(found.failed)
  end)

  it("never reach past the end, whatever they are", function()
    math.randomseed(1)
    for _ = 1, 2000 do
      local bytes = {}
      for i = 1, math.random(0, 80) do
        bytes[i] = string.char(math.random(0, 1) * math.random(0, 255))
      end
      local _, _, found = hint.decode(with(table.concat(bytes)))
      assert.is_boolean(found.failed)
    end
  end)
end)
