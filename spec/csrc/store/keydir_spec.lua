local internals = require "bitcask.internals"
local layers = require "spec.support.layers"
local random = require "spec.support.random"
local refusal = require "spec.support.refusal"
local scratch = require "spec.support.scratch"

local keydirs = internals.keydir
local SHARDS = 512

-- Hashes good and bad, of the numbers from 1 on.
local hashes = {
  constant = function() return 0x0123456789ABCDEF end,
  ["all zeros"] = function() return 0 end,
  ["all ones"] = function() return -1 end,
  few = function(n) return (n % 3) << 62 end,
  ["the last of a shard"] = function(n) return (n % 5 << 55) | 0x7FFFFFFFFFFFFF end,
  ["rising slowly"] = function(n) return n << 20 end,
  ["different in the lowest bits alone"] = function(n) return n end,
  good = function(n) return n * 0x9E3779B97F4A7C15 ~ (n << 13) end,
}

-- All entries of a hash, over all pages.
local function find_all(keydir, hash, find)
  local all, first = {}, 0
  repeat
    local page, more = find(keydir, hash, first)
    assert(#page <= 8 and (#page == 8 or not more))
    for _, entry in ipairs(page) do
      all[#all + 1] = entry
    end
    first = first + 8
  until not more
  return all
end

local function find_current(keydir, hash)
  return find_all(keydir, hash, keydir.find)
end

-- How many entries, and how many old ones.
local function counts(keydir)
  local count, old = keydir:counts()
  return { count, old }
end

-- The hash as far as entries keep it: 41 bits.
local function kept(hash)
  return hash & ~0x7FFFFF
end

describe("a place", function()
  it("leads back to slot and offset", function()
    for _, slot in ipairs { 0, 1, 77, (1 << 20) - 1 } do
      for _, offset in ipairs { 0, 64, 8 * 12345, (1 << 36) - 8 } do
        for _, expires in ipairs { false, true } do
          local at = keydirs.place(slot, offset, expires)
          assert.same({ slot, offset }, { keydirs.unplace(at) })
        end
      end
    end
    assert.not_equal(0, keydirs.place(1, 0))
  end)
end)

-- What a look for one entry has to tell of those that there are.
local function only(keydir, hash)
  local found, more = keydir:find(hash)
  if more or #found > 1 then return "unsure" end
  return found[1] or "none"
end

describe("a keydir", function()
  after_each(scratch.clean)

  for name, hash_of in pairs(hashes) do
    it("holds what a table holds, with a hash that is " .. name, function()
      random.begin(42)
      local keydir = assert(keydirs.new())
      local expected, count, next_offset = {}, 0, 64 -- by kept hash: a list of entries
      local list = {} -- of all entries
      for _ = 1, 2000 do
        local which = math.random()
        local entry = #list > 0 and random.pick(list) or nil
        if which < 0.5 or not entry then
          local hash = hash_of(math.random(500))
          assert.same(only(keydir, hash), assert(keydir:reserve_and_find(hash, 1)))
          next_offset = next_offset + 8
          entry = { hash = hash, at = keydirs.place(1, next_offset), size = 8 * math.random(100) }
          keydir:insert(hash, entry.at, entry.size)
          list[#list + 1] = entry
          expected[kept(hash)] = expected[kept(hash)] or {}
          table.insert(expected[kept(hash)], entry)
          count = count + 1
        elseif which < 0.7 then
          next_offset = next_offset + 8
          local to, size = keydirs.place(2, next_offset), 8 * math.random(100)
          assert.is_false(keydir:replace(entry.hash, keydirs.place(3, 8), to, size))
          assert.is_true(keydir:replace(entry.hash, entry.at, to, size))
          entry.at, entry.size = to, size
        else
          assert.is_false(keydir:remove(entry.hash, keydirs.place(3, 8)))
          assert.is_true(keydir:remove(entry.hash, entry.at))
          assert.is_false(keydir:remove(entry.hash, entry.at))
          for i, other in ipairs(list) do
            if other == entry then list[i] = list[#list] end
          end
          list[#list] = nil
          for i, other in ipairs(expected[kept(entry.hash)]) do
            if other == entry then table.remove(expected[kept(entry.hash)], i) end
          end
          count = count - 1
        end
        local hash = hash_of(math.random(500))
        local found, wanted = find_current(keydir, hash), expected[kept(hash)] or {}
        assert(#found == #wanted)
        assert.same(only(keydir, hash), keydir:find_only(hash))
        for i, other in ipairs(wanted) do -- in the order in which they came
          assert(found[i].at == other.at and found[i].size == other.size)
        end
        assert(keydir:counts() == count)
      end
      local seen = 0
      for shard = 0, SHARDS - 1 do
        local last = -1
        for _, entry in ipairs(keydir:visit(shard)) do
          assert(entry.hash >> 55 == shard)
          assert(math.ult(last, entry.hash) or last == entry.hash or last == -1)
          last = entry.hash
          seen = seen + 1
        end
      end
      assert.equal(count, seen)
    end)
  end

  for name, hash_of in pairs(hashes) do
    it("is read in pieces, none left out and none told twice, under hashes: " .. name, function()
      local keydir = assert(keydirs.new())
      for n = 1, 1500 do
        assert(keydir:reserve(hash_of(n), 1))
        keydir:insert(hash_of(n), keydirs.place(1, 8 * n), 64)
      end
      local times = {}
      for shard = 0, SHARDS - 1 do
        for _, entry in ipairs(keydir:visit(shard)) do
          local _, offset = keydirs.unplace(entry.at)
          times[offset // 8] = (times[offset // 8] or 0) + 1
        end
      end
      for n = 1, 1500 do assert.equal(1, times[n]) end
    end)
  end

  it("grows by a fifth or so, and keeps to its bytes", function()
    local keydir = assert(keydirs.new())
    local _, _, empty = keydir:counts()
    for n = 1, 20000 do
      local hash = n * 0x9E3779B97F4A7C15
      assert(keydir:reserve(hash, 1))
      keydir:insert(hash, keydirs.place(1, 8 * n), 8)
    end
    local count, old, bytes = keydir:counts()
    assert.same({ 20000, 0 }, { count, old })
    assert.is_true((bytes - empty) / count < 16 * 1.6, (bytes - empty) / count .. " bytes each")
    for n = 1, 20000 do
      local found = keydir:find(n * 0x9E3779B97F4A7C15)
      assert(#found == 1 and found[1].at == keydirs.place(1, 8 * n))
    end
  end)

  it("tells by its stamp that something has changed", function()
    local keydir = assert(keydirs.new())
    local function stamp() return (select(3, keydir:find(7))) end
    assert(keydir:reserve(7, 1))
    local before = stamp()
    assert.equal(before, stamp())
    keydir:insert(7, 8, 8)
    assert.not_equal(before, stamp())
    before = stamp()
    keydir:replace(7, 8, 16, 8)
    assert.not_equal(before, stamp())
    before = stamp()
    keydir:remove(7, 16)
    assert.not_equal(before, stamp())
  end)

  it("has room for as many as were reserved, all with one hash", function()
    for _, more in ipairs { 1, 2, 7, 8, 9, 100, 1000 } do
      local keydir = assert(keydirs.new())
      assert(keydir:reserve(-1, more))
      for n = 1, more do
        keydir:insert(-1, keydirs.place(1, 8 * n), 8)
      end
      assert.equal(more, #find_current(keydir, -1))
    end
  end)

  it("drops the tombstones of loading", function()
    local keydir = assert(keydirs.new())
    local TOMBSTONE <const> = 1 << 33
    random.begin(5)
    local left = 0
    for n = 1, 2000 do
      local hash = (n % 50) << 57 | n % 7 << 40
      local is_tombstone = math.random(2) == 1
      assert(keydir:reserve(hash, 1))
      keydir:insert(hash, keydirs.place(1, 8 * n) | (is_tombstone and TOMBSTONE or 0), 8)
      if not is_tombstone then left = left + 1 end
    end
    local dropped = 0
    for shard = 0, SHARDS - 1 do
      dropped = dropped + keydir:drop_tombstones(shard)
      assert.equal(0, keydir:drop_tombstones(shard))
    end
    assert.same({ 2000, left }, { dropped + left, (keydir:counts()) })
    local seen = 0
    for shard = 0, SHARDS - 1 do
      for _, entry in ipairs(keydir:visit(shard)) do
        assert.equal(0, entry.at & TOMBSTONE)
        local found = false
        for _, other in ipairs(find_current(keydir, entry.hash)) do
          found = found or other.at == entry.at
        end
        assert.is_true(found)
        seen = seen + 1
      end
    end
    assert.equal(left, seen)
  end)

  it("in want of memory is as it was", function()
    local keydir = assert(keydirs.new())
    for n = 1, 100 do
      local hash = n << 50
      if n % 10 == 0 then
        refusal.everywhere(function() return keydir:reserve(hash, 500, true) end)
      end
      assert(keydir:reserve(hash, 1))
      keydir:insert(hash, keydirs.place(1, 8 * n), 8)
      for k = 1, n do
        local found = false
        for _, entry in ipairs(find_current(keydir, k << 50)) do
          found = found or entry.at == keydirs.place(1, 8 * k)
        end
        assert(found)
      end
    end
    assert.is_true(refusal.everywhere(keydirs.new) > 0)
  end)
end)

describe("old entries", function()
  after_each(scratch.clean)

  -- A keydir with one entry of hash 9 superseded at each version: born at n, died at n + 1.
  local function with_history(length)
    local directory = layers.directory()
    local segment = layers.segment(directory)
    local keydir = assert(keydirs.new())
    assert(keydir:reserve(9, 1))
    keydir:insert(9, keydirs.place(1, 8), 8)
    for version = 2, length do
      assert(keydir:reserve(9, 1, true))
      keydir:replace(9, keydirs.place(1, 8 * (version - 1)), keydirs.place(1, 8 * version), 8, {
        at = keydirs.place(1, 8 * (version - 1)), size = 8, born = version - 1, died = version,
        segment = segment,
      })
    end
    return keydir, segment
  end

  local function places(list)
    local all = {}
    for i, at in ipairs(list) do
      all[i] = select(2, keydirs.unplace(at)) // 8
    end
    table.sort(all)
    return all
  end

  local function seen_at(keydir, version)
    local all = {}
    for i, entry in ipairs(find_all(keydir, 9, function(self, hash, first)
      return self:find_old(hash, version, first)
    end)) do
      all[i] = entry.at
    end
    return places(all)
  end

  it("are seen from their birth until their death", function()
    local keydir, segment = with_history(10)
    for version = 1, 9 do
      assert.same({ version }, seen_at(keydir, version))
      assert.same({ version }, places((select(2, keydir:copy(0, version)))))
    end
    for _, version in ipairs { 0, 10, 11, -1 } do
      assert.same({}, seen_at(keydir, version))
    end
    assert.same({ 1, 9 }, counts(keydir))
    assert.equal(10, segment:facts().references)
  end)

  it("stay as long as a snapshot can see them", function()
    for mask = 0, 63 do
      local keydir, segment = with_history(7)
      local snapshots, expected = {}, {}
      for version = 1, 6 do
        if mask >> (version - 1) & 1 == 1 then
          snapshots[#snapshots + 1] = version
          expected[#expected + 1] = version
        end
      end
      keydir:prune(7, table.unpack(snapshots))
      for version = 1, 6 do
        local is_kept = mask >> (version - 1) & 1 == 1
        assert.same(is_kept and { version } or {}, seen_at(keydir, version))
      end
      assert.equal(#expected, select(2, keydir:counts()))
      assert.equal(1 + #expected, segment:facts().references)
      keydir:prune(7)
      assert.equal(0, select(2, keydir:counts()))
      assert.equal(1, segment:facts().references)
    end
  end)

  it("that died after the limit stay, whoever sees them", function()
    for limit = 0, 8 do
      local keydir = with_history(7)
      keydir:prune(limit)
      -- Entry n died at n + 1.
      assert.equal(math.min(6, math.max(0, 7 - math.max(limit, 1))), select(2, keydir:counts()))
    end
  end)

  it("that are taken out change the stamp, so that who goes through pages notices", function()
    local keydir = with_history(30)
    local before = select(3, keydir:find_old(9, 5))
    keydir:prune(1)
    assert.equal(before, select(3, keydir:find_old(9, 5)))
    keydir:prune(20, 5)
    assert.not_equal(before, select(3, keydir:find_old(9, 5)))
    assert.same({ 5 }, seen_at(keydir, 5))
  end)

  it("of long lives are seen by every snapshot in between", function()
    local directory = layers.directory()
    local segment = layers.segment(directory)
    random.begin(3)
    for _ = 1, 100 do
      local keydir = assert(keydirs.new())
      local olds = {}
      for n = 1, 20 do
        local born = math.random(30)
        olds[n] = { born = born, died = born + math.random(10), at = keydirs.place(1, 8 * n) }
        assert(keydir:reserve(9, 1, true))
        keydir:insert(9, olds[n].at, 8)
        keydir:remove(9, olds[n].at, { at = olds[n].at, size = 8, born = olds[n].born,
          died = olds[n].died, segment = segment })
      end
      local snapshots = {}
      for version = 1, 40 do
        local is_taken = math.random(6) == 1 and #snapshots < 16
        if is_taken then snapshots[#snapshots + 1] = version end
      end
      keydir:prune(100, table.unpack(snapshots))
      local expected = 0
      for _, old in ipairs(olds) do
        local is_seen = false
        for _, version in ipairs(snapshots) do
          is_seen = is_seen or old.born <= version and version < old.died
        end
        if is_seen then expected = expected + 1 end
      end
      assert.same({ 0, expected }, counts(keydir))
      keydir:close()
      assert.equal(1, segment:facts().references)
    end
  end)

  it("find room that was reserved, whatever is pruned before", function()
    local directory = layers.directory()
    local segment = layers.segment(directory)
    local keydir = assert(keydirs.new())
    for n = 1, 200 do
      assert(keydir:reserve(9, 1, true))
      keydir:insert(9, keydirs.place(1, 8 * n), 8)
      keydir:prune(1 << 40)
      keydir:remove(9, keydirs.place(1, 8 * n), { at = keydirs.place(1, 8 * n), size = 8,
        born = n, died = n + 1, segment = segment })
      assert.equal(1, select(2, keydir:counts()))
    end
  end)
end)
