local coding = require "bitcask.internals".coding
local refusal = require "spec.support.refusal"

describe("an integer", function()
  it("stands with its lowest byte first", function()
    local bytes = coding.append(0x12, 0x12345678, 0x123456789ABCDEF0)
    assert.equal("\x12\x78\x56\x34\x12\xF0\xDE\xBC\x9A\x78\x56\x34\x12", bytes)
    assert.same({ 0x12, 0x12345678, 0x123456789ABCDEF0, false }, { coding.read(bytes, "1 4 8") })
  end)

  it("of any size is read back as it was written", function()
    for _, value in ipairs { 0, 1, 0x7F, 0x80, 0xFF } do
      for shift = 0, 56 do
        local wide = value << shift
        local bytes = coding.append(value, wide & 0xFFFFFFFF, wide)
        assert.equal(string.pack("<I1I4i8", value, wide & 0xFFFFFFFF, wide), bytes)
        local one, four, eight, failed = coding.read(bytes, "1 4 8")
        assert.same({ value, wide & 0xFFFFFFFF, wide, false }, { one, four, eight, failed })
      end
    end
    assert.same({ 0xFFFE, false }, { coding.read("\xFE\xFF", "2") })
  end)
end)

describe("a reader", function()
  it("cannot run past the end, whatever it is asked for", function()
    local bytes = ("\xFF"):rep(16)
    for size = 0, 15 do
      local one, two, four, eight, failed = coding.read(bytes:sub(1, size), "1 2 4 8")
      assert.equal(size < 15, failed)
      assert.equal(size >= 1 and 0xFF or 0, one)
      assert.equal(size >= 3 and 0xFFFF or 0, two)
      assert.equal(size >= 7 and 0xFFFFFFFF or 0, four)
      assert.equal(size >= 15 and -1 or 0, eight)
    end
  end)

  it("that failed once reads zeros from then on", function()
    assert.same({ 0, 0, 0, true }, { coding.read("\xFF\xFF\xFF", "8 1 2") })
  end)
end)

describe("appending", function()
  it("fails for want of memory without leaving any behind", function()
    assert.is_true(refusal.everywhere(function() return coding.append(1, 2, 3) end) > 0)
  end)
end)
