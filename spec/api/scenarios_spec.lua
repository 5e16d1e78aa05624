-- Situations that broke other stores of this kind, each under its name. "Restart" is here
-- a close and an open; kills, power cuts and full disks have specs of their own.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local lfs = require "lfs"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"

local path, db

local function open(options)
  db = assert(bitcask.open(path, options))
  return db
end

local function restart(options)
  assert(db:close())
  return open(options)
end

local function put(key, value)
  return assert(db:put(key, value))
end

local function delete(key)
  local version, message = db:delete(key)
  assert(version ~= nil, message)
  return version
end

local function seal()
  local id, message = db:seal()
  assert(id ~= nil, message)
  return id
end

-- Put each pair into a segment of its own.
local function put_alone(key, value)
  put(key, value)
  return seal()
end

local function delete_alone(key)
  delete(key)
  return seal()
end

local function merge_all()
  return assert(db:merge(contents.sealed(db)))
end

before_each(function()
  path = scratch.path()
end)

after_each(function()
  if db then db:close() end
  db = nil
  scratch.clean()
end)

describe("basics:", function()
  it("S01 roundtrip", function()
    open()
    put("k", "v")
    put("k2", "v2")
    put("k", "v3")
    assert.equals("v3", (db:get "k"))
    assert.equals("v2", (db:get "k2"))
    assert.equals(2, db:count())
  end)

  it("S02 reopen: one segment, or many of one record each", function()
    for _, size in ipairs { 256, 1 << 20 } do
      path = scratch.path()
      open { segment_size = size }
      local expected = {}
      for i = 1, 40 do
        expected["k" .. i] = ("v%d"):format(i):rep(60)
        put("k" .. i, expected["k" .. i])
      end
      restart { segment_size = size }
      contents.check(db, expected)
      restart()
      contents.check(db, expected)
      db:close()
    end
  end)

  it("S03 lazy open: opening adds no files", function()
    open()
    restart()
    restart()
    local files = #scratch.files(path)
    restart()
    assert.equals(files, #scratch.files(path))
    put("k", "v")
    restart()
    local sizes = scratch.size(path)
    files = #scratch.files(path)
    for _ = 1, 5 do
      restart()
      assert.equals("v", (db:get "k"))
    end
    assert.is_truthy(#scratch.files(path) <= files + 1)
    assert.is_truthy(scratch.size(path) < sizes + 65536)
  end)

  it("S04 wiped directory: old keys are gone", function()
    open()
    put("k", "v")
    db:close()
    scratch.remove(path)
    open()
    assert.is_nil(db:get "k")
    assert.equals(0, db:count())
    put("k", "new")
    restart()
    assert.equals("new", (db:get "k"))
  end)

  it("S05 delete of a missing key changes nothing, any number of times", function()
    open()
    put("k", "v")
    local before = db:stats()
    for _ = 1, 10 do
      assert.is_false(db:delete "nope")
    end
    local after = db:stats()
    for _, name in ipairs { "keys", "bytes", "live_bytes", "dead_bytes", "segments", "version" } do
      assert.equals(before[name], after[name], name)
    end
    seal()
    merge_all()
    restart()
    contents.check(db, { k = "v" })
  end)

  it("S06 any bytes: NULs, nothing, and what imitates the engine's own", function()
    open { segment_size = 512 }
    local expected = { [""] = "empty key", empty = "", ["\0"] = "\0\0\0" }
    local imitations = {
      "bitcask_tombstone", "bitcask_tombstone2", ("\0"):rep(100), ("\255"):rep(100), "BCSK",
    }
    -- Whole files of another store make values with good records in them.
    do
      local other = scratch.path()
      local source <close> = assert(bitcask.open(other, { segment_size = 256 }))
      for i = 1, 10 do
        assert(source:put("victim" .. i, "forged"))
        assert(source:delete "victim1" ~= nil)
      end
      assert(source:close())
      for _, name in ipairs(scratch.files(other)) do
        imitations[#imitations + 1] = scratch.read(other .. "/" .. name):sub(1, 60000)
      end
    end
    for i, bytes in ipairs(imitations) do
      expected["value" .. i] = bytes
      expected[bytes] = "key" .. i
    end
    for key, value in pairs(expected) do
      put(key, value)
    end
    contents.check(db, expected)
    restart()
    contents.check(db, expected)
    seal()
    merge_all()
    contents.check(db, expected)
    restart()
    contents.check(db, expected)
  end)

  it("S07 over the limit as the first operation: refused, and the next put works", function()
    open()
    assert.equals("toolarge", (select(3, db:put(("k"):rep(65536), "v"))))
    put("k", "v")
    restart()
    contents.check(db, { k = "v" })
  end)

  it("S08 record larger than a segment: stored, readable, mergeable", function()
    open { segment_size = 256 }
    local expected = {
      large = ("x"):rep(10000), small = "y", larger = ("z"):rep(100000), [("k"):rep(5000)] = "v",
    }
    for key, value in pairs(expected) do
      put(key, value)
    end
    contents.check(db, expected)
    restart { segment_size = 256 }
    contents.check(db, expected)
    seal()
    merge_all()
    contents.check(db, expected)
    restart()
    contents.check(db, expected)
  end)

  it("S10 updates within one tick of the clock: the last write wins", function()
    for seed = 1, 10 do
      random.begin(seed)
      path = scratch.path()
      open { segment_size = 256 }
      local expected = {}
      for i = 1, 60 do
        local key = "k" .. i % 3
        if i % 4 == 0 then
          delete(key)
          expected[key] = nil
        else
          put(key, ("%d"):format(i):rep(20))
          expected[key] = ("%d"):format(i):rep(20)
        end
      end
      seal()
      for _ = 1, 4 do
        assert(db:merge(random.some(contents.sealed(db))))
        restart()
        contents.check(db, expected)
      end
      db:close()
    end
  end)
end)

describe("deletes, tombstones and merging:", function()
  it("S11 a tombstone merged alone still hides what is older", function()
    open()
    put_alone("k", "v")
    local tombstone = delete_alone "k"
    put_alone("other", "v")
    assert(db:merge { tombstone })
    assert.is_nil(db:get "k")
    restart()
    assert.is_nil(db:get "k")
    contents.check(db, { other = "v" })
  end)

  it("S12 any merge order: contents equal the model", function()
    for seed = 1, 20 do
      random.begin(seed)
      path = scratch.path()
      open { segment_size = 256 }
      local expected = {}
      for _ = 1, 6 do
        for _ = 1, 30 do
          local key = "k" .. math.random(6)
          if math.random() < 0.4 then
            delete(key)
            expected[key] = nil
          else
            local value = random.bytes(60)
            put(key, value)
            expected[key] = value
          end
        end
        seal()
        assert(db:merge(random.shuffled(random.some(contents.sealed(db)))))
        restart { segment_size = 256 }
        contents.check(db, expected)
      end
      db:close()
    end
  end)

  it("S13 a stale tombstone is still needed", function()
    open()
    put_alone("k", "v1")
    local tombstone = delete_alone "k"
    local second = put_alone("k", "v2")
    delete_alone "k"
    assert(db:merge { second })
    restart()
    assert.is_nil(db:get "k")
    assert(db:merge { tombstone })
    restart()
    assert.is_nil(db:get "k")
    merge_all()
    restart()
    assert.is_nil(db:get "k")
    assert.equals(0, db:count())
  end)

  it("S14 tombstones go away: deletes and a merge bring disk use to about zero", function()
    open { segment_size = 4096 }
    for i = 1, 1000 do
      put("k" .. i, ("v"):rep(50))
    end
    for i = 1, 1000 do
      delete("k" .. i)
    end
    seal()
    for _ = 1, 10 do
      assert(db:merge())
    end
    assert.equals(0, db:segments().bytes)
    restart()
    assert.equals(0, db:count())
    assert.equals(0, db:segments().bytes)
  end)

  it("S14 tombstones go away: also where merges only ever take subsets", function()
    random.begin(14)
    open { segment_size = 2048 }
    for i = 1, 500 do
      put("k" .. i, ("v"):rep(50))
    end
    for i = 1, 500 do
      delete("k" .. i)
    end
    seal()
    local function pair_of(sealed)
      local i = math.random(#sealed - 1)
      return { sealed[i], sealed[i + 1] }
    end
    for _ = 1, 300 do
      local sealed = contents.sealed(db)
      if #sealed < 2 then break end
      assert(db:merge(pair_of(sealed)))
    end
    assert(db:merge())
    assert.is_truthy(db:segments().bytes < 1000)
    assert.equals(0, db:count())
  end)

  it("S15 no superfluous tombstones: overwriting writes none", function()
    open()
    for i = 1, 10 do
      put("k", "v" .. i)
    end
    local id = seal()
    local segment = db:segments().segments[1]
    assert.equals(id, segment.id)
    assert.equals(0, segment.tombstones)
    assert.equals(10, segment.records)
  end)

  it("S16 full merge: one key, one segment", function()
    open()
    put_alone("a", "1")
    put_alone("b", "2")
    put_alone("c", "3")
    delete_alone "a"
    delete_alone "b"
    merge_all()
    assert.equals(1, #db:segments().segments)
    contents.check(db, { c = "3" })
    restart()
    contents.check(db, { c = "3" })
  end)

  it("S17 merge with no survivors leaves no output", function()
    open()
    for i = 1, 5 do
      put_alone("k" .. i, "v")
    end
    for i = 1, 5 do
      delete_alone("k" .. i)
    end
    local report = merge_all()
    assert.equals(0, report.segments_out)
    assert.equals(0, #db:segments().segments)
    restart()
    assert.equals(0, db:count())
  end)

  it("S18 a key deleted while a merge runs stays deleted", function()
    open { segment_size = 1 << 16 }
    for i = 1, 500 do
      put("k" .. i % 100, ("v%d"):format(i):rep(100))
    end
    seal()
    local job <close> = assert(db:merge_async())
    for i = 0, 99 do
      delete("k" .. i)
    end
    assert(job:wait())
    assert.equals(0, db:count())
    restart()
    assert.equals(0, db:count())
    for i = 0, 99 do
      assert.is_nil(db:get("k" .. i))
    end
  end)

  it("S19 what is written while a merge runs is what is read, also after a restart", function()
    open { segment_size = 1 << 16 }
    local expected = {}
    for i = 1, 1000 do
      expected["k" .. i % 200] = ("v%d"):format(i):rep(50)
      put("k" .. i % 200, expected["k" .. i % 200])
    end
    seal()
    local turn = 0
    assert(db:merge {
      segments = contents.sealed(db),
      progress = function()
        turn = turn + 1
        for i = 0, 199, 3 do
          put("k" .. i, "turn " .. turn)
          expected["k" .. i] = "turn " .. turn
        end
        for i = 1, 199, 3 do
          delete("k" .. i)
          put("k" .. i, "again " .. turn)
          expected["k" .. i] = "again " .. turn
        end
      end,
    })
    contents.check(db, expected)
    restart()
    contents.check(db, expected)
  end)

  it("S20 a tombstone that a merge copies does not hide a later put", function()
    open()
    put_alone("k", "v1")
    local tombstone = delete_alone "k"
    local written = false
    assert(db:merge {
      segments = { tombstone },
      progress = function()
        if not written then put("k", "v2") end
        written = true
      end,
    })
    assert.equals("v2", (db:get "k"))
    restart()
    assert.equals("v2", (db:get "k"))
    seal()
    merge_all()
    restart()
    contents.check(db, { k = "v2" })
  end)

  it("S21 put, merge, delete, put, restart", function()
    open()
    put_alone("k", "v1")
    merge_all()
    delete "k"
    put("k", "v2")
    restart()
    contents.check(db, { k = "v2" })
    seal()
    merge_all()
    restart()
    contents.check(db, { k = "v2" })
  end)

  it("S22 one key, merged in parts", function()
    open()
    local e1 = put_alone("k", "v1")
    local e2 = delete_alone "k"
    assert(db:merge { e1 })
    local e3 = put_alone("k", "v3")
    local e4 = delete_alone "k"
    local e5 = put_alone("other", "v")
    local e6 = put_alone("k", "v6")
    local left = {}
    for _, id in ipairs(contents.sealed(db)) do
      left[id] = true
    end
    local plan = {}
    for _, id in ipairs { e1, e2, e4, e5, e6 } do
      if left[id] then plan[#plan + 1] = id end
    end
    assert(db:merge(plan))
    contents.check(db, { k = "v6", other = "v" })
    restart()
    contents.check(db, { k = "v6", other = "v" })
    assert.is_number(e3)
    delete "k"
    seal()
    restart()
    contents.check(db, { other = "v" })
    merge_all()
    restart()
    contents.check(db, { other = "v" })
  end)

  it("S25 ids are never used twice, whatever was merged away", function()
    open()
    local highest = 0
    for round = 1, 10 do
      local id = put_alone("k", "v" .. round)
      assert.is_truthy(id > highest)
      highest = id
      id = delete_alone "k"
      assert.is_truthy(id > highest)
      highest = id
      merge_all()
      for _, segment in ipairs(db:segments().segments) do
        highest = math.max(highest, segment.id)
      end
      restart()
    end
    put("k", "last")
    restart()
    contents.check(db, { k = "last" })
  end)

  it("S25 a deletion that a reader holds up never removes what is written later", function()
    open()
    local expected = {}
    for i = 1, 20 do
      put_alone("k" .. i % 4, "v" .. i)
      expected["k" .. i % 4] = "v" .. i
    end
    local next, iterator = db:pairs()
    merge_all()
    put_alone("new", "v")
    local seen = {}
    for key, value in next, iterator do
      seen[key] = value
    end
    assert.same(expected, seen)
    expected.new = "v"
    restart()
    contents.check(db, expected)
  end)

  it("S26 an empty file with the highest name stops nothing", function()
    open()
    put_alone("k", "v")
    put_alone("k2", "v2")
    db:close()
    local highest
    for _, name in ipairs(scratch.files(path)) do
      if scratch.read(path .. "/" .. name):find("v2", 1, true) then highest = name end
    end
    local digits = highest:match "%d+"
    local later = ("%0" .. #digits .. "d"):format(tonumber(digits) + 1)
    scratch.write(path .. "/" .. highest:gsub("%d+", later, 1), "")
    open()
    put("k3", "v3")
    restart()
    contents.check(db, { k = "v", k2 = "v2", k3 = "v3" })
  end)

  it("S27 the active segment is never part of a merge", function()
    open { segment_size = 4096 }
    local expected = {}
    for i = 1, 200 do
      put("k" .. i % 20, ("v%d"):format(i):rep(10))
      expected["k" .. i % 20] = ("v%d"):format(i):rep(10)
    end
    local active = db:segments().active
    assert.is_not_nil(active)
    assert(db:merge {
      progress = function()
        put("during", "v")
        expected.during = "v"
        seal()
      end,
    })
    assert.has_error(function() db:merge { (db:segments().active or { id = 10 ^ 9 }).id } end)
    contents.check(db, expected)
    restart()
    contents.check(db, expected)
  end)

  it("S28 a second merge is told that the store is busy", function()
    open()
    put_alone("k", "v1")
    put_alone("k", "v2")
    local code
    assert(db:merge { progress = function() code = code or select(3, db:merge()) end })
    -- A merge so small may be committed with its first step.
    assert.is_truthy(code == "busy" or code == nil)
    put_alone("k", "v3")
    assert(db:merge())
    contents.check(db, { k = "v3" })
  end)

  it("S29 merging a closed store raises; opening beside a merge works", function()
    open { segment_size = 1 << 16 }
    for i = 1, 1000 do
      put("k" .. i % 100, ("v"):rep(300))
    end
    seal()
    local job <close> = assert(db:merge_async { rate = 10000 })
    local other <close> = assert(bitcask.open(path))
    assert.equals(100, other:count())
    job:cancel()
    other:close()
    db:close()
    assert.has_error(function() db:merge() end)
  end)

  it("S30 segments that were merged and wait for a reader are no candidates", function()
    open()
    for i = 1, 6 do
      put_alone("k", "v" .. i)
    end
    local _, iterator = db:pairs()
    local before = contents.sealed(db)
    merge_all()
    local left = {}
    for _, id in ipairs(contents.sealed(db)) do
      left[id] = true
    end
    for _, id in ipairs(before) do
      assert.is_nil(left[id])
    end
    assert.equals(0, assert(db:merge()).segments_in)
    iterator:close()
    contents.check(db, { k = "v6" })
  end)

  it("S32 explicit lists: repeated runs finish them", function()
    open { segment_size = 512 }
    for i = 1, 200 do
      put("k" .. i % 10, ("v%d"):format(i):rep(10))
    end
    seal()
    local runs = 0
    for _, id in ipairs(contents.sealed(db)) do
      assert.is_truthy(assert(db:merge { id }).bytes_read < 2000)
      runs = runs + 1
    end
    assert.is_truthy(runs > 5)
    assert.equals(0, db:segments().dead_bytes)
    assert.equals(10, db:count())
  end)

  it("S33 the figures that triggers look at: one dead record of two equal ones", function()
    open()
    put("a", "1")
    put("a", "2")
    seal()
    put("b", "1")
    local segment = db:segments().segments[1]
    assert.equals(2, segment.records)
    assert.equals(1, segment.live_records)
    assert.equals(segment.bytes, segment.live_bytes + segment.dead_bytes)
    assert.equals(segment.live_bytes, segment.dead_bytes)
    assert.is_not_nil(db:segments().active)
  end)

  it("S34 quiescence: a merged store has nothing to merge", function()
    open { segment_size = 512 }
    for i = 1, 300 do
      put("k" .. i % 50, "v" .. i)
      if i % 7 == 0 then delete("k" .. i % 13) end
    end
    seal()
    assert(db:merge())
    for _ = 1, 5 do
      assert.equals(0, assert(db:merge()).segments_in)
    end
    restart()
    assert.equals(0, assert(db:merge()).segments_in)
  end)

  it("S35 a merge that meets corruption loses nothing that was readable", function()
    open()
    for i = 1, 30 do
      put("k" .. i, ("value %d;"):format(i))
    end
    put("k30", "again")
    seal()
    db:close()
    scratch.damage(path, "value 7;")
    open()
    for _ = 1, 2 do
      assert(db:merge(contents.sealed(db)))
      for i = 1, 29 do
        if i ~= 7 then assert.equals(("value %d;"):format(i), (db:get("k" .. i))) end
      end
      assert.equals("again", (db:get "k30"))
      assert.equals("corrupt", (select(3, db:get "k7")))
      restart()
    end
  end)

  it("S37 hot keys: merging bounds the disk", function()
    open { segment_size = 4096 }
    for i = 1, 20000 do
      put("k" .. i % 14, ("v%d"):format(i):rep(10))
      if i % 500 == 0 then assert(db:merge()) end
    end
    assert.is_truthy(db:segments().bytes < 100000)
    assert.equals(14, db:count())
  end)

  it("S38 reads in the middle of merges always find what is there", function()
    open { segment_size = 8192 }
    for i = 1, 2000 do
      put("k" .. i % 200, ("v%d "):format(i):rep(20))
    end
    for round = 1, 10 do
      seal()
      local job <close> = assert(db:merge_async())
      local reads = 0
      repeat
        for i = 0, 199 do
          local value, message = db:get("k" .. i)
          assert(value, message)
          reads = reads + 1
        end
      until job:progress().finished
      assert(job:wait())
      assert.is_truthy(reads >= 200)
      for i = 0, 199, 2 do
        put("k" .. i, ("round %d "):format(round):rep(20))
      end
    end
    assert.equals(200, db:count())
  end)
end)

describe("iteration:", function()
  local old = { k = "v", k2 = "v2", k3 = "v3" }

  it("S46 frozen view: writes, rotation and a merge change nothing of what it yields", function()
    open { segment_size = 256 }
    for key, value in pairs(old) do
      put(key, value)
    end
    local next, iterator = db:pairs()
    delete "k"
    put("k2", "changed")
    put("k4", "v4")
    for i = 1, 20 do
      put("filler" .. i % 2, ("x"):rep(100))
    end
    seal()
    merge_all()
    local seen = {}
    for key, value in next, iterator do
      seen[key] = value
    end
    assert.same(old, seen)
    contents.check(db, {
      k2 = "changed", k3 = "v3", k4 = "v4", filler0 = ("x"):rep(100), filler1 = ("x"):rep(100),
    })
  end)

  it("S46 many iterators begun at different times see each their own store", function()
    open { segment_size = 256 }
    local walks = {}
    for i = 1, 5 do
      put("k" .. i, ("v"):rep(80))
      if i > 1 then delete("k" .. i - 1) end
      local next, iterator = db:pairs()
      walks[i] = { next = next, iterator = iterator, count = 0, key = "k" .. i }
      seal()
      merge_all()
    end
    for _, walk in ipairs(walks) do
      local key = walk.next(walk.iterator)
      assert.equals(walk.key, key)
      assert.is_nil(walk.next(walk.iterator))
    end
  end)

  it("S48 reads stay fresh while an iterator is open", function()
    open()
    put("k", "old")
    local _, iterator = db:pairs()
    put("k", "new")
    assert.equals("new", (db:get "k"))
    delete "k"
    assert.is_nil(db:get "k")
    assert.is_false(db:has "k")
    assert.equals(0, db:count())
    put("k", "newer")
    assert.equals("newer", (db:get "k"))
    iterator:close()
    assert.equals("newer", (db:get "k"))
  end)

  it("S49 a second handle closes and opens again during a walk", function()
    open()
    for key, value in pairs(old) do
      put(key, value)
    end
    local other = assert(bitcask.open(path))
    local seen = {}
    for key, value in db:pairs() do
      seen[key] = value
      assert(other:put("k", "changed"))
      other:close()
      other = assert(bitcask.open(path))
    end
    other:close()
    assert.same(old, seen)
    assert.equals("changed", (db:get "k"))
  end)

  it("S50 one key put and deleted over and over during walks", function()
    open { segment_size = 256 }
    local orders = {
      { "delete", "put" }, { "put", "delete" }, { "put", "put" }, { "delete", "put", "delete" },
      { "put", "delete", "put", "put" },
    }
    for _, order in ipairs(orders) do
      put("k", "v")
      put("other", "v")
      local seen, last = {}, nil
      for key, value in db:pairs() do
        seen[key] = value
        for i, what in ipairs(order) do
          last = what == "put" and "new" .. i or nil
          if last then
            put("k", last)
          else
            delete "k"
          end
        end
      end
      assert.same({ k = "v", other = "v" }, seen)
      assert.equals(last, (db:get "k"))
      assert.equals(0, db:stats().old_versions)
    end
  end)

  it("S51 a walk right after a merge under another walk sees every key", function()
    open { segment_size = 256 }
    for key, value in pairs(old) do
      put(key, value)
      put(key, value)
    end
    local next, iterator = db:pairs()
    next(iterator)
    seal()
    merge_all()
    contents.check(db, old)
    iterator:close()
    contents.check(db, old)
  end)

  it("S52 a key deleted before the walk never appears", function()
    open()
    put("k", "v")
    put("k2", "v2")
    local _, earlier = db:pairs()
    delete "k"
    for key in db:keys() do
      assert.equals("k2", key)
    end
    earlier:close()
  end)

  it("S53 abandoned iterators give back pins, memory and files", function()
    open { segment_size = 512 }
    for i = 1, 100 do
      put("k" .. i % 20, ("v"):rep(60))
    end
    seal()
    for _ = 1, 20 do
      for _ in pairs(db) do
        break
      end
    end
    merge_all()
    collectgarbage()
    collectgarbage()
    local stats = db:stats()
    assert.equals(0, stats.snapshots)
    assert.equals(0, stats.pinned_segments)
    assert.equals(0, stats.old_versions)
    assert.is_truthy(#scratch.descriptors(path) < 20)
  end)

  it("S54 an error, a return and a yield in the loop's body", function()
    open()
    for key, value in pairs(old) do
      put(key, value)
    end
    local object = {}
    local ok, raised = pcall(function()
      for _ in db:pairs() do
        error(object)
      end
    end)
    assert.is_false(ok)
    assert.equals(object, raised)
    local function first()
      for key in db:keys() do
        return key
      end
    end
    assert.is_string(first())
    local walk = coroutine.create(function()
      for key in db:keys() do
        coroutine.yield(key)
      end
    end)
    assert(coroutine.resume(walk))
    assert(coroutine.close(walk))
    assert.equals(0, db:stats().snapshots)
  end)

  it("S55 records of every size around likely buffers come back", function()
    open { segment_size = 1 << 17 }
    local expected = {}
    for _, power in ipairs { 9, 12, 13, 16, 17 } do
      for delta = -40, 40, 4 do
        local key = ("%d%+d"):format(power, delta)
        expected[key] = ("x"):rep((1 << power) + delta)
        put(key, expected[key])
      end
    end
    contents.check(db, expected)
    restart()
    contents.check(db, expected)
    seal()
    merge_all()
    contents.check(db, expected)
  end)

  it("S56 walking keys reads no values, whatever their length", function()
    open()
    for i = 1, 20 do
      put("k" .. i, ("damaged %d;"):format(i) .. ("v"):rep(100000))
    end
    seal()
    db:close()
    scratch.damage(path, "damaged 5;")
    open()
    local seen = 0
    for _ in db:keys() do
      seen = seen + 1
    end
    assert.equals(20, seen)
    assert.is_true(db:has "k5")
    assert.equals(100000 + #"damaged 5;", db:stat("k5").size)
    assert.equals("corrupt", (select(3, db:get "k5")))
  end)
end)

describe("resources:", function()
  it("S72 descriptors stay the same over many openings, merges and segments", function()
    open { segment_size = 256 }
    put("k", "v")
    restart { segment_size = 256 }
    local before = #scratch.descriptors(path)
    for i = 1, random.effort(100) do
      put("k" .. i % 5, ("v"):rep(50))
      restart { segment_size = 256 }
    end
    assert.is_truthy(#scratch.descriptors(path) <= before + 1)
    for i = 1, random.effort(100) do
      put("k" .. i % 5, ("v"):rep(200))
      merge_all()
    end
    assert.is_truthy(#scratch.descriptors(path) <= before + 5)
    db:close()
    assert.same({}, scratch.descriptors(path))
  end)

  it("S72 many segments are read with few descriptors", function()
    local code = [[
      local path = ...
      local db = assert(bitcask.open(path, { segment_size = 256 }))
      for i = 1, 1000 do assert(db:put("k" .. i, ("v"):rep(200))) end
      assert(#db:segments().segments >= 900)
      for i = 1, 1000 do assert(db:get("k" .. i)) end
      assert(db:close())
      db = assert(bitcask.open(path))
      for i = 1, 1000 do assert(db:get("k" .. i)) end
      local seen = 0
      for _ in db:pairs() do seen = seen + 1 end
      assert(db:merge())
      print(seen, db:count())
      assert(db:close())
    ]]
    local pipe = assert(io.popen("ulimit -n 64; " .. child.command(code, path) .. " 2>&1"))
    local output = pipe:read "a"
    pipe:close()
    assert.equals("1000\t1000\n", output)
  end)

  it("S75 the figures equal a model's after any operations, also after reopening", function()
    for seed = 1, 10 do
      random.begin(seed)
      path = scratch.path()
      open { segment_size = 512 }
      local live = {}
      local function check()
        local stats, keys, records, tombstones = db:stats(), 0, 0, 0
        for _ in pairs(live) do
          keys = keys + 1
        end
        local description = db:segments()
        local all = description.segments
        all[#all + 1] = description.active
        local live_bytes, bytes, live_records = 0, 0, 0
        for _, segment in ipairs(all) do
          live_bytes = live_bytes + segment.live_bytes
          bytes = bytes + segment.bytes
          live_records = live_records + segment.live_records
          records = records + segment.records
          tombstones = tombstones + segment.tombstones
        end
        assert.equals(keys, stats.keys)
        assert.equals(keys, live_records)
        assert.equals(bytes, stats.bytes)
        assert.equals(live_bytes, stats.live_bytes)
        assert.is_truthy(records >= keys + tombstones)
        return live_bytes, bytes, records, tombstones
      end
      for step = 1, 200 do
        local key = "k" .. math.random(20)
        if math.random() < 0.3 then
          delete(key)
          live[key] = nil
        else
          local value = random.bytes(100)
          put(key, value)
          live[key] = value
        end
        if step % 40 == 0 then
          local before = { check() }
          restart { segment_size = 512 }
          assert.same(before, { check() })
          assert(db:merge(random.some(contents.sealed(db))))
          check()
        end
      end
      seal()
      merge_all()
      local live_bytes, bytes = check()
      assert.equals(bytes, live_bytes)
      db:close()
    end
  end)

  it("S77 a failing hook loses nothing: hash, event and progress", function()
    local fail = false
    open {
      segment_size = 512,
      hash = function(key)
        if fail then error "hash" end
        return #key
      end,
      on_event = function() error "event" end,
    }
    local expected = {}
    for i = 1, 200 do
      local key, value = "k" .. i % 30, ("v%d "):format(i):rep(5)
      fail = i % 11 == 0
      local ok = pcall(db.put, db, key, value)
      assert.equals(not fail, ok)
      if ok then expected[key] = value end
      fail = i % 13 == 0
      if fail then pcall(db.get, db, key) end
    end
    fail = false
    contents.check(db, expected)
    seal()
    pcall(db.merge, db, { progress = function() error "progress" end })
    contents.check(db, expected)
    merge_all()
    contents.check(db, expected)
    restart()
    contents.check(db, expected)
  end)

  it("a directory that others use too keeps what is not the store's", function()
    lfs.mkdir(path)
    scratch.write(path .. "/notes.txt", "mine")
    lfs.mkdir(path .. "/folder")
    open { segment_size = 256 }
    for i = 1, 50 do
      put("k" .. i % 5, ("v"):rep(100))
    end
    seal()
    merge_all()
    restart()
    assert.equals("mine", scratch.read(path .. "/notes.txt"))
    assert.equals("directory", lfs.attributes(path .. "/folder", "mode"))
  end)
end)
