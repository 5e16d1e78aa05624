local filename = require "bitcask.internals".filename

local numbers = { 0, 1, 9, 10, 12, 99999, 100000, 999999, 1000000, 123456789, 1 << 32 }
for shift = 0, 62 do
  numbers[#numbers + 1] = 1 << shift
  numbers[#numbers + 1] = (1 << shift) - 1
end
numbers[#numbers + 1] = math.maxinteger -- the highest

describe("the name of a file", function()
  it("has six digits, and more when they are needed", function()
    assert.equal("MANIFEST-000007", filename.manifest(7))
    assert.equal("000012.seg", filename.segment(12))
    assert.equal("000012.hint", filename.hint(12))
    assert.equal("000012.hint.tmp", filename.hint_temporary(12))
    assert.equal("1000000.seg", filename.segment(1000000))
    assert.equal("9223372036854775807.seg", filename.segment(math.maxinteger))
  end)

  it("leads back to its kind and number", function()
    for _, number in ipairs(numbers) do
      assert.same({ "manifest", number }, { filename.parse(filename.manifest(number)) })
      assert.same({ "segment", number }, { filename.parse(filename.segment(number)) })
      assert.same({ "hint", number }, { filename.parse(filename.hint(number)) })
      assert.same({ "temporary", number }, { filename.parse(filename.hint_temporary(number)) })
    end
  end)

  it("may be one of the few without a number", function()
    assert.same({ "current", 0 }, { filename.parse "CURRENT" })
    assert.same({ "lock", 0 }, { filename.parse "LOCK" })
    assert.same({ "stopped", 0 }, { filename.parse "STOPPED" })
    assert.same({ "reserve", 0 }, { filename.parse "RESERVE" })
    assert.same({ "reserve", 0 }, { filename.parse "RESERVE.edit" })
    assert.same({ "checkpoint", 0 }, { filename.parse "KEYDIR" })
    assert.same({ "temporary", 0 }, { filename.parse "CURRENT.tmp" })
    assert.same({ "temporary", 0 }, { filename.parse "KEYDIR.tmp" })
  end)
end)

describe("a name that this library would not have made", function()
  local strangers = {
    "", ".", "..", "1.seg", "00001.seg", "0000001.seg", "0000012.hint", "000001.SEG",
    "000001.seg ", " 000001.seg", "000001.seg.tmp", "000001.hint.tmp.tmp", "000001.hin",
    "000001", ".seg", "a00001.seg", "00000a.seg", "000001x.seg", "-00001.seg", "+00001.seg",
    "MANIFEST", "MANIFEST-", "MANIFEST-1", "MANIFEST-000001.tmp", "MANIFEST-0000001",
    "manifest-000001", "current", "CURRENT ", "CURRENT.tmp2", "LOCK.tmp", "lock", "README.md",
    "18446744073709551616.seg", "18446744073709551617.seg", "99999999999999999999999.seg",
    -- Behind these there would be no number for the next.
    "18446744073709551615.seg", "9223372036854775808.seg", "MANIFEST-18446744073709551615",
    ("0"):rep(300) .. "1.seg", ("x"):rep(300), "000001.seg\n", "000001/000001.seg",
  }

  it("is not ours", function()
    for _, name in ipairs(strangers) do
      local kind, number = filename.parse(name)
      assert.same({ name, "other", 0 }, { name, kind, number })
    end
  end)

  it("is not ours when it differs from one of ours in one place", function()
    for _, name in ipairs { "CURRENT", "LOCK", "MANIFEST-000012", "000012.seg", "000012.hint" } do
      for at = 1, #name do
        for _, char in ipairs { "x", "_", "/", "\xFF" } do
          local other = name:sub(1, at - 1) .. char .. name:sub(at + 1)
          local kind, number = filename.parse(other)
          assert.same({ other, "other", 0 }, { other, kind, number })
        end
      end
    end
  end)
end)
