-- Situations that broke other stores of this kind: descriptors, figures, hooks, strange files.

local child = require "spec.support.child"
local contents = require "spec.support.contents"
local lfs = require "lfs"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local the = require "spec.support.one_store"

local open, restart, put, delete, seal, merge_all =
  the.open, the.restart, the.put, the.delete, the.seal, the.merge_all

before_each(the.begin)
after_each(the.finish)

describe("resources:", function()
  it("S72 descriptors stay the same over many openings, merges and segments", function()
    open { segment_size = 256 }
    put("k", "v")
    restart { segment_size = 256 }
    local before = #scratch.descriptors(the.path)
    for i = 1, random.effort(100) do
      put("k" .. i % 5, ("v"):rep(50))
      restart { segment_size = 256 }
    end
    assert.is_truthy(#scratch.descriptors(the.path) <= before + 1)
    for i = 1, random.effort(100) do
      put("k" .. i % 5, ("v"):rep(200))
      merge_all()
    end
    assert.is_truthy(#scratch.descriptors(the.path) <= before + 5)
    the.db:close()
    assert.same({}, scratch.descriptors(the.path))
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
    local pipe = assert(io.popen("ulimit -n 64; " .. child.command(code, the.path) .. " 2>&1"))
    local output = pipe:read "a"
    pipe:close()
    assert.equals("1000\t1000\n", output)
  end)

  it("S75 the figures equal a model's after any operations, also after reopening", function()
    for seed = 1, 10 do
      random.begin(seed)
      the.path = scratch.path()
      open { segment_size = 512 }
      local live = {}
      local function check()
        local stats, keys, records, tombstones = the.db:stats(), 0, 0, 0
        for _ in pairs(live) do
          keys = keys + 1
        end
        local description = the.db:segments()
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
          assert(the.db:merge(random.some(contents.sealed(the.db))))
          check()
        end
      end
      seal()
      merge_all()
      local live_bytes, bytes = check()
      assert.equals(bytes, live_bytes)
      the.db:close()
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
      local ok = pcall(the.db.put, the.db, key, value)
      assert.equals(not fail, ok)
      if ok then expected[key] = value end
      fail = i % 13 == 0
      if fail then pcall(the.db.get, the.db, key) end
    end
    fail = false
    contents.check(the.db, expected)
    seal()
    pcall(the.db.merge, the.db, { progress = function() error "progress" end })
    contents.check(the.db, expected)
    merge_all()
    contents.check(the.db, expected)
    restart()
    contents.check(the.db, expected)
  end)

  it("a directory that others use too keeps what is not the store's", function()
    lfs.mkdir(the.path)
    scratch.write(the.path .. "/notes.txt", "mine")
    lfs.mkdir(the.path .. "/folder")
    open { segment_size = 256 }
    for i = 1, 50 do
      put("k" .. i % 5, ("v"):rep(100))
    end
    seal()
    merge_all()
    restart()
    assert.equals("mine", scratch.read(the.path .. "/notes.txt"))
    assert.equals("directory", lfs.attributes(the.path .. "/folder", "mode"))
  end)
end)
