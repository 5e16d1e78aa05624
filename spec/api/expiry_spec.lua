-- Time to live. Nothing here sleeps: the clock that the library sees is moved by hand.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tools = require "spec.support.tools"

local clock_is_there, missing = tools.module "spec.clock"
local clock = clock_is_there and require "spec.clock"

local path, db

local function open(options)
  db = assert(bitcask.open(path, options or { segment_size = 1024 }))
  return db
end

local function reopen(options)
  assert(db:close())
  return open(options)
end

local function put(key, value, ttl)
  return assert(db:put(key, value, ttl and { ttl = ttl }))
end

-- Put into a segment of its own.
local function put_alone(key, value, ttl)
  put(key, value, ttl)
  assert(db:seal() ~= nil)
end

local function merge_all()
  assert(db:seal() ~= nil)
  return assert(db:merge(contents.sealed(db)))
end

before_each(function()
  path = ramdisk.path()
  if clock then clock.stop() end
  open()
end)

after_each(function()
  db:close()
  if clock then clock.reset() end
  ramdisk.clean()
  scratch.clean()
end)

-- A case that moves the clock.
local function timed(name, body)
  it(name, function()
    if not clock then return pending(missing) end
    body()
  end)
end

describe("S39 what has expired", function()
  timed("is gone from every way of reading, at its time and not before", function()
    put("short", "1", 10)
    put("long", "2", 1000)
    put("for ever", "3")
    contents.check(db, { short = "1", long = "2", ["for ever"] = "3" })
    clock.move(9.9)
    contents.check(db, { short = "1", long = "2", ["for ever"] = "3" })
    clock.move(0.2)
    assert.is_nil(db:get "short")
    assert.is_false(db:has "short")
    assert.is_nil(db:stat "short")
    assert.is_nil(db:get_many({ "short", "long" }).short)
    contents.check(db, { long = "2", ["for ever"] = "3" })
    clock.move(1000)
    contents.check(db, { ["for ever"] = "3" })
  end)

  timed("is gone from the count, whoever asks first", function()
    for i = 1, 100 do put("k" .. i, "v", i) end
    for i = 1, 99 do
      clock.move(1)
      assert.equals(100 - i, db:count())
    end
    clock.move(1)
    assert.equals(0, #db)
    assert.equals(0, db:stats().keys)
    assert.equals(0, db:stats().expiring)
  end)

  timed("is gone after a restart and a merge, in either order", function()
    put("a", "1", 10)
    put("b", "2")
    reopen()
    contents.check(db, { a = "1", b = "2" })
    merge_all()
    contents.check(db, { a = "1", b = "2" })
    reopen()
    assert.is_not_nil(db:stat("a").expires)
    clock.move(11)
    contents.check(db, { b = "2" })
    reopen()
    contents.check(db, { b = "2" })
    local report = merge_all()
    assert.equals(1, report.records_dropped)
    contents.check(db, { b = "2" })
    reopen()
    contents.check(db, { b = "2" })
  end)

  timed("is no longer there to be deleted, nor for a condition", function()
    local version = put("a", "1", 10)
    clock.move(11)
    assert.is_false(db:delete "a")
    assert.equals("conflict", select(3, db:put("a", "2", { if_version = version })))
    assert(db:put("a", "2", { if_absent = true }))
    contents.check(db, { a = "2" })
  end)

  timed("while it lives, is there for both", function()
    local version = put("a", "1", 10)
    assert.equals("conflict", select(3, db:put("a", "2", { if_absent = true })))
    assert(db:put("a", "2", { if_version = version, ttl = 10 }))
    assert(db:delete "a")
    assert.equals(0, db:count())
  end)

  timed("is hidden from snapshots and iterations that began before", function()
    put("a", "1", 10)
    put("b", "2")
    put("c", "3", 1000)
    local snap <close> = db:snapshot()
    assert.equals(3, #snap)
    put("a", "newer")
    assert.equals("1", (snap:get "a"))
    clock.move(11)
    assert.is_nil(snap:get "a")
    assert.is_false(snap:has "a")
    assert.same({ b = "2", c = "3" }, contents.of(snap))
    assert.equals(2, #snap)
    contents.check(db, { a = "newer", b = "2", c = "3" })
    local count = 0
    for _ in snap:pairs() do
      clock.move(1000)
      count = count + 1
    end
    assert.is_true(count <= 2)
  end)

  timed("in a transaction is as if somebody had deleted it", function()
    put("a", "1", 10)
    local runs = 0
    local found = db:transaction(function(tx)
      runs = runs + 1
      local value = tx:get "a"
      clock.move(11)
      assert(tx:put("b", "1"))
      return value or "none"
    end)
    assert.equals(2, runs)
    assert.equals("none", found)
  end)
end)

describe("S43 the latest write decides", function()
  local cases = {
    { "put without, then with a time to live", { false, 10 }, true },
    { "put with, then without", { 10, false }, false },
    { "a short one, then a long one", { 10, 1000 }, false },
    { "a long one, then a short one", { 1000, 10 }, true },
    { "short, long, short", { 10, 1000, 10 }, true },
    { "with, deleted, without", { 10, "delete", false }, false },
    { "without, deleted, with", { false, "delete", 10 }, true },
  }
  for _, case in ipairs(cases) do
    for _, between in ipairs { "nothing", "a restart", "a merge", "a merge and a restart" } do
      for _, behind in ipairs { "nothing", "a restart", "a merge", "a merge and a restart" } do
        timed(("%s; %s before, %s after"):format(case[1], between, behind), function()
          local function happen(what)
            if what:find "merge" then merge_all() end
            if what:find "restart" then reopen() end
          end
          local last
          for i, ttl in ipairs(case[2]) do
            if ttl == "delete" then
              assert(db:delete "k")
            else
              last = "v" .. i
              put_alone("k", last, ttl or nil)
            end
          end
          happen(between)
          contents.check(db, { k = last })
          clock.move(20)
          happen(behind)
          contents.check(db, not case[3] and { k = last } or {})
          happen(between)
          contents.check(db, not case[3] and { k = last } or {})
        end)
      end
    end
  end

  timed("an expired value uncovers no older one, whichever segments are merged, in any order",
    function()
      -- k: older puts, then one that expires; l: put, deleted, put to expire.
      local function build()
        put_alone("k", "oldest")
        put("other", "x")
        put_alone("k", "old")
        put_alone("l", "old")
        put("k", "expires", 10)
        assert(db:delete "l")
        put_alone("m", "1")
        put_alone("l", "expires", 10)
      end
      for subset = 0, 31 do
        for _, when in ipairs { "before", "after", "both" } do
          path = ramdisk.path()
          reopen()
          build()
          local ids = contents.sealed(db)
          assert.equals(5, #ids)
          local chosen = {}
          for i, id in ipairs(ids) do
            if subset & 1 << i - 1 ~= 0 then chosen[#chosen + 1] = id end
          end
          if when ~= "after" then assert(db:merge(chosen)) end
          clock.move(11)
          local function check()
            contents.check(db, { other = "x", m = "1" })
          end
          check()
          if when == "after" then assert(db:merge(chosen)) end
          if when == "both" then
            -- What the other merge left and what it made, but for one.
            ids = contents.sealed(db)
            table.remove(ids, subset % #ids + 1)
            assert(db:merge(ids))
          end
          check()
          reopen()
          check()
          merge_all()
          check()
          reopen()
          check()
        end
      end
    end)

  timed("a clock that goes back uncovers no older value, before a merge or after it", function()
    for subset = 0, 7 do
      path = ramdisk.path()
      reopen()
      put_alone("k", "old")
      put_alone("k", "older than the newest")
      put_alone("k", "expires", 10)
      local ids = contents.sealed(db)
      local chosen = {}
      for i, id in ipairs(ids) do
        if subset & 1 << i - 1 ~= 0 then chosen[#chosen + 1] = id end
      end
      clock.move(11)
      assert.equals(0, db:count())
      assert(db:merge(chosen))
      clock.move(-11)
      local function check()
        local value = db:get "k"
        assert(value == nil or value == "expires", "an older value came back")
      end
      check()
      reopen()
      check()
      merge_all()
      check()
      clock.move(11)
      reopen()
      assert.is_nil(db:get "k")
      merge_all()
      assert.equals(0, db:count())
      clock.move(-11)
    end
  end)
end)

describe("S40 a put that races with the removal of what has expired", function()
  timed("wins", function()
    for i = 1, 50 do
      put("k" .. i, "old", 10)
    end
    clock.move(11)
    for i = 1, 50 do
      if i % 2 == 0 then assert.is_nil(db:get("k" .. i)) end
      put("k" .. i, "new")
      assert.equals("new", (db:get("k" .. i)))
    end
    assert.equals(50, db:count())
    reopen()
    assert.equals(50, db:count())
  end)

  it("wins in threads as well", function()
    local ok, message = tools.module "spec.threads"
    if not ok then return pending(message) end
    require "spec.threads".run(3, [[
      local number, directory = ...
      local bitcask = require "bitcask"
      local db <close> = assert(bitcask.open(directory))
      for i = 1, 1500 do
        local key = "k" .. i % 10
        if number == 1 then
          assert(db:put(key, "mine", { ttl = 0.001 }))
          assert(db:put(key, "mine for ever"))
          assert(db:get(key) == "mine for ever")
          if i % 100 == 0 then db:merge() end
        else
          local value = db:get(key)
          assert(value == nil or value == "mine" or value == "mine for ever")
          db:count()
        end
      end
    ]], path)
    assert.equals(10, db:count())
  end)
end)

describe("S41 a segment of which all has expired", function()
  timed("is dropped without being rewritten, keys elsewhere stay, tombstones or not", function()
    for _, with_tombstones in ipairs { false, true } do
      path = ramdisk.path()
      reopen { segment_size = 65536 }
      put_alone("keep", "1")
      put_alone("gone", "older")
      for i = 1, 20 do put("k" .. i, ("x"):rep(100), 10) end
      if with_tombstones then assert(db:delete "gone") else put("gone", "newer", 10) end
      local id = assert(db:seal())
      clock.move(11)
      contents.check(db, { keep = "1" })
      assert(db:merge { id })
      contents.check(db, { keep = "1" })
      reopen()
      contents.check(db, { keep = "1" })
      local report = merge_all()
      assert.equals(1, report.records_kept)
      contents.check(db, { keep = "1" })
      reopen()
      contents.check(db, { keep = "1" })
    end
  end)
end)

describe("S44 the space of what has expired", function()
  timed("is counted as dead, and db:merge() finds it without being told", function()
    for i = 1, 200 do put("k" .. i, ("x"):rep(100), 10) end
    put("keep", "1")
    assert(db:seal() ~= nil)
    assert.equals(0, db:merge().segments_in)
    clock.move(11)
    assert.equals(1, db:count())
    assert.is_true(db:segments().dead_bytes > 200 * 100)
    assert.is_true(db:segments().segments[1].expired_bytes > 0)
    local report = assert(db:merge())
    assert.equals(200, report.records_dropped)
    assert.is_true(db:segments().bytes < 200)
    contents.check(db, { keep = "1" })
  end)

  timed("is dated by the last record that expired, after a restart too", function()
    put("early", "1", 5)
    local late = put("late", "1", 10) and db:stat("late").expires
    put("keep", "1")
    assert(db:seal() ~= nil)
    assert.is_nil(db:segments().segments[1].expired)
    clock.move(11)
    assert.equals(late, db:segments().segments[1].expired)
    reopen()
    assert.equals(late, db:segments().segments[1].expired)
  end)

  timed("comes back after a restart, too", function()
    for i = 1, 200 do put("k" .. i, ("x"):rep(100), 10) end
    put("keep", "1")
    assert(db:close())
    clock.move(11)
    open()
    contents.check(db, { keep = "1" })
    assert(db:seal() ~= nil)
    assert(db:merge())
    assert.is_true(scratch.size(path, "seg") < 8192 or db:segments().bytes < 200)
    contents.check(db, { keep = "1" })
  end)
end)

describe("S45 the clock", function()
  timed("may jump ahead and back: what was seen to be gone is not there again", function()
    put("a", "1", 10)
    put("b", "2")
    clock.move(11)
    assert.equals(1, db:count())
    clock.move(-11)
    contents.check(db, { b = "2" })
    merge_all()
    contents.check(db, { b = "2" })
    reopen()
    clock.move(1e6)
    contents.check(db, { b = "2" })
    clock.move(-2e6)
    contents.check(db, { b = "2" })
  end)

  for way, look in pairs {
    get = function() return db:get "a" end,
    has = function() return db:has "a" or nil end,
    stat = function() return db:stat "a" end,
    get_many = function() return db:get_many({ "a" }).a end,
    count = function() return db:count() == 1 or nil end,
    delete = function() return db:delete "a" or nil end,
  } do
    timed("may go back: what was told to be gone stays gone, told by " .. way, function()
      put("a", "1", 10)
      clock.move(11)
      assert.is_nil(look())
      clock.move(-11)
      contents.check(db, {})
    end)
  end

  timed("that goes back lets what was not yet gone live longer, and no shorter", function()
    put("a", "1", 10)
    clock.move(-100)
    contents.check(db, { a = "1" })
    clock.move(109)
    contents.check(db, { a = "1" })
    clock.move(2)
    contents.check(db, {})
  end)
end)

describe("a time to live", function()
  timed("is in seconds, with fractions, and stat tells when it ends", function()
    local now = clock.now()
    put("a", "1", 0.25)
    put("b", "1", 100)
    assert.is_true(math.abs(db:stat("a").expires - now - 0.25) < 0.01)
    assert.is_true(math.abs(db:stat("b").expires - now - 100) < 0.01)
    assert.is_nil(db:stat("a").ttl)
    clock.move(0.2)
    assert.is_true(db:has "a")
    clock.move(0.06)
    assert.is_false(db:has "a")
  end)

  timed("of any length is kept: a thousandth of a second, years, for ever", function()
    put("shortest", "1", 1e-9)
    assert.is_true(db:has "shortest")
    clock.move(0.002)
    assert.is_false(db:has "shortest")
    put("years", "1", 100 * 365 * 86400)
    put("ages", "1", 1e15)
    put("longer", "1", 1e300)
    put("for ever", "1", math.huge)
    put("integer", "1", math.maxinteger)
    clock.move(99 * 365 * 86400)
    assert.equals(5, db:count())
    assert.is_nil(db:stat("for ever").expires)
    reopen()
    clock.move(2 * 365 * 86400)
    assert.equals(4, db:count())
  end)

  timed("may be the store's default, which a write may change, also to never", function()
    reopen { ttl = 10 }
    put("default", "1")
    put("longer", "1", 20)
    put("never", "1", math.huge)
    assert(db:batch():put("batch", "1"):put("batch never", "1", { ttl = math.huge }):commit())
    assert(db:transaction(function(tx)
      assert(tx:put("tx", "1"))
      assert(tx:put("tx never", "1", { ttl = math.huge }))
    end))
    assert.equals(7, db:count())
    clock.move(11)
    contents.check(db, {
      longer = "1", never = "1", ["batch never"] = "1", ["tx never"] = "1",
    })
    clock.move(11)
    reopen { ttl = math.huge }
    put("now for ever", "1")
    clock.move(1e9)
    contents.check(db, {
      never = "1", ["batch never"] = "1", ["tx never"] = "1", ["now for ever"] = "1",
    })
  end)

  it("as a store's default is shared by its handles", function()
    reopen { ttl = 10 }
    local other <close> = assert(bitcask.open(path))
    assert(other:put("a", "1"))
    assert.is_not_nil(db:stat("a").expires)
    local same <close> = assert(bitcask.open(path, { ttl = 10.0 }))
    assert.is_true(same:has "a")
    assert.equals("busy", select(3, bitcask.open(path, { ttl = 11 })))
    assert.equals("busy", select(3, bitcask.open(path, { ttl = math.huge })))
  end)

  it("runs by the real clock as well", function()
    assert(db:put("a", "1", { ttl = 0.03 }))
    if clock then clock.reset() end
    local deadline = os.time() + 10
    repeat until not db:has "a" or os.time() > deadline
    assert.is_nil(db:get "a")
    assert.equals(0, db:count())
  end)

  timed("is in the changes, which tell of what has expired as of anything else", function()
    put("a", "1", 10)
    local expires = db:stat("a").expires
    clock.move(11)
    assert.equals(0, db:count())
    local next_change, changes <close> = assert(db:changes(0))
    assert.same({ version = 1, key = "a", value = "1", deleted = false, expires = expires },
      next_change(changes))
    merge_all()
    assert.equals("notfound", select(3, db:changes(0)))
  end)
end)

describe("the count", function()
  timed("is exact under puts, deletes, expiry, merges and restarts", function()
    math.randomseed(11)
    local expected, now = {}, 0
    for step = 1, 1500 do
      local key = "k" .. math.random(40)
      local chance = math.random(100)
      if chance <= 40 then
        local ttl = math.random(30)
        put(key, "v" .. step, ttl)
        expected[key] = now + ttl
      elseif chance <= 55 then
        put(key, "v" .. step)
        expected[key] = math.huge
      elseif chance <= 70 then
        local was_there = expected[key] and expected[key] > now
        assert.equals(was_there or false, db:delete(key) ~= false)
        expected[key] = nil
      elseif chance <= 90 then
        clock.move(1)
        now = now + 1
      elseif chance <= 94 then
        merge_all()
      elseif chance <= 96 then
        reopen()
      end
      local count = 0
      for _, expires in pairs(expected) do
        if expires > now then count = count + 1 end
      end
      assert(db:count() == count, ("step %d: %d, not %d"):format(step, db:count(), count))
    end
  end)

  it("is exact in another process, where time went on while nobody looked", function()
    put("a", "1", 0.001)
    put("b", "2")
    put("c", "3", 1000)
    assert(db:close())
    local output = child.run([[
      local db <close> = assert(bitcask.open(...))
      while db:has "a" do end
      print(#db, db:get "a", (db:get "b"), db:stat "c".expires > os.time())
    ]], path)
    assert.equals("2\tnil\t2\ttrue\n", output)
    open()
  end)
end)
