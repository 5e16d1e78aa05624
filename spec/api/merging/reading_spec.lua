-- How little of its inputs a merge reads, what it may not leave unread, and how it lets go of
-- them.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local scratch = require "spec.support.scratch"

describe("a segment of which nothing is needed any more", function()
  local path, db

  before_each(function()
    path = scratch.path()
    db = assert(bitcask.open(path, { segment_size = 4096, policy = false }))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  local function seal()
    return assert(db:seal())
  end

  local function put_all(value, opts)
    for i = 1, 10 do assert(db:put("k" .. i, value, opts)) end
    return seal()
  end

  it("goes without being read", function()
    local first = put_all "old"
    put_all "new"
    local report = assert(db:merge { first })
    assert.equals(0, report.bytes_read)
    assert.equals(10, report.records_dropped)
    assert.equals(1, report.segments_in)
    assert.equals(0, report.segments_out)
    contents.check(db, { k1 = "new", k2 = "new", k3 = "new", k4 = "new", k5 = "new", k6 = "new",
      k7 = "new", k8 = "new", k9 = "new", k10 = "new" })
  end)

  it("goes unread with tombstones that hide nothing, and with what has expired", function()
    local puts = put_all "value"
    for i = 1, 10 do assert(db:delete("k" .. i)) end
    local tombstones = seal()
    local report = assert(db:merge { puts, tombstones })
    assert.equals(0, report.bytes_read)
    assert.equals(10, report.tombstones_dropped)
    local expiring = put_all("value", { ttl = 0.001 })
    repeat until db:count() == 0
    report = assert(db:merge { expiring })
    assert.equals(0, report.bytes_read)
    assert.equals(10, report.records_dropped)
    assert.equals(0, db:segments().bytes)
  end)

  it("is read where its tombstones hide something", function()
    put_all "value"
    for i = 1, 10 do assert(db:delete("k" .. i)) end
    local tombstones = seal()
    local report = assert(db:merge { tombstones })
    assert.is_true(report.bytes_read > 0)
    db:close()
    db = assert(bitcask.open(path, { policy = false }))
    contents.check(db, {})
  end)

  -- The first byte of the header of the first record; nothing else tells what the segment holds.
  local function damage(id)
    local name = ("%s/%06d.seg"):format(path, id)
    local bytes = scratch.read(name)
    scratch.write(name, bytes:sub(1, 70) .. "?" .. bytes:sub(72))
    os.remove((name:gsub("seg$", "hint")))
    os.remove(path .. "/KEYDIR")
    return name
  end

  -- Nobody has looked at it before the merge does.
  it("is kept with a damaged tombstone in it, which may hide something", function()
    assert(db:put("key", "value"))
    seal()
    assert(db:delete "key")
    local tombstone = seal()
    -- The reopened store writes no hint file anew for one that was there when it was opened.
    db:close()
    db = assert(bitcask.open(path, { policy = false }))
    assert.equals(0, db:count())
    local name = damage(tombstone)
    assert.equals(1, assert(db:merge { tombstone }).segments_damaged)
    assert.is_string(scratch.read(name))
  end)

  for openings = 1, 2 do
    it("is read, and kept, where opening met damage in it, the last of " .. openings, function()
      local first = put_all "old"
      put_all "new"
      assert(db:close())
      local name = damage(first)
      for _ = 1, openings do
        db:close()
        db = assert(bitcask.open(path, { policy = false }))
        assert(db:put("another", "write"))
      end
      assert.equals(1, assert(db:merge { first }).segments_damaged)
      assert.is_string(scratch.read(name))
    end)
  end
end)

describe("a segment of which only live records are needed", function()
  local path, db

  before_each(function()
    path = scratch.path()
    db = assert(bitcask.open(path, { segment_size = 1 << 20, policy = false }))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  -- One record in ten stays live, each among dead ones of so many bytes.
  local function put_sparse(size)
    local live = {}
    for i = 1, 100 do
      local key, value = "k" .. i, ("v%d "):format(i) .. ("x"):rep(size)
      assert(db:put(key, value))
      if i % 10 == 0 then live[key] = value end
    end
    local first = assert(db:seal())
    for i = 1, 100 do
      if i % 10 ~= 0 then
        assert(db:put("k" .. i, "new"))
        live["k" .. i] = "new"
      end
    end
    return first, live
  end

  local function damage(id, text)
    local name = ("%s/%06d.seg"):format(path, id)
    local bytes = scratch.read(name)
    local at = assert(bytes:find(text, 1, true))
    -- In place: the store has it open.
    local file <close> = assert(io.open(name, "r+b"))
    file:seek("set", at - 1)
    file:write "?"
    return name
  end

  it("is read where those are", function()
    local first, live = put_sparse(5000)
    local bytes = db:segments().segments[1].bytes
    local report = assert(db:merge { first })
    assert.is_true(report.bytes_read < bytes / 5)
    assert.equals(10, report.records_kept)
    assert.equals(90, report.records_dropped)
    assert.equals(0, report.tombstones_dropped)
    contents.check(db, live)
    db:close()
    db = assert(bitcask.open(path, { policy = false }))
    contents.check(db, live)
  end)

  it("is read page by page where they stand near each other", function()
    local first = put_sparse(10)
    local bytes = db:segments().segments[1].bytes
    assert.equals(bytes, assert(db:merge { first }).bytes_read)
  end)

  it("may have damage among the dead, which goes with them", function()
    local first, live = put_sparse(5000)
    damage(first, "k55")
    local report = assert(db:merge { first })
    assert.equals(0, report.segments_damaged)
    assert.equals(90, report.records_dropped)
    contents.check(db, live)
  end)

  for what, text in pairs { key = "k50", value = "v50 " } do
    it("is kept as it is with damage in the " .. what .. " of a live record", function()
      local first, live = put_sparse(5000)
      local name = damage(first, text)
      local report = assert(db:merge { first })
      assert.equals(1, report.segments_damaged)
      assert.equals(0, report.records_dropped)
      assert.is_string(scratch.read(name))
      assert.equals("corrupt", select(3, db:get "k50"))
      live.k50 = nil
      for key, value in pairs(live) do assert.equals(value, (db:get(key))) end
    end)
  end

  -- Versions 1 to 100 stand in the first segment, and 101 to 190 supersede some of them.
  it("tells what is dropped from the versions of what is not", function()
    local first = put_sparse(5000)
    assert(db:merge { first })
    assert.equals("notfound", select(3, db:changes(98)))
    assert(db:changes(99))
  end)

  -- Now the same versions stand in one segment in no order.
  it("tells too much of what is dropped, never too little", function()
    local first = put_sparse(5000)
    local second = assert(db:seal())
    assert(db:merge { second })
    assert(db:merge { first })
    assert.equals("notfound", select(3, db:changes(98)))
    local mixed = contents.sealed(db)
    assert(db:put("k1", "newer still"))
    assert(db:seal())
    local report = assert(db:merge(mixed))
    assert.equals(1, report.records_dropped)
    assert.equals("notfound", select(3, db:changes(100)))
  end)
end)

describe("a large segment", function()
  after_each(scratch.clean)

  it("is gone by name when the merge is done, and all of it soon", function()
    local path = scratch.path()
    local db <close> = assert(bitcask.open(path, { policy = false }))
    for i = 1, 90 do
      assert(db:put("k" .. i % 3, ("x"):rep(100000)))
    end
    local large = assert(db:seal())
    local function is_pinned() return db:segments().segments[1].pinned end
    local hint = ("^%06d.hint$"):format(large)
    eventually(function() return #scratch.files(path, hint) == 1 and not is_pinned() end,
      "its hint file")
    assert(db:merge { large })
    for _, name in ipairs(scratch.files(path)) do
      assert.is_falsy(name:find(("^%06d"):format(large)), name)
    end
    eventually(function() return db:stats().pinned_segments == 0 end, "the rest of it to go")
    assert.equals(3, db:count())
  end)
end)
