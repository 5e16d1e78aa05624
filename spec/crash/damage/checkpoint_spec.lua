-- The keydir checkpoint, whatever has become of it: the store opens as it would without one.

local bitcask = require "bitcask"
local checkpoints = require "spec.support.checkpoints"
local forge = require "spec.support.forge"
local format_reader = require "spec.support.format_reader"
local history = require "spec.support.history"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"

local KEYDIR <const> = checkpoints.NAME

describe("a keydir checkpoint that", function()
  after_each(checkpoints.clean)

  local files, killed, older

  setup(function()
    files, killed = checkpoints.store(function(db, directory)
      checkpoints.puts(db, 1, 25)
      assert(db:delete "key 4")
      assert(db:put("for a time", "only", { ttl = 1000 }))
      assert(db:checkpoint())
      older = scratch.read(directory .. "/" .. KEYDIR)
      checkpoints.puts(db, 3, 9, "newer")
      assert(db:checkpoint())
    end)
    checkpoints.clean()
  end)

  -- With these bytes for it the store opens as it is, for reading and for writing, and the next
  -- opening finds a good one.
  local function must_be_withstood(state, bytes, case)
    local plain = checkpoints.look(checkpoints.without(state))
    for _, options in ipairs { { readonly = true }, {} } do
      local seen = checkpoints.look(checkpoints.with(state, bytes), options)
      assert(history.difference(seen.values, plain.values) == nil, case)
      assert.same(plain.stats, seen.stats, case)
    end
  end

  it("is not there is taken anew", function()
    local directory = ramdisk.with(checkpoints.without(files))
    assert(assert(bitcask.open(directory)):close())
    local _, events = assert(checkpoints.open(directory))
    assert.equal(0, events.recovered.replayed)
  end)

  it("is older than the one that counts is no use, and removed", function()
    must_be_withstood(killed, older, "older")
    local directory = ramdisk.with(checkpoints.with(killed, older))
    local db, events = assert(checkpoints.open(directory))
    assert.is_true(events.recovered.replayed > 20)
    assert.is_nil(ramdisk.load(directory)[KEYDIR])
    assert(db:close())
  end)

  it("is another store's is no use, and stays", function()
    local others = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 25, "another")
    end)
    must_be_withstood(killed, others[KEYDIR], "another's")
    local directory = ramdisk.with(checkpoints.with(killed, others[KEYDIR]))
    local db = assert(bitcask.open(directory))
    assert.equal(others[KEYDIR], ramdisk.load(directory)[KEYDIR])
    assert(db:close())
  end)

  it("is cut is withstood", function()
    for _, state in ipairs { files, killed } do
      local bytes = state[KEYDIR]
      local lengths = { 0, 1, 63, 64, 65, 79, 80, #bytes - 17, #bytes - 16, #bytes - 1 }
      for length = 100, #bytes, #bytes // 20 do
        lengths[#lengths + 1] = length
      end
      for _, length in ipairs(lengths) do
        must_be_withstood(state, bytes:sub(1, length), "cut at " .. length)
      end
      must_be_withstood(state, bytes .. ("\0"):rep(64), "with bytes behind it")
    end
  end)

  it("has a wrong bit anywhere is withstood", function()
    random.begin(66)
    for _, state in ipairs { files, killed } do
      local bytes = state[KEYDIR]
      local index = forge.checkpoint_index(bytes)
      local rows = forge.checkpoint_row(bytes, 1)
      local offsets = {}
      for _, from in ipairs { 0, index, rows, #bytes - 64 } do
        for i = 0, 63, 3 do
          offsets[#offsets + 1] = from + i
        end
      end
      for _ = 1, random.effort(200) do
        offsets[#offsets + 1] = math.random(0, #bytes - 1)
      end
      for _, offset in ipairs(offsets) do
        local flipped = forge.flip(bytes, offset, 1 << math.random(0, 7))
        must_be_withstood(state, flipped, "flipped at " .. offset)
      end
    end
  end)

  it("has a bad shard is mended from the segments, and says so", function()
    local bytes, found = files[KEYDIR], 0
    local index = forge.checkpoint_index(bytes)
    for shard = 0, 511 do
      local offset, _, _, count = ("<i8I4I4I4"):unpack(bytes, index + 64 + 32 * shard + 1)
      if count > 0 and found < 5 then
        found = found + 1
        local directory = ramdisk.with(checkpoints.with(files, forge.flip(bytes, offset + 2, 16)))
        local db, events = assert(checkpoints.open(directory))
        assert.equal(0, events.recovered.replayed)
        local seen = checkpoints.picture(db)
        assert.same(checkpoints.look(checkpoints.without(files)), seen)
        db:count()
        assert.equal(KEYDIR, events.corruption.file)
        assert(db:put("key 1", "after it"))
        assert(db:close())
        assert.is_nil((select(3, checkpoints.look(ramdisk.load(directory)))))
      end
    end
    assert.equal(5, found)
  end)

  it("lies with good checks is withstood", function()
    local bytes = files[KEYDIR]
    local index, row = forge.checkpoint_index(bytes), forge.checkpoint_row(bytes, 1)
    local shard
    for i = 0, 511 do
      local at = index + 64 + 32 * i
      if ("<I4"):unpack(bytes, at + 17) > 0 then shard = shard or at end
    end
    local slots = ("<i8"):unpack(bytes, shard + 1)
    local occupied = slots
    while ("<i8"):unpack(bytes, occupied + 9) == 0 do
      occupied = occupied + 16
    end
    for what, lie in pairs {
      ["shards"] = { index + 56, "\255\2" },
      ["segments"] = { index + 60, "\255\255\255\255" },
      ["items"] = { index + 24, "\255\255\255\255\255\255\255\127" },
      ["where items are"] = { index + 32, "\255\255\255\255\255\255\255\127" },
      ["homes"] = { shard + 8, "\255\255\255\255" },
      ["no homes"] = { shard + 8, "\0\0\0\0" },
      ["tail"] = { shard + 12, "\255\255\255\255" },
      ["entries"] = { shard + 16, "\1\1" },
      ["used end"] = { shard + 20, "\0\0\0\0" },
      ["an entry's size"] = { occupied + 4, "\255\255\255\255" },
      ["an entry's offset"] = { occupied + 8, "\255\255\255\255" },
      ["an entry's slot"] = { occupied + 13, "\255\255" },
      ["a segment's slot"] = { row, "\255\255\255\255" },
      ["no slot"] = { row, "\0\0\0\0" },
      ["two with a slot"] = { row + 72, bytes:sub(row + 1, row + 4) },
      ["a segment's salt"] = { row + 16, "salty" },
      ["covered"] = { row + 24, "\255\255\255" },
      ["reached"] = { row + 32, "\255\255\255\255\255" },
    } do
      local changed = forge.patch(bytes, lie[1], lie[2])
      local is_whole, forged = pcall(forge.reseal_checkpoint, changed)
      must_be_withstood(files, is_whole and forged or changed, what)
    end
  end)

  -- As if all its shards had been copied at the end, and only so many records been covered at
  -- the beginning, when nothing was to expire.
  local function overtaken(bytes, records, count)
    local index, size = forge.checkpoint_index(bytes)
    local facts = index + size - 90
    assert.equal("C", bytes:sub(facts + 1, facts + 1))
    local covered, digest = records[count + 1].offset, 0
    for i = 1, count do
      digest = (digest ~ records[i].check) * 0x9E3779B185EBCA87
      digest = digest ~ digest >> 32
    end
    local salt = ("<i8"):unpack(bytes, 41)
    for offset, field in pairs {
      [forge.checkpoint_row(bytes, 1) + 24] = ("<i8"):pack(covered),
      [facts + 1 + 8] = ("<i8i8"):pack(covered, count),
      [facts + 1 + 64] = ("<i8"):pack(digest),
      [index + 24] = ("<i8"):pack(0),
      [index + 40] = ("<i8"):pack(bitcask.hash.xxh3("", salt)),
    } do
      bytes = forge.patch(bytes, offset, field)
    end
    return forge.reseal_checkpoint(bytes)
  end

  local function one_segment()
    local _, state = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 30)
      assert(db:delete "key 4")
      checkpoints.puts(db, 10, 20, "newer")
      assert(db:put("for a time", "only", { ttl = 1000 }))
      assert(db:checkpoint())
    end, { segment_size = 1 << 20 })
    local _, about = format_reader.read(ramdisk.with(state))
    return state, about.active.records
  end

  it("was overtaken by writes while it was taken loses nothing", function()
    local state, records = one_segment()
    for count = 1, #records - 1, 4 do
      local changed = checkpoints.with(state, overtaken(state[KEYDIR], records, count))
      local seen, recovered = checkpoints.look(changed, { readonly = true })
      assert.equal(#records - count, recovered.replayed)
      local plain = checkpoints.look(checkpoints.without(state), { readonly = true })
      plain.segments, seen.segments = nil, nil -- more was forged than these could be right for
      assert.same(plain, seen)
    end
  end)

  it("leads behind the end of what there is, is done without", function()
    local state, records = one_segment()
    for _, bytes in ipairs { state[KEYDIR], overtaken(state[KEYDIR], records, 7) } do
      local cut = checkpoints.with(state, bytes)
      cut["000001.seg"] = cut["000001.seg"]:sub(1, records[#records].offset + 5)
      local seen, recovered = checkpoints.look(cut)
      assert.equal(30 - 1, seen.count)
      assert.equal(#records - 1, recovered.replayed)
    end
  end)

  it("salvage finds is left alone", function()
    local seen, recovered = checkpoints.look(files, { salvage = true })
    assert.equal(26, seen.count)
    assert.is_true(recovered.replayed > 26)
  end)
end)
