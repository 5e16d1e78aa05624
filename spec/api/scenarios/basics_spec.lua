-- Situations that broke other stores of this kind, each under its name: what every store does.
-- "Restart" is here a close and an open; kills, power cuts and full disks have specs of their own.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local the = require "spec.support.one_store"

local open, restart, put, delete, seal, merge_all =
  the.open, the.restart, the.put, the.delete, the.seal, the.merge_all

before_each(the.begin)
after_each(the.finish)

describe("basics:", function()
  it("S01 roundtrip", function()
    open()
    put("k", "v")
    put("k2", "v2")
    put("k", "v3")
    assert.equals("v3", (the.db:get "k"))
    assert.equals("v2", (the.db:get "k2"))
    assert.equals(2, the.db:count())
  end)

  it("S02 reopen: one segment, or many of one record each", function()
    for _, size in ipairs { 256, 1 << 20 } do
      the.path = scratch.path()
      open { segment_size = size }
      local expected = {}
      for i = 1, 40 do
        expected["k" .. i] = ("v%d"):format(i):rep(60)
        put("k" .. i, expected["k" .. i])
      end
      restart { segment_size = size }
      contents.check(the.db, expected)
      restart()
      contents.check(the.db, expected)
      the.db:close()
    end
  end)

  it("S03 lazy open: opening adds no files", function()
    open()
    restart()
    restart()
    local files = #scratch.files(the.path)
    restart()
    assert.equals(files, #scratch.files(the.path))
    put("k", "v")
    restart()
    local sizes = scratch.size(the.path)
    files = #scratch.files(the.path)
    for _ = 1, 5 do
      restart()
      assert.equals("v", (the.db:get "k"))
    end
    assert.is_truthy(#scratch.files(the.path) <= files + 1)
    assert.is_truthy(scratch.size(the.path) < sizes + 65536)
  end)

  it("S04 wiped directory: old keys are gone", function()
    open()
    put("k", "v")
    the.db:close()
    scratch.remove(the.path)
    open()
    assert.is_nil(the.db:get "k")
    assert.equals(0, the.db:count())
    put("k", "new")
    restart()
    assert.equals("new", (the.db:get "k"))
  end)

  it("S05 delete of a missing key changes nothing, any number of times", function()
    open()
    put("k", "v")
    local before = the.db:stats()
    for _ = 1, 10 do
      assert.is_false(the.db:delete "nope")
    end
    local after = the.db:stats()
    for _, name in ipairs { "keys", "bytes", "live_bytes", "dead_bytes", "segments", "version" } do
      assert.equals(before[name], after[name], name)
    end
    seal()
    merge_all()
    restart()
    contents.check(the.db, { k = "v" })
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
    contents.check(the.db, expected)
    restart()
    contents.check(the.db, expected)
    seal()
    merge_all()
    contents.check(the.db, expected)
    restart()
    contents.check(the.db, expected)
  end)

  it("S07 over the limit as the first operation: refused, and the next put works", function()
    open()
    assert.equals("toolarge", (select(3, the.db:put(("k"):rep(65536), "v"))))
    put("k", "v")
    restart()
    contents.check(the.db, { k = "v" })
  end)

  it("S08 record larger than a segment: stored, readable, mergeable", function()
    open { segment_size = 256 }
    local expected = {
      large = ("x"):rep(10000), small = "y", larger = ("z"):rep(100000), [("k"):rep(5000)] = "v",
    }
    for key, value in pairs(expected) do
      put(key, value)
    end
    contents.check(the.db, expected)
    restart { segment_size = 256 }
    contents.check(the.db, expected)
    seal()
    merge_all()
    contents.check(the.db, expected)
    restart()
    contents.check(the.db, expected)
  end)

  it("S10 updates within one tick of the clock: the last write wins", function()
    for seed = 1, 10 do
      random.begin(seed)
      the.path = scratch.path()
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
        assert(the.db:merge(random.some(contents.sealed(the.db))))
        restart()
        contents.check(the.db, expected)
      end
      the.db:close()
    end
  end)
end)
