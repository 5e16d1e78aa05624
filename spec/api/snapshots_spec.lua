local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tools = require "spec.support.tools"

local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(message))
end

local path, db

local function merge_all()
  assert(db:seal() ~= nil)
  return assert(db:merge(contents.sealed(db)))
end

-- By every way that a snapshot can be read.
local function check(snap, expected)
  local keys = contents.keys(expected)
  assert.equals(#keys, snap:count())
  assert.equals(#keys, #snap)
  for key, value in pairs(expected) do
    local found, version = snap:get(key)
    assert(found == value, "get differs")
    assert.is_true(snap:has(key))
    local stat = snap:stat(key)
    assert.equals(#value, stat.size)
    assert.equals(version, stat.version)
    assert.is_true(version <= snap.version)
  end
  assert.same(expected, contents.of(snap))
  local seen = {}
  for key in snap:keys() do seen[#seen + 1] = key end
  table.sort(seen)
  assert.same(keys, seen)
end

-- Files are removed in the background.
local function check_unpinned(of)
  eventually(function()
    return of:stats().pinned_segments == 0
  end, "no segment is pinned")
end

before_each(function()
  path = ramdisk.path()
  db = assert(bitcask.open(path, { segment_size = 1024 }))
end)

after_each(function()
  db:close()
  ramdisk.clean()
  scratch.clean()
end)

describe("a snapshot", function()
  it("tells the store as it was: whatever is written, sealed and merged since", function()
    assert(db:put("k", "1"))
    assert(db:put("k2", "2"))
    local version = assert(db:put("k3", "3"))
    local snap <close> = db:snapshot()
    local before = { k = "1", k2 = "2", k3 = "3" }
    assert.equals(version, snap.version)
    check(snap, before)
    assert(db:delete "k")
    assert(db:put("k2", "new"))
    assert(db:put("k4", "4"))
    check(snap, before)
    merge_all()
    check(snap, before)
    for i = 1, 100 do assert(db:put("k" .. i % 7, ("x"):rep(100) .. i)) end
    merge_all()
    merge_all()
    check(snap, before)
    assert.is_nil(snap:get "k4")
    assert.is_false(snap:has "k4")
    assert.is_nil(snap:stat "k4")
  end)

  it("is not there for what comes later: reads of the store stay fresh", function()
    assert(db:put("k", "1"))
    local snap <close> = db:snapshot()
    for i = 2, 20 do
      assert(db:put("k", tostring(i)))
      assert.equals(tostring(i), (db:get "k"))
      if i % 5 == 0 then merge_all() end
    end
    assert.equals("1", (snap:get "k"))
    assert(db:delete "k")
    assert.is_nil(db:get "k")
    assert.equals("1", (snap:get "k"))
  end)

  it("of an empty store is empty", function()
    local snap <close> = db:snapshot()
    assert(db:put("k", "1"))
    check(snap, {})
    assert.equals(0, snap.version)
  end)

  it("does not see a key that was deleted before it", function()
    assert(db:put("k", "1"))
    assert(db:delete "k")
    local snap <close> = db:snapshot()
    assert(db:put("k", "2"))
    check(snap, {})
  end)

  it("sees one of many deletes and puts of a key, each its own", function()
    local snaps, expected = {}, {}
    for i = 1, 60 do
      if i % 3 == 0 then
        assert(db:delete "k")
        expected[i] = {}
      else
        assert(db:put("k", ("v"):rep(i)))
        expected[i] = { k = ("v"):rep(i) }
      end
      snaps[i] = db:snapshot()
      if i % 11 == 0 then merge_all() end
    end
    for i = 60, 1, -1 do check(snaps[i], expected[i]) end
    assert.is_true(db:stats().old_versions > 0)
    for i = 1, 60, 2 do snaps[i]:close() end
    for i = 2, 60, 2 do check(snaps[i], expected[i]) end
    for i = 2, 60, 2 do snaps[i]:close() end
    assert.equals(0, db:stats().old_versions)
  end)

  it("iterates with the options of the store's iterations", function()
    assert(db:put("a1", "1"))
    assert(db:put("a2", "2"))
    assert(db:put("b", "3"))
    local snap <close> = db:snapshot()
    assert(db:delete "a1")
    local seen = {}
    for key, value in snap:pairs { prefix = "a" } do seen[key] = value end
    assert.same({ a1 = "1", a2 = "2" }, seen)
    seen = {}
    for key, value in pairs(snap) do seen[key] = value end
    assert.same({ a1 = "1", a2 = "2", b = "3" }, seen)
    raises("unknown option", snap.pairs, snap, { prefx = "" })
    raises("unknown option", snap.keys, snap, { prefx = "" })
  end)

  it("shares a hash among keys without mixing them up", function()
    db:close()
    db = assert(bitcask.open(path, { hash = function() return 7 end }))
    local expected = {}
    for i = 1, 40 do
      assert(db:put("k" .. i, "v" .. i))
      expected["k" .. i] = "v" .. i
    end
    local snap <close> = db:snapshot()
    for i = 1, 40 do
      if i % 2 == 0 then assert(db:delete("k" .. i)) else assert(db:put("k" .. i, "new")) end
    end
    check(snap, expected)
    merge_all()
    check(snap, expected)
  end)
end)

describe("the life of a snapshot", function()
  it("ends at the end of its scope", function()
    assert(db:put("k", "1"))
    do
      local snap <close> = db:snapshot()
      assert.equals(1, db:stats().snapshots)
      assert(db:put("k", "2"))
      assert.equals(1, db:stats().old_versions)
      assert.equals("1", (snap:get "k"))
    end
    assert.equals(0, db:stats().snapshots)
    assert.equals(0, db:stats().old_versions)
  end)

  it("ends when it is closed, twice is harmless, and then it raises", function()
    local snap = db:snapshot()
    assert.is_true(snap:close())
    assert.is_true(snap:close())
    for _, method in ipairs { "get", "has", "stat", "pairs", "keys", "count" } do
      raises("attempt to use a closed snapshot", snap[method], snap,
        method:find "[gh][ea][ts]" and "k" or method == "stat" and "k" or nil)
    end
    raises("attempt to use a closed snapshot", function() return #snap end)
    raises("attempt to use a closed snapshot", pairs, snap)
    assert.equals("closed snapshot", bitcask.type(snap))
    assert.equals("bitcask snapshot (closed)", tostring(snap))
    assert.equals(0, snap.version)
  end)

  it("ends with its store", function()
    assert(db:put("k", "1"))
    local snap = db:snapshot()
    local next_pair, iterator = snap:pairs()
    db:close()
    raises("attempt to use a closed snapshot", snap.get, snap, "k")
    raises("closed iterator", next_pair, iterator)
    assert.is_true(snap:close())
  end)

  it("ends before that of an iterator over it, which goes on", function()
    for i = 1, 10 do assert(db:put("k" .. i, "v")) end
    local snap = db:snapshot()
    local count = 0
    for key in snap:pairs() do
      if count == 0 then
        snap:close()
        for i = 1, 10 do assert(db:put("k" .. i, "new")) end
        merge_all()
      end
      count = count + 1
      assert.matches("^k", key)
    end
    assert.equals(10, count)
    assert.equals(0, db:stats().snapshots)
    assert.equals(0, db:stats().old_versions)
  end)

  it("ends when it is collected, with what it kept", function()
    assert(db:put("k", "1"))
    for i = 1, 2000 do
      db:snapshot()
      assert(db:put("k", tostring(i)))
    end
    collectgarbage()
    assert.equals(0, db:stats().snapshots)
    assert.equals(0, db:stats().old_versions)
    check_unpinned(db)
  end)

  it("lets go of files that merges have replaced", function()
    for i = 1, 50 do assert(db:put("k" .. i % 5, ("x"):rep(100))) end
    local snap = db:snapshot()
    for i = 1, 50 do assert(db:put("k" .. i % 5, ("y"):rep(100))) end
    merge_all()
    assert.is_true(db:stats().pinned_segments > 0)
    for i = 0, 4 do assert.equals(("x"):rep(100), (snap:get("k" .. i))) end
    snap:close()
    check_unpinned(db)
    merge_all()
    contents.check(db, {
      k0 = ("y"):rep(100), k1 = ("y"):rep(100), k2 = ("y"):rep(100), k3 = ("y"):rep(100),
      k4 = ("y"):rep(100),
    })
  end)

  it("tells what it is, and how far it sees", function()
    assert(db:put("k", "1"))
    local snap <close> = db:snapshot()
    assert.equals("snapshot", bitcask.type(snap))
    assert.matches("^bitcask snapshot %(.* at version 1%)$", tostring(snap))
    assert.equals(1, snap.version)
    assert.is_nil(snap.nonsense)
    raises("", function() snap.version = 2 end)
    raises("", db.get, snap, "k")
    raises("", snap.get, db, "k")
    raises("string expected, got number", snap.get, snap, 1)
  end)
end)

describe("thousands of snapshots", function()
  it("may be open at once, each with its own view, and old versions do not grow without bound",
    function()
      local snaps = {}
      for i = 1, 5000 do
        assert(db:put("k" .. i % 50, tostring(i)))
        snaps[i] = db:snapshot()
      end
      local stats = db:stats()
      assert.equals(5000, stats.snapshots)
      assert.is_true(stats.old_versions <= 5000)
      merge_all()
      for i = 1, 5000, 97 do
        assert.equals(tostring(i), (snaps[i]:get("k" .. i % 50)))
        assert.equals(math.min(i, 50), #snaps[i])
      end
      for i = 1, 5000 do snaps[i]:close() end
      stats = db:stats()
      assert.equals(0, stats.snapshots)
      assert.equals(0, stats.old_versions)
      check_unpinned(db)
    end)

  it("at one version keep nothing twice", function()
    assert(db:put("k", "1"))
    local snaps = {}
    for i = 1, 2000 do snaps[i] = db:snapshot() end
    for i = 1, 100 do assert(db:put("k", tostring(i))) end
    assert.equals(1, db:stats().old_versions)
    for i = 1, 2000 do snaps[i]:close() end
    assert.equals(0, db:stats().old_versions)
  end)
end)

describe("a snapshot and others", function()
  it("S49 outlives a handle on the store that is closed and opened beside it", function()
    assert(db:put("k", "1"))
    local snap <close> = db:snapshot()
    for i = 1, 3 do
      local other <close> = assert(bitcask.open(path))
      assert(other:put("k", "new " .. i))
      assert(other:seal() ~= nil)
      assert(other:merge())
    end
    check(snap, { k = "1" })
  end)

  it("S57 of one store never keeps files of another", function()
    local other <close> = assert(bitcask.open(ramdisk.path(), { segment_size = 1024 }))
    local snap <close> = db:snapshot()
    for i = 1, 50 do assert(other:put("k", ("x"):rep(100) .. i)) end
    assert(other:seal() ~= nil)
    assert(other:merge())
    check_unpinned(other)
    assert.equals(0, other:stats().old_versions)
    assert.equals(0, #snap)
  end)

  it("of a store opened for reading keeps its view over a refresh", function()
    assert(db:put("k", "1"))
    assert(db:sync())
    local code = [[
      local directory = ...
      local db <close> = assert(bitcask.open(directory, { readonly = true }))
      local snap <close> = db:snapshot()
      print(snap:get "k")
      io.stdout:flush()
      io.read()
      assert(db:refresh())
      print(db:get "k")
      print(snap:get "k", #snap)
    ]]
    local child = require "spec.support.child"
    local results = ramdisk.path()
    local pipe = assert(io.popen(child.command(code, path) .. " >" .. results .. " 2>&1", "w"))
    pipe:setvbuf "no"
    eventually(function()
      local file <close> = io.open(results)
      return file and file:read "l" == "1\t1"
    end, "the reader has read")
    assert(db:put("k", "2"))
    merge_all()
    pipe:write "\n"
    pipe:close()
    assert.equals("1\t1\n2\t2\n1\t1\n", (scratch.read(results):gsub("1\t1\t1", "1\t1")))
    os.remove(results)
  end)

  it("never sees a part of a batch, taken by threads while others commit", function()
    local ok, message = tools.module "spec.threads"
    if not ok then return pending(message) end
    require "spec.threads".run(4, [[
      local number, directory = ...
      local bitcask = require "bitcask"
      local db <close> = assert(bitcask.open(directory))
      for n = 1, 400 do
        if number <= 2 then
          local batch = db:batch()
          for i = 1, 10 do batch:put("k" .. i, number .. ":" .. n) end
          assert(batch:commit())
          if n % 50 == 0 then db:merge() end
        else
          local snap <close> = db:snapshot()
          local first
          for i = 1, 10 do
            local value = snap:get("k" .. i) or "none"
            first = first or value
            assert(value == first, "half a batch")
          end
          for _, value in snap:pairs() do assert(value == first, "half a batch in a walk") end
          assert(#snap == (first == "none" and 0 or 10))
        end
      end
    ]], path)
  end)

  it("may have its store merged from its own hash function, but not itself closed", function()
    local snap, hook
    db:close()
    db = assert(bitcask.open(path, {
      hash = function(key)
        if hook then
          local h = hook
          hook = nil
          h()
        end
        return #key
      end,
    }))
    assert(db:put("k", "1"))
    snap = db:snapshot()
    hook = function() merge_all() end
    assert.equals("1", (snap:get "k"))
    hook = function() snap:close() end
    raises("hash function", snap.get, snap, "k")
    assert.equals("1", (snap:get "k"))
  end)
end)
