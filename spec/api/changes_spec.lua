local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"

local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(message))
end

local path, db

local function reopen(options)
  assert(db:close())
  db = assert(bitcask.open(path, options or { segment_size = 1024 }))
end

local function merge_all()
  assert(db:seal() ~= nil)
  return assert(db:merge(contents.sealed(db)))
end

local function changes_since(version)
  local list = {}
  for change in assert(db:changes(version)) do list[#list + 1] = change end
  return list
end

-- The keys, a minus before those that were deleted.
local function told(version)
  local words = {}
  for i, change in ipairs(changes_since(version)) do
    words[i] = change.deleted and "-" .. change.key or change.key .. "=" .. change.value
  end
  return table.concat(words, " ")
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

describe("changes", function()
  it("are every write, oldest first, with all that it said", function()
    local first = assert(db:put("a", "1"))
    local second = assert(db:put("b", "", { ttl = 1000 }))
    local third = assert(db:delete "a")
    assert.same({
      { version = first, key = "a", value = "1", deleted = false },
      { version = second, key = "b", value = "", deleted = false, expires = db:stat("b").expires },
      { version = third, key = "a", deleted = true },
    }, changes_since(0))
  end)

  it("begin behind the version that is given, or at the beginning", function()
    local first = assert(db:put("a", "1"))
    assert(db:put("b", "2"))
    local third = assert(db:put("c", "3"))
    assert.equals("a=1 b=2 c=3", told(0))
    assert.equals("a=1 b=2 c=3", told(nil))
    assert.equals("b=2 c=3", told(first))
    assert.equals("", told(third))
    assert.equals("", told(third + 1000))
    assert.equals("", told(math.maxinteger))
  end)

  it("of an empty store are none", function()
    assert.equals("", told(0))
  end)

  it("hold what was written over, as long as it is on disk", function()
    for i = 1, 5 do assert(db:put("a", tostring(i))) end
    assert.equals("a=1 a=2 a=3 a=4 a=5", told(0))
  end)

  it("end with what was written when they were asked for", function()
    assert(db:put("a", "1"))
    local seen = 0
    for change in db:changes(0) do
      seen = seen + 1
      if seen < 100 then assert(db:put("b", change.value)) end
    end
    assert.equals(1, seen)
  end)

  it("hold the writes of a batch one by one", function()
    assert(db:batch():put("a", "1"):put("b", "2"):delete("a"):commit())
    assert(db:transaction(function(tx) tx:put("c", "3") end))
    assert.equals("a=1 b=2 -a c=3", told(0))
    assert.equals("b=2 -a c=3", told(1))
  end)

  it("can be resumed after every one, and after reopening", function()
    local expected = {}
    for i = 1, 60 do
      local version = assert(db:put("k" .. i % 7, ("%d:"):format(i):rep(10)))
      expected[#expected + 1] = version
    end
    reopen()
    assert(db:put("last", "1"))
    expected[#expected + 1] = db:stats().version
    local seen, since = {}, 0
    while true do
      local next_change, changes <close> = assert(db:changes(since))
      local change = next_change(changes)
      if not change then break end
      since = change.version
      seen[#seen + 1] = since
      if #seen % 20 == 0 then reopen() end
    end
    assert.same(expected, seen)
  end)

  it("are many: more than are collected at once", function()
    reopen { segment_size = 65536 }
    local batch = db:batch()
    for i = 1, 40000 do batch:put("k" .. i % 1000, tostring(i)) end
    assert(batch:commit())
    local last, count = 0, 0
    for change in db:changes(0) do
      assert(change.version == last + 1)
      last, count = change.version, count + 1
    end
    assert.equals(40000, count)
  end)

  it("replayed give the store", function()
    math.randomseed(7)
    for i = 1, 300 do
      local key = "k" .. math.random(20)
      if math.random() < 0.3 then db:delete(key) else assert(db:put(key, tostring(i))) end
    end
    local copy = {}
    for change in db:changes(0) do copy[change.key] = change.value end
    contents.check(db, copy)
  end)
end)

describe("where merges have dropped history", function()
  it("that is said at once: nil, a message, notfound", function()
    local first = assert(db:put("a", "1"))
    assert(db:put("a", "2"))
    local third = assert(db:put("b", "3"))
    merge_all()
    local next_change, message, code = db:changes(0)
    assert.is_nil(next_change)
    assert.is_string(message)
    assert.equals(bitcask.errors.notfound, code)
    -- What was dropped is the first: whoever knows that one misses nothing.
    assert.equals("a=2 b=3", told(first))
    assert.equals("b=3", told(third - 1))
    assert.equals("", told(third))
    reopen()
    assert.equals("notfound", select(3, db:changes(0)))
    assert.equals("a=2 b=3", told(first))
  end)

  it("but a merge that drops nothing loses nothing", function()
    for i = 1, 20 do assert(db:put("k" .. i, ("x"):rep(100))) end
    local before = changes_since(0)
    merge_all()
    assert.same(before, changes_since(0))
    reopen()
    assert.same(before, changes_since(0))
  end)

  it("a tombstone that was dropped is history, too", function()
    assert(db:put("a", "1"))
    local tombstone = assert(db:delete "a")
    assert(db:put("b", "2"))
    merge_all()
    assert.equals("notfound", select(3, db:changes(0)))
    assert.equals("notfound", select(3, db:changes(tombstone - 1)))
    assert.equals("b=2", told(tombstone))
  end)

  it("on the way, the iterator raises, having passed over nothing", function()
    reopen { segment_size = 65536 }
    local batch = db:batch()
    for i = 1, 40000 do batch:put("k" .. i % 100, tostring(i)) end
    assert(batch:commit())
    local last = 0
    raises("dropped", function()
      for change in db:changes(0) do
        assert(change.version == last + 1, "passed over something")
        last = change.version
        if last == 10 then merge_all() end
      end
    end)
    assert.is_true(last >= 10 and last < 40000)
    assert.equals("notfound", select(3, db:changes(last)))
  end)

  it("what was handed out already is not asked for again", function()
    for i = 1, 100 do assert(db:put("k" .. i % 10, tostring(i))) end
    local count = 0
    for change in db:changes(0) do
      count = count + 1
      assert.equals(tostring(change.version), change.value)
      if count == 1 then merge_all() end
    end
    assert.equals(100, count)
    assert.equals("notfound", select(3, db:changes(0)))
    assert.equals(10, #changes_since(90))
  end)
end)

describe("the handle of changes", function()
  it("closes itself when a loop is left, and when it is collected", function()
    for i = 1, 50 do assert(db:put("k" .. i, ("x"):rep(100))) end
    for _ in db:changes(0) do break end
    for _ = 1, 100 do db:changes(0) end
    collectgarbage()
    local _, changes = db:changes(0)
    assert.equals("changes", bitcask.type(changes))
    assert.matches("^bitcask changes %(/", tostring(changes))
    assert.is_true(changes:close())
    assert.is_true(changes:close())
    assert.equals("closed changes", bitcask.type(changes))
    assert.equals("bitcask changes (closed)", tostring(changes))
  end)

  it("raises once it is closed, or its store is; and answers nil at the end", function()
    assert(db:put("a", "1"))
    local next_change, changes = db:changes(0)
    assert(next_change(changes))
    assert.is_nil(next_change(changes))
    assert.is_nil(next_change(changes))
    changes:close()
    raises("attempt to use closed changes", next_change, changes)
    next_change, changes = db:changes(0)
    db:close()
    raises("attempt to use closed changes", next_change, changes)
    raises("closed store", db.changes, db, 0)
  end)

  it("raises for misuse", function()
    for _, since in ipairs { -1, 1.5, "1", {}, true } do
      raises("a version should be an integer from 0", db.changes, db, since)
    end
    local next_change, changes = db:changes(0)
    raises("", next_change, db)
    raises("", next_change)
    raises("", db.changes, changes)
  end)

  it("raises at a damaged record, and goes on behind it when asked", function()
    assert(db:put("a", "the first of them"))
    assert(db:put("b", "a value that will be damaged"))
    assert(db:put("c", "3"))
    assert(db:seal() ~= nil)
    scratch.damage(path, "will be damaged")
    local next_change, changes <close> = assert(db:changes(0))
    assert.equals("a", next_change(changes).key)
    raises("", next_change, changes)
    assert.equals("c", next_change(changes).key)
    assert.is_nil(next_change(changes))
  end)
end)
