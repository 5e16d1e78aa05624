-- The keydir checkpoint: a store opens as it would without one.

local bitcask = require "bitcask"
local checkpoints = require "spec.support.checkpoints"
local contents = require "spec.support.contents"
local format_reader = require "spec.support.format_reader"
local history = require "spec.support.history"
local ramdisk = require "spec.support.ramdisk"

local KEYDIR <const> = checkpoints.NAME

describe("a keydir checkpoint", function()
  after_each(checkpoints.clean)

  it("is there after a clean close, and then nothing is loaded", function()
    local files = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 60)
      checkpoints.puts(db, 20, 40, "newer")
      for i = 1, 60, 7 do assert(db:delete("key " .. i)) end
    end)
    assert.is_string(files[KEYDIR])
    local replayed, plainly = checkpoints.must_not_matter(files)
    assert.equal(0, replayed)
    assert.is_true(plainly > 80)
  end)

  it("after a kill leaves only what was written since", function()
    local _, killed = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 60)
      assert.is_true(db:checkpoint())
      checkpoints.puts(db, 55, 64, "newer")
      assert(db:delete "key 3")
    end)
    assert.equal(11, (checkpoints.must_not_matter(killed)))
  end)

  it("leads to what a merge has put elsewhere since, and to nothing that is gone", function()
    local files, killed = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 40)
      checkpoints.puts(db, 1, 40, "newer")
      assert(db:delete "key 5")
      assert(db:seal())
      checkpoints.puts(db, 100, 120)
      assert.is_true(db:checkpoint())
      local ids = contents.sealed(db)
      assert(db:merge(table.move(ids, 1, #ids // 2, 1, {})))
      assert(db:delete "key 6")
      assert(db:merge { ids[#ids] })
      checkpoints.puts(db, 10, 12, "newest")
    end)
    local replayed, plainly = checkpoints.must_not_matter(killed)
    assert.is_true(replayed < plainly)
    assert.equal(0, (checkpoints.must_not_matter(files)))
  end)

  it("taken amid a merge brings nothing back that was deleted or expired meanwhile", function()
    local _, killed = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 20)
      checkpoints.puts(db, 15, 20, "newer")
      assert(db:seal())
      local step, state, control = db:merging { step = 1 }
      for _ = 1, 3 do
        control = step(state, control)
      end
      assert(control, "it is over already")
      assert(db:delete "key 7")
      assert(db:put("key 8", "soon gone", { ttl = 0.001 }))
      checkpoints.let_expire()
      assert.equal(18, db:count())
      assert.is_true(db:checkpoint())
      while control do
        control = step(state, control)
      end
      assert.is_nil(db:get "key 7")
    end, { segment_size = 1 << 20 })
    local replayed, plainly = checkpoints.must_not_matter(killed)
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
    local files, killed = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 20)
      for i = 1, 40, 2 do
        assert(db:put("key " .. i, "soon gone", { ttl = i % 3 == 0 and 0.001 or 1000 + i }))
      end
      checkpoints.let_expire()
      assert.is_true(db:checkpoint())
      assert(db:put("key 2", "for a while", { ttl = 500 }))
      assert(db:put("key 4", "for less", { ttl = 0.001 }))
      checkpoints.let_expire()
    end)
    assert.equal(0, (checkpoints.must_not_matter(files)))
    assert.equal(2, (checkpoints.must_not_matter(killed)))
    local db = assert(bitcask.open(ramdisk.with(files)))
    local expiring = assert(db:stats()).expiring
    assert(db:close())
    db = assert(bitcask.open(ramdisk.with(checkpoints.without(files))))
    assert.equal(assert(db:stats()).expiring, expiring)
    assert.is_true(expiring > 10)
    assert(db:close())
  end)

  it("is taken beside a snapshot, and knows nothing of what that sees", function()
    local files, killed = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 20)
      local snapshot = assert(db:snapshot())
      checkpoints.puts(db, 1, 20, "newer")
      assert(db:delete "key 7")
      assert.is_true(db:checkpoint())
      assert.equal(("value 7 "):rep(3), (snapshot:get "key 7"))
      snapshot:close()
    end)
    assert.equal(0, (checkpoints.must_not_matter(files)))
    assert.equal(0, (checkpoints.must_not_matter(killed)))
  end)

  it("is as docs/format.md has it", function()
    local files, killed = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 60)
      assert(db:put("for a time", "only", { ttl = 1000 }))
      assert(db:put("for no time", "at all", { ttl = 0.001 }))
      assert(db:checkpoint())
      checkpoints.puts(db, 3, 5, "newer")
    end)
    for _, state in ipairs { files, killed } do
      local _, about = format_reader.read(ramdisk.with(state))
      assert.is_true(about.checkpoint.entries >= 61)
      assert.equal("xxh3", about.checkpoint.index.hash)
    end
  end)

  it("is written again only when something was written", function()
    local files, _, directory = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 20)
    end)
    assert(assert(bitcask.open(directory)):close())
    assert.equal(files[KEYDIR], ramdisk.load(directory)[KEYDIR])
    local db = assert(bitcask.open(directory))
    assert(db:put("one", "more"))
    assert(db:close())
    assert.not_equal(files[KEYDIR], ramdisk.load(directory)[KEYDIR])
  end)

  it("is used, and never written, by who may only read", function()
    local files = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 20)
    end)
    for _, state in ipairs { files, checkpoints.without(files) } do
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
  after_each(checkpoints.clean)

  local function constant()
    return 7
  end

  it("count together: with another hash it is done without, and taken anew", function()
    local files = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 30)
    end)
    for _, hash in ipairs { "xxh64", "xxh32", "xxh3" } do
      local directory = ramdisk.with(files)
      for round = 1, 2 do
        local db, events = assert(checkpoints.open(directory, { hash = hash }))
        local is_used = round == 2 or hash == "xxh3"
        assert.equal(is_used and 0 or 30, events.recovered.replayed)
        assert.equal(30, db:count())
        for i = 1, 30 do assert.is_string((db:get("key " .. i))) end
        assert(db:close())
      end
    end
  end)

  it("need each other: a function of one's own has none", function()
    local files, _, directory = checkpoints.store(function(db)
      checkpoints.puts(db, 1, 30)
      assert.is_false(db:checkpoint())
    end, { hash = constant })
    assert.is_nil(files[KEYDIR])
    local db, events = assert(checkpoints.open(directory))
    assert.equal(30, events.recovered.replayed)
    assert(db:put("x", "1"))
    assert(db:close())
    -- Left by a session with a hash that has a name, it is of no use to a function, but still
    -- good for the next: whatever is written in between is loaded.
    db, events = assert(checkpoints.open(directory, { hash = constant }))
    assert.equal(31, events.recovered.replayed)
    assert(db:put("x", "2"))
    assert(db:delete "key 9")
    assert(db:close())
    assert.equal(2, (checkpoints.must_not_matter(ramdisk.load(directory))))
  end)
end)

describe("random histories with checkpoints in them", function()
  after_each(checkpoints.clean)

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
          checkpoints.let_expire()
          local copy = ramdisk.copy(directory)
          checkpoints.must_not_matter(ramdisk.load(copy), ("seed %d, after %d"):format(seed, i))
          assert(format_reader.read(copy))
        end
        if i % 100 == 50 then db = state.reopen(db) end
      end
      assert(db:close())
      assert.equal(0, (checkpoints.must_not_matter(ramdisk.load(directory), "at the end")))
    end)
  end
end)
