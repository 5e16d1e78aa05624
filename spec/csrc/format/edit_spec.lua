local bits = require "spec.support.bits"
local edit = require "bitcask.internals".edit
local refusal = require "spec.support.refusal"

local function facts(tag, id)
  return { tag = tag, id = id, length = 64 + 8 * id, records = 3, tombstones = 1,
    tombstone_bytes = 32, min_version = 1, max_version = -1, min_put_version = -1, digest = -7,
    created_ms = 11, sealed_ms = 12, flags = 255 }
end

local items = {
  { tag = "F" },
  { tag = "N", next_id = 1 << 62, last_version = -2 },
  facts("S", 1),
  { tag = "R", id = 3 },
  facts("C", 2),
  { tag = "A", id = -1 },
  { tag = "D", version = 1 << 50 },
  { tag = "K", salt = -5 },
}

describe("the items of an edit", function()
  it("are read as they were written", function()
    local read, failed = edit.decode(edit.encode(items))
    assert.same(items, read)
    assert.is_false(failed)
    assert.same({ {}, false }, { edit.decode "" })
  end)

  it("have the sizes of docs/format.md", function()
    local sizes = { F = 1, N = 17, S = 90, R = 9, C = 90, A = 9, D = 9, K = 9 }
    for _, item in ipairs(items) do
      assert.equal(sizes[item.tag], #edit.encode { item })
    end
  end)

  it("end with a failure where one is cut", function()
    local bytes, ends, at = edit.encode(items), { [0] = 0 }, 0
    for i, item in ipairs(items) do
      at = at + #edit.encode { item }
      ends[at] = i
    end
    for cut, kept in bits.cuts(bytes) do
      local read, failed = edit.decode(cut)
      assert.equal(ends[kept] == nil, failed)
      assert.is_true(not ends[kept] or #read == ends[kept])
    end
  end)

  it("with a tag that nobody knows are a failure", function()
    for tag = 0, 255 do
      local bytes = string.char(tag) .. ("\1"):rep(100)
      local read, failed = edit.decode(bytes)
      if ("FNARCSDK"):find(string.char(tag), 1, true) then
        assert.is_true(#read > 0)
      else
        assert.same({ {}, true }, { read, failed })
      end
    end
  end)

  it("written in want of memory leave none behind", function()
    assert.is_true(refusal.everywhere(function() return edit.encode(items) end) > 1)
  end)
end)

describe("an edit", function()
  local payload = edit.encode { items[2], items[4] }
  local framed = edit.frame(payload, 7, 42)

  it("is read as it was written, whatever stands behind it", function()
    assert.equal(24 + #payload, #framed)
    assert.same({ 7, payload }, { edit.unframe(framed, 42) })
    assert.same({ 7, payload }, { edit.unframe(framed .. framed, 42) })
    assert.same({ -1, "" }, { edit.unframe(edit.frame("", -1, 0), 0) })
  end)

  it("counts wholly or not at all", function()
    for cut in bits.cuts(framed) do
      assert.is_nil((edit.unframe(cut, 42)))
    end
    for flipped in bits.flips(framed) do
      assert.is_nil((edit.unframe(flipped .. ("\0"):rep(300), 42)))
    end
  end)

  it("counts in its own file alone", function()
    for bit = 0, 63 do
      assert.is_nil((edit.unframe(framed, 42 ~ (1 << bit))))
    end
  end)

  it("of an absurd size is none", function()
    for _, size in ipairs { #payload + 1, 1 << 28, (1 << 28) + 1, (1 << 32) - 1 } do
      assert.is_nil((edit.unframe(string.pack("<I4", size) .. framed:sub(5), 42)))
    end
  end)
end)
