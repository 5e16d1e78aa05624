-- The keydir checkpoint: whatever becomes of it, a store opens as it would without one.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local forge = require "spec.support.forge"
local format_reader = require "spec.support.format_reader"
local history = require "spec.support.history"
local internals = require "bitcask.internals"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"

local KEYDIR <const> = "KEYDIR"

local function clean()
  ramdisk.clean()
  scratch.clean()
end

local function without(files)
  local copy = history.copy(files)
  copy[KEYDIR] = nil
  return copy
end

local function with(files, bytes)
  local copy = history.copy(files)
  copy[KEYDIR] = bytes
  return copy
end

local function open(directory, options)
  local events = {}
  options = history.copy(options or {})
  function options.on_event(event)
    events[event.kind] = event
  end
  local db, message, code = bitcask.open(directory, options)
  if not db then return nil, message, code end
  db:count() -- hands out the events
  return db, events
end

local compared = { "expiring", "keys", "bytes", "live_bytes", "dead_bytes", "segments", "version",
  "snapshots", "old_versions", "pinned_segments", "stopped" }

local function every_segment(seen)
  local list = table.move(seen.segments.segments, 1, #seen.segments.segments, 1, {})
  list[#list + 1] = seen.segments.active
  return list
end

-- All that can be told of a store: contents with versions, and the statistics.
local function picture(db)
  local all = { values = {}, versions = {}, stats = {} }
  for key in db:keys() do
    all.values[key], all.versions[key] = db:get(key)
  end
  all.count = db:count()
  local stats = assert(db:stats())
  for _, name in ipairs(compared) do
    all.stats[name] = stats[name]
  end
  all.segments = assert(db:segments())
  all.segments.now = nil
  for _, segment in ipairs(every_segment(all)) do
    segment.sealed = nil -- of one that this very opening has sealed: now
    segment.pinned = nil -- as long as its hint file is being written
  end
  return all
end

local function look(files, options)
  local directory = ramdisk.with(files)
  local db, events = assert(open(directory, options))
  local seen = picture(db)
  assert(db:close())
  scratch.remove(directory)
  return seen, events.recovered, events.corruption
end

-- A key that expired, or was to, and was put again: who saw it knows, who came later does not.
local function forget_estimates(seen)
  for _, segment in ipairs(every_segment(seen)) do
    segment.expired_bytes, segment.expired = nil, nil
  end
  seen.stats.expiring = nil
end

-- The store is the same with its checkpoint and without. Returns how many records had to be
-- loaded with it, and without it.
local function must_not_matter(files, case)
  local replayed = {}
  for _, options in ipairs { { readonly = true }, {} } do
    local plain, about = look(without(files), options)
    local seen, recovered, damage = look(files, options)
    if case then
      forget_estimates(plain)
      forget_estimates(seen)
      local difference = history.difference(seen.values, plain.values)
      assert(not difference, difference and case .. ": " .. difference)
    end
    assert.same(plain, seen)
    assert.is_nil(damage)
    replayed = { recovered.replayed, about.replayed }
  end
  return table.unpack(replayed)
end

-- A store of small segments, after `work`: as a clean close leaves it, and as a kill would.
local function store(work, options)
  local directory = ramdisk.path()
  options = history.copy(options or {})
  options.segment_size = options.segment_size or 1024
  local db = assert(bitcask.open(directory, options))
  work(db, directory)
  local killed = ramdisk.load(ramdisk.copy(directory))
  assert(db:close())
  killed.LOCK = nil
  return ramdisk.load(directory), killed, directory
end

-- What was put to live for a millisecond is gone afterwards.
local function let_expire()
  local begun = internals.disk.clocks()
  repeat until internals.disk.clocks() > begun + 2
end

local function puts(db, first, last, word)
  for i = first, last do
    assert(db:put("key " .. i, ("%s %d "):format(word or "value", i):rep(3)))
  end
end

describe("a keydir checkpoint", function()
  after_each(clean)

  it("is there after a clean close, and then nothing is loaded", function()
    local files = store(function(db)
      puts(db, 1, 60)
      puts(db, 20, 40, "newer")
      for i = 1, 60, 7 do assert(db:delete("key " .. i)) end
    end)
    assert.is_string(files[KEYDIR])
    local replayed, plainly = must_not_matter(files)
    assert.equal(0, replayed)
    assert.is_true(plainly > 80)
  end)

  it("after a kill leaves only what was written since", function()
    local _, killed = store(function(db)
      puts(db, 1, 60)
      assert.is_true(db:checkpoint())
      puts(db, 55, 64, "newer")
      assert(db:delete "key 3")
    end)
    assert.equal(11, (must_not_matter(killed)))
  end)

  it("leads to what a merge has put elsewhere since, and to nothing that is gone", function()
    local files, killed = store(function(db)
      puts(db, 1, 40)
      puts(db, 1, 40, "newer")
      assert(db:delete "key 5")
      assert(db:seal())
      puts(db, 100, 120)
      assert.is_true(db:checkpoint())
      local ids = contents.sealed(db)
      assert(db:merge(table.move(ids, 1, #ids // 2, 1, {})))
      assert(db:delete "key 6")
      assert(db:merge { ids[#ids] })
      puts(db, 10, 12, "newest")
    end)
    local replayed, plainly = must_not_matter(killed)
    assert.is_true(replayed < plainly)
    assert.equal(0, (must_not_matter(files)))
  end)

  it("taken amid a merge brings nothing back that was deleted or expired meanwhile", function()
    local _, killed = store(function(db)
      puts(db, 1, 20)
      puts(db, 15, 20, "newer")
      assert(db:seal())
      local step, state, control = db:merging { step = 1 }
      for _ = 1, 3 do
        control = step(state, control)
      end
      assert(control, "it is over already")
      assert(db:delete "key 7")
      assert(db:put("key 8", "soon gone", { ttl = 0.001 }))
      let_expire()
      assert.equal(18, db:count())
      assert.is_true(db:checkpoint())
      while control do
        control = step(state, control)
      end
      assert.is_nil(db:get "key 7")
    end, { segment_size = 1 << 20 })
    local replayed, plainly = must_not_matter(killed)
    assert.is_true(replayed <= plainly)
  end)

  it("taken amid a merge brings nothing back when the clock is set back", function()
    local disk = bitcask.sim.disk {}
    local db = assert(bitcask.open("store", { disk = disk, policy = false, segment_size = 4096 }))
    for _, value in ipairs { "older", "old" } do assert(db:put("key", value)) end
    assert(db:put("another", "value"))
    assert(db:seal())
    local copied = false
    for progress in db:merging { step = 1 } do
      if progress.done == progress.total and not copied then
        copied = true
        assert(db:put("key", "new", { ttl = 1 }))
        disk:advance(2)
        assert.is_nil(db:get "key")
        assert(db:checkpoint())
      end
    end
    assert.is_true(copied)
    assert(db:sync())
    for survivor in disk:crash_states() do
      survivor:advance(-3)
      local again <close> = assert(bitcask.open("store", { disk = survivor, policy = false }))
      assert.is_true(again:get "key" ~= "old")
    end
  end)

  it("knows what expires, and when", function()
    local files, killed = store(function(db)
      puts(db, 1, 20)
      for i = 1, 40, 2 do
        assert(db:put("key " .. i, "soon gone", { ttl = i % 3 == 0 and 0.001 or 1000 + i }))
      end
      let_expire()
      assert.is_true(db:checkpoint())
      assert(db:put("key 2", "for a while", { ttl = 500 }))
      assert(db:put("key 4", "for less", { ttl = 0.001 }))
      let_expire()
    end)
    assert.equal(0, (must_not_matter(files)))
    assert.equal(2, (must_not_matter(killed)))
    local db = assert(bitcask.open(ramdisk.with(files)))
    local expiring = assert(db:stats()).expiring
    assert(db:close())
    db = assert(bitcask.open(ramdisk.with(without(files))))
    assert.equal(assert(db:stats()).expiring, expiring)
    assert.is_true(expiring > 10)
    assert(db:close())
  end)

  it("is taken beside a snapshot, and knows nothing of what that sees", function()
    local files, killed = store(function(db)
      puts(db, 1, 20)
      local snapshot = assert(db:snapshot())
      puts(db, 1, 20, "newer")
      assert(db:delete "key 7")
      assert.is_true(db:checkpoint())
      assert.equal(("value 7 "):rep(3), (snapshot:get "key 7"))
      snapshot:close()
    end)
    assert.equal(0, (must_not_matter(files)))
    assert.equal(0, (must_not_matter(killed)))
  end)

  it("is as docs/format.md has it", function()
    local files, killed = store(function(db)
      puts(db, 1, 60)
      assert(db:put("for a time", "only", { ttl = 1000 }))
      assert(db:put("for no time", "at all", { ttl = 0.001 }))
      assert(db:checkpoint())
      puts(db, 3, 5, "newer")
    end)
    for _, state in ipairs { files, killed } do
      local _, about = format_reader.read(ramdisk.with(state))
      assert.is_true(about.checkpoint.entries >= 61)
      assert.equal("xxh3", about.checkpoint.index.hash)
    end
  end)

  it("is written again only when something was written", function()
    local files, _, directory = store(function(db)
      puts(db, 1, 20)
    end)
    assert(assert(bitcask.open(directory)):close())
    assert.equal(files[KEYDIR], ramdisk.load(directory)[KEYDIR])
    local db = assert(bitcask.open(directory))
    assert(db:put("one", "more"))
    assert(db:close())
    assert.not_equal(files[KEYDIR], ramdisk.load(directory)[KEYDIR])
  end)

  it("is used, and never written, by who may only read", function()
    local files = store(function(db)
      puts(db, 1, 20)
    end)
    for _, state in ipairs { files, without(files) } do
      local directory = ramdisk.with(state)
      local db = assert(bitcask.open(directory, { readonly = true }))
      assert.equal(20, db:count())
      assert.equal("readonly", select(3, db:checkpoint()))
      assert(db:close())
      assert.same(state, ramdisk.load(directory))
    end
  end)
end)

describe("a keydir checkpoint and the hash", function()
  after_each(clean)

  local function constant()
    return 7
  end

  it("count together: with another hash it is done without, and taken anew", function()
    local files = store(function(db)
      puts(db, 1, 30)
    end)
    for _, hash in ipairs { "xxh64", "xxh32", "xxh3" } do
      local directory = ramdisk.with(files)
      for round = 1, 2 do
        local db, events = assert(open(directory, { hash = hash }))
        local is_used = round == 2 or hash == "xxh3"
        assert.equal(is_used and 0 or 30, events.recovered.replayed)
        assert.equal(30, db:count())
        for i = 1, 30 do assert.is_string((db:get("key " .. i))) end
        assert(db:close())
      end
    end
  end)

  it("need each other: a function of one's own has none", function()
    local files, _, directory = store(function(db)
      puts(db, 1, 30)
      assert.is_false(db:checkpoint())
    end, { hash = constant })
    assert.is_nil(files[KEYDIR])
    local db, events = assert(open(directory))
    assert.equal(30, events.recovered.replayed)
    assert(db:put("x", "1"))
    assert(db:close())
    -- Left by a session with a hash that has a name, it is of no use to a function, but still
    -- good for the next: whatever is written in between is loaded.
    db, events = assert(open(directory, { hash = constant }))
    assert.equal(31, events.recovered.replayed)
    assert(db:put("x", "2"))
    assert(db:delete "key 9")
    assert(db:close())
    assert.equal(2, (must_not_matter(ramdisk.load(directory))))
  end)
end)

describe("a keydir checkpoint that", function()
  after_each(clean)

  local files, killed, older

  setup(function()
    files, killed = store(function(db, directory)
      puts(db, 1, 25)
      assert(db:delete "key 4")
      assert(db:put("for a time", "only", { ttl = 1000 }))
      assert(db:checkpoint())
      older = scratch.read(directory .. "/" .. KEYDIR)
      puts(db, 3, 9, "newer")
      assert(db:checkpoint())
    end)
    clean()
  end)

  -- With these bytes for it the store opens as it is, for reading and for writing, and the next
  -- opening finds a good one.
  local function must_be_withstood(state, bytes, case)
    local plain = look(without(state))
    for _, options in ipairs { { readonly = true }, {} } do
      local seen = look(with(state, bytes), options)
      assert(history.difference(seen.values, plain.values) == nil, case)
      assert.same(plain.stats, seen.stats, case)
    end
  end

  it("is not there is taken anew", function()
    local directory = ramdisk.with(without(files))
    assert(assert(bitcask.open(directory)):close())
    local _, events = assert(open(directory))
    assert.equal(0, events.recovered.replayed)
  end)

  it("is older than the one that counts is no use, and removed", function()
    must_be_withstood(killed, older, "older")
    local directory = ramdisk.with(with(killed, older))
    local db, events = assert(open(directory))
    assert.is_true(events.recovered.replayed > 20)
    assert.is_nil(ramdisk.load(directory)[KEYDIR])
    assert(db:close())
  end)

  it("is another store's is no use, and stays", function()
    local others = store(function(db)
      puts(db, 1, 25, "another")
    end)
    must_be_withstood(killed, others[KEYDIR], "another's")
    local directory = ramdisk.with(with(killed, others[KEYDIR]))
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
        local directory = ramdisk.with(with(files, forge.flip(bytes, offset + 2, 16)))
        local db, events = assert(open(directory))
        assert.equal(0, events.recovered.replayed)
        local seen = picture(db)
        assert.same(look(without(files)), seen)
        db:count()
        assert.equal(KEYDIR, events.corruption.file)
        assert(db:put("key 1", "after it"))
        assert(db:close())
        assert.is_nil((select(3, look(ramdisk.load(directory)))))
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
    local _, state = store(function(db)
      puts(db, 1, 30)
      assert(db:delete "key 4")
      puts(db, 10, 20, "newer")
      assert(db:put("for a time", "only", { ttl = 1000 }))
      assert(db:checkpoint())
    end, { segment_size = 1 << 20 })
    local _, about = format_reader.read(ramdisk.with(state))
    return state, about.active.records
  end

  it("was overtaken by writes while it was taken loses nothing", function()
    local state, records = one_segment()
    for count = 1, #records - 1, 4 do
      local changed = with(state, overtaken(state[KEYDIR], records, count))
      local seen, recovered = look(changed, { readonly = true })
      assert.equal(#records - count, recovered.replayed)
      local plain = look(without(state), { readonly = true })
      plain.segments, seen.segments = nil, nil -- more was forged than these could be right for
      assert.same(plain, seen)
    end
  end)

  it("leads behind the end of what there is, is done without", function()
    local state, records = one_segment()
    for _, bytes in ipairs { state[KEYDIR], overtaken(state[KEYDIR], records, 7) } do
      local cut = with(state, bytes)
      cut["000001.seg"] = cut["000001.seg"]:sub(1, records[#records].offset + 5)
      local seen, recovered = look(cut)
      assert.equal(30 - 1, seen.count)
      assert.equal(#records - 1, recovered.replayed)
    end
  end)

  it("salvage finds is left alone", function()
    local seen, recovered = look(files, { salvage = true })
    assert.equal(26, seen.count)
    assert.is_true(recovered.replayed > 26)
  end)
end)

describe("random histories with checkpoints in them", function()
  after_each(clean)

  local function perform(db, operation, state, directory)
    local chance = math.random(100)
    if chance <= 4 then
      local done, message, code = db:checkpoint()
      assert(done or code == "busy", message)
    elseif chance <= 7 then
      local ttl = math.random(2) == 1 and 0.001 or 999
      assert(db:put("passing " .. math.random(8), "x", { ttl = ttl }))
    end
    return select(2, history.perform(db, operation, state, directory))
  end

  for seed = 1, 6 do
    it("are the same with them and without: " .. seed, function()
      local directory = ramdisk.path()
      local operations = history.random(seed, 400, 30)
      math.randomseed(seed)
      local state = {}
      function state.reopen(db)
        if db then assert(db:close()) end
        state.job = nil
        return assert(bitcask.open(directory, { segment_size = 2048 }))
      end
      local db = state.reopen()
      for i, operation in ipairs(operations) do
        db = perform(db, operation, state, directory)
        if i % 40 == 0 then
          if state.job then assert(state.job:wait()) end
          state.job = nil
          let_expire()
          local copy = ramdisk.copy(directory)
          must_not_matter(ramdisk.load(copy), ("seed %d, after %d"):format(seed, i))
          assert(format_reader.read(copy))
        end
        if i % 100 == 50 then db = state.reopen(db) end
      end
      assert(db:close())
      assert.equal(0, (must_not_matter(ramdisk.load(directory), "at the end")))
    end)
  end
end)
