local bits = require "spec.support.bits"
local header = require "bitcask.internals".header
local xxh3 = require "bitcask".hash.xxh3

local kinds = { segment = "BCASKSEG", hint = "BCASKHNT", manifest = "BCASKMAN" }

local function sample(kind)
  return { kind = kind, store = "0123456789abcdef", number = 258, salt = -2, created_ms = 1 << 41,
    boot = 0xFEDCBA98 }
end

describe("the header of a file", function()
  for kind, magic in pairs(kinds) do
    it("is read as it was written: " .. kind, function()
      local bytes = header.encode(sample(kind))
      assert.equal(64, #bytes)
      assert.equal(magic, bytes:sub(1, 8))
      assert.same(sample(kind), header.decode(bytes, kind))
      assert.same(sample(kind), header.decode(bytes .. "more", kind))
    end)

    it("is refused when any of it is missing: " .. kind, function()
      for cut in bits.cuts(header.encode(sample(kind))) do
        assert.equal("corrupt", select(3, header.decode(cut, kind)))
      end
    end)

    it("is refused with any bit wrong: " .. kind, function()
      for flipped in bits.flips(header.encode(sample(kind))) do
        assert.equal("corrupt", select(3, header.decode(flipped, kind)))
      end
    end)

    it("is refused where another kind is due: " .. kind, function()
      for other in pairs(kinds) do
        local found, _, code = header.decode(header.encode(sample(other)), kind)
        assert.equal(other == kind, found ~= nil)
        assert.equal(other ~= kind and "corrupt" or nil, code)
      end
    end)
  end

  it("of another version of the format says so", function()
    local bytes = header.encode(sample "segment")
    for _, version in ipairs { 0, 2, 3, 256, 0xFFFFFFFF } do
      local other = bytes:sub(1, 8) .. string.pack("<I4", version) .. bytes:sub(13, 56)
      other = other .. string.pack("<i8", xxh3(other))
      local found, message, code = header.decode(other, "segment")
      assert.is_nil(found)
      assert.equal("incompatible", code)
      assert.truthy(message:find(("%d"):format(version), 1, true))
    end
  end)
end)
