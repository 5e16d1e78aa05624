--- What the golden stores hold. Each is a directory beside this file, made by make.lua with
-- version 1 of the format, and kept as it is: what could be read once can be read for ever.

local expected = {}

--- Closed cleanly: sealed segments with their hint files and an active one; overwritten,
-- deleted and expiring keys, a batch, the empty key, an empty value, and one of every byte.
expected.clean = { contents = {
  ada = "1815", alan = "1912", grace = "1906", [""] = "the empty key", empty = "",
  ["every byte"] = string.char(table.unpack((function()
    local bytes = {}
    for i = 0, 255 do
      bytes[i + 1] = i
    end
    return bytes
  end)())),
  ["for long"] = "until 4461", ["of a batch 1"] = "one", ["of a batch 2"] = "two",
} }
for i = 1, 30 do
  if i % 3 ~= 0 then expected.clean.contents["k" .. i] = ("second %d"):format(i) end
end

--- Killed while a record was being written, in a boot that is not the present one.
expected.killed = {
  contents = { ada = "1815", alan = "1912", before = "the last whole one" },
  torn_bytes = true,
}

--- After a power cut that lost a page and kept a later one: what stands behind the hole was
-- never promised, and is gone.
expected.hole = { contents = { ada = "1815", before = "the hole" }, torn_bytes = true }

--- Killed in the middle of a batch, of which some records are whole.
expected.batch = { contents = { ada = "1815" }, torn_bytes = true }

--- The clean one, its hint files deleted.
expected.hintless = { contents = expected.clean.contents }

--- With merges behind it: one that kept a tombstone, since an older put stood elsewhere.
expected.merged = { contents = {} }
for i = 1, 40 do
  if i % 4 ~= 0 then expected.merged.contents["k" .. i] = ("third %d"):format(i) end
end

--- Killed some writes after a keydir checkpoint, which is there.
expected.checkpointed = { contents = { ada = "1815", ["for long"] = "until 4461" } }
for i = 1, 30 do
  if i % 7 ~= 0 then
    expected.checkpointed.contents["k" .. i] = (i % 5 == 0 and "second %d" or "first %d"):format(i)
  end
end

return expected
