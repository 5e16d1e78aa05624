-- Situations that broke other stores of this kind: merges beside other work, and again and again.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local scratch = require "spec.support.scratch"
local the = require "spec.support.one_store"

local open, restart, merge_all = the.open, the.restart, the.merge_all
local put, delete, seal = the.put, the.delete, the.seal
local put_alone, delete_alone = the.put_alone, the.delete_alone

before_each(the.begin)
after_each(the.finish)

describe("deletes, tombstones and merging:", function()
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
      for _, segment in ipairs(the.db:segments().segments) do
        highest = math.max(highest, segment.id)
      end
      restart()
    end
    put("k", "last")
    restart()
    contents.check(the.db, { k = "last" })
  end)

  it("S25 a deletion that a reader holds up never removes what is written later", function()
    open()
    local expected = {}
    for i = 1, 20 do
      put_alone("k" .. i % 4, "v" .. i)
      expected["k" .. i % 4] = "v" .. i
    end
    local next, iterator = the.db:pairs()
    merge_all()
    put_alone("new", "v")
    local seen = {}
    for key, value in next, iterator do
      seen[key] = value
    end
    assert.same(expected, seen)
    expected.new = "v"
    restart()
    contents.check(the.db, expected)
  end)

  it("S26 an empty file with the highest name stops nothing", function()
    open()
    put_alone("k", "v")
    put_alone("k2", "v2")
    the.db:close()
    local highest
    for _, name in ipairs(scratch.files(the.path)) do
      if scratch.read(the.path .. "/" .. name):find("v2", 1, true) then highest = name end
    end
    local digits = highest:match "%d+"
    local later = ("%0" .. #digits .. "d"):format(tonumber(digits) + 1)
    scratch.write(the.path .. "/" .. highest:gsub("%d+", later, 1), "")
    open()
    put("k3", "v3")
    restart()
    contents.check(the.db, { k = "v", k2 = "v2", k3 = "v3" })
  end)

  it("S27 the active segment is never part of a merge", function()
    open { segment_size = 4096 }
    local expected = {}
    for i = 1, 200 do
      put("k" .. i % 20, ("v%d"):format(i):rep(10))
      expected["k" .. i % 20] = ("v%d"):format(i):rep(10)
    end
    local active = the.db:segments().active
    assert.is_not_nil(active)
    assert(the.db:merge {
      progress = function()
        put("during", "v")
        expected.during = "v"
        seal()
      end,
    })
    assert.has_error(function()
      the.db:merge { (the.db:segments().active or { id = 10 ^ 9 }).id }
    end)
    contents.check(the.db, expected)
    restart()
    contents.check(the.db, expected)
  end)

  it("S28 a second merge is told that the store is busy", function()
    open()
    put_alone("k", "v1")
    put_alone("k", "v2")
    local code
    assert(the.db:merge { progress = function() code = code or select(3, the.db:merge()) end })
    -- A merge so small may be committed with its first step.
    assert.is_truthy(code == "busy" or code == nil)
    put_alone("k", "v3")
    assert(the.db:merge())
    contents.check(the.db, { k = "v3" })
  end)

  it("S29 merging a closed store raises; opening beside a merge works", function()
    open { segment_size = 1 << 16 }
    for i = 1, 1000 do
      put("k" .. i % 100, ("v"):rep(300))
    end
    seal()
    local job <close> = assert(the.db:merge_async { rate = 10000 })
    local other <close> = assert(bitcask.open(the.path))
    assert.equals(100, other:count())
    job:cancel()
    other:close()
    the.db:close()
    assert.has_error(function() the.db:merge() end)
  end)

  it("S30 segments that were merged and wait for a reader are no candidates", function()
    open()
    for i = 1, 6 do
      put_alone("k", "v" .. i)
    end
    local _, iterator = the.db:pairs()
    local before = contents.sealed(the.db)
    merge_all()
    local left = {}
    for _, id in ipairs(contents.sealed(the.db)) do
      left[id] = true
    end
    for _, id in ipairs(before) do
      assert.is_nil(left[id])
    end
    assert.equals(0, assert(the.db:merge()).segments_in)
    iterator:close()
    contents.check(the.db, { k = "v6" })
  end)

  it("S32 explicit lists: repeated runs finish them", function()
    open { segment_size = 512 }
    for i = 1, 200 do
      put("k" .. i % 10, ("v%d"):format(i):rep(10))
    end
    seal()
    local runs = 0
    for _, id in ipairs(contents.sealed(the.db)) do
      assert.is_truthy(assert(the.db:merge { id }).bytes_read < 2000)
      runs = runs + 1
    end
    assert.is_truthy(runs > 5)
    assert.equals(0, the.db:segments().dead_bytes)
    assert.equals(10, the.db:count())
  end)

  it("S33 the figures that triggers look at: one dead record of two equal ones", function()
    open()
    put("a", "1")
    put("a", "2")
    seal()
    put("b", "1")
    local segment = the.db:segments().segments[1]
    assert.equals(2, segment.records)
    assert.equals(1, segment.live_records)
    assert.equals(segment.bytes, segment.live_bytes + segment.dead_bytes)
    assert.equals(segment.live_bytes, segment.dead_bytes)
    assert.is_not_nil(the.db:segments().active)
  end)

  it("S34 quiescence: a merged store has nothing to merge", function()
    open { segment_size = 512 }
    for i = 1, 300 do
      put("k" .. i % 50, "v" .. i)
      if i % 7 == 0 then delete("k" .. i % 13) end
    end
    seal()
    assert(the.db:merge())
    for _ = 1, 5 do
      assert.equals(0, assert(the.db:merge()).segments_in)
    end
    restart()
    assert.equals(0, assert(the.db:merge()).segments_in)
  end)

  it("S35 a merge that meets corruption loses nothing that was readable", function()
    open()
    for i = 1, 30 do
      put("k" .. i, ("value %d;"):format(i))
    end
    put("k30", "again")
    seal()
    the.db:close()
    scratch.damage(the.path, "value 7;")
    open()
    for _ = 1, 2 do
      assert(the.db:merge(contents.sealed(the.db)))
      for i = 1, 29 do
        if i ~= 7 then assert.equals(("value %d;"):format(i), (the.db:get("k" .. i))) end
      end
      assert.equals("again", (the.db:get "k30"))
      assert.equals("corrupt", (select(3, the.db:get "k7")))
      restart()
    end
  end)

  it("S37 hot keys: merging bounds the disk", function()
    open { segment_size = 4096 }
    for i = 1, 20000 do
      put("k" .. i % 14, ("v%d"):format(i):rep(10))
      if i % 500 == 0 then assert(the.db:merge()) end
    end
    assert.is_truthy(the.db:segments().bytes < 100000)
    assert.equals(14, the.db:count())
  end)

  it("S38 reads in the middle of merges always find what is there", function()
    open { segment_size = 8192 }
    for i = 1, 2000 do
      put("k" .. i % 200, ("v%d "):format(i):rep(20))
    end
    for round = 1, 10 do
      seal()
      local job <close> = assert(the.db:merge_async())
      local reads = 0
      repeat
        for i = 0, 199 do
          local value, message = the.db:get("k" .. i)
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
    assert.equals(200, the.db:count())
  end)
end)
