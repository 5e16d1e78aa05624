local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local scratch = require "spec.support.scratch"

describe("reading and writing", function()
  local db

  before_each(function()
    db = assert(bitcask.open(scratch.path(), { segment_size = 4096 }))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("put then get gives the value, and the version of the put", function()
    local version = assert(db:put("a", "1"))
    local value, of_value = db:get "a"
    assert.equals("1", value)
    assert.equals(version, of_value)
    assert.equals("integer", math.type(version))
  end)

  it("put again gives the newer value", function()
    assert(db:put("a", "1"))
    assert(db:put("a", "2"))
    assert.equals("2", (db:get "a"))
    assert.equals(1, db:count())
  end)

  it("versions are unique and rise, over all writes and reopenings", function()
    local path = scratch.path()
    local last = 0
    for _ = 1, 3 do
      local store <close> = assert(bitcask.open(path, { segment_size = 256 }))
      for i = 1, 20 do
        local version = assert(store:put("k" .. i % 3, "v"))
        assert.is_truthy(version > last)
        last = version
        if i % 5 == 0 then
          version = assert(store:delete("k" .. i % 3))
          assert.is_truthy(version > last)
          last = version
        end
        if i % 7 == 0 then assert(store:merge()) end
      end
    end
  end)

  it("delete gives the tombstone's version, and false where there was nothing", function()
    local version = assert(db:put("a", "1"))
    assert.is_truthy(db:delete "a" > version)
    assert.is_false(db:delete "a")
    assert.is_false(db:delete "b")
    assert.is_nil(db:get "a")
    assert.is_false(db:has "a")
    assert.is_nil(db:stat "a")
    assert.equals(0, db:count())
  end)

  it("delete of nothing writes nothing", function()
    assert(db:put("a", "1"))
    local before = db:stats()
    for _ = 1, 100 do
      db:delete "b"
    end
    local after = db:stats()
    assert.equals(before.bytes, after.bytes)
    assert.equals(before.version, after.version)
  end)

  it("put after delete is there again", function()
    assert(db:put("a", "1"))
    assert(db:delete "a")
    assert(db:put("a", "2"))
    assert.equals("2", (db:get "a"))
  end)

  it("stat tells of a key without reading its value", function()
    local version = assert(db:put("a", ("x"):rep(1000)))
    local stat = db:stat "a"
    assert.equals(version, stat.version)
    assert.equals(1000, stat.size)
    assert.is_nil(stat.expires)
    assert.equals("integer", math.type(stat.segment))
    assert.equals("integer", math.type(stat.offset))
  end)

  it("count and # are the number of keys", function()
    for i = 1, 10 do
      assert(db:put("k" .. i, ""))
      assert.equals(i, db:count())
      assert.equals(i, #db)
    end
    db:delete "k1"
    assert.equals(9, #db)
  end)

  it("get_many gives a table of those that are there", function()
    assert(db:put("a", "1"))
    assert(db:put("b", ""))
    assert(db:put("c", ("c"):rep(100000)))
    assert.same({}, db:get_many {})
    assert.same({ a = "1", b = "" }, db:get_many { "a", "b", "nope", "a" })
    assert.equals(("c"):rep(100000), db:get_many({ "c" }).c)
  end)

  it("get_many takes many keys, over many segments", function()
    local keys, expected = {}, {}
    for i = 1, 1000 do
      keys[i] = "k" .. i
      expected[keys[i]] = ("v"):rep(i % 50)
      assert(db:put(keys[i], expected[keys[i]]))
    end
    assert.same(expected, db:get_many(keys))
  end)

  it("values of every size come back", function()
    local sizes = { 0, 1, 4095, 4096, 4097, 65535, 65536, 1 << 20, (1 << 20) + 1, 5 << 20 }
    for _, size in ipairs(sizes) do
      assert(db:put("k" .. size, ("v"):rep(size)))
    end
    for _, size in ipairs(sizes) do
      assert.equals(size, #db:get("k" .. size))
      assert.equals(size, db:stat("k" .. size).size)
    end
    contents.check(db, contents.of(db))
  end)

  -- Each way that a record is read: plain, one that expires, part of a batch, and unchecked.
  for name, put in pairs {
    plain = function(store, key, value) return store:put(key, value) end,
    expiring = function(store, key, value) return store:put(key, value, { ttl = 1000 }) end,
    batched = function(store, key, value)
      return store:batch():put(key, value):put("beside", "it"):commit()
    end,
  } do
    it("every small value under every small key comes back whole: " .. name, function()
      for _, verify in ipairs { true, false } do
        local store <close> = assert(bitcask.open(scratch.path(), { verify = verify }))
        for key_size = 0, 40 do
          local keys, expected = {}, {}
          for value_size = key_size % 3, 300, 3 do
            local key = ("%03d"):format(value_size):rep(14):sub(1, key_size)
            local value = ("%d:"):format(key_size * 1000 + value_size):rep(75):sub(1, value_size)
            assert(put(store, key, value))
            assert.equals(value, (store:get(key)))
            keys[#keys + 1], expected[key] = key, value
          end
          assert.same(expected, store:get_many(keys))
        end
      end
    end)
  end

  it("keys that differ in one byte are different, whatever their hash", function()
    for size = 1, 40 do
      local store <close> = assert(bitcask.open(scratch.path(), { hash = function() return 7 end }))
      local key = ("k"):rep(size)
      assert(store:put(key, "value"))
      for at = 1, size do
        assert.is_nil((store:get(key:sub(1, at - 1) .. "K" .. key:sub(at + 1))))
      end
      assert.is_nil((store:get(key .. "k")))
      assert.is_nil((store:get(key:sub(2))))
      assert.equals("value", (store:get(key)))
    end
  end)

  it("keys of every size come back", function()
    for _, size in ipairs { 0, 1, 255, 256, 65534, 65535 } do
      assert(db:put(("k"):rep(size), tostring(size)))
    end
    for _, size in ipairs { 0, 1, 255, 256, 65534, 65535 } do
      assert.equals(tostring(size), (db:get(("k"):rep(size))))
    end
  end)

  it("sync gives true", function()
    assert(db:put("a", "1"))
    assert.is_true(db:sync())
    assert.is_true(db:sync())
  end)

  it("seal gives the id of the segment, and false where nothing was written since", function()
    assert(db:put("a", "1"))
    local id = db:seal()
    assert.equals(db:stat("a").segment, id)
    assert.is_false(db:seal())
    assert(db:put("a", "2"))
    assert.is_truthy(db:seal() > id)
  end)

  it("refresh of a writer gives true, and changes nothing", function()
    assert(db:put("a", "1"))
    assert.is_true(db:refresh())
    assert.equals("1", (db:get "a"))
  end)

  it("works from any coroutine", function()
    local function write(i)
      assert(db:put("k" .. i, "v" .. i))
      coroutine.yield()
      return (db:get("k" .. i))
    end
    local threads = {}
    for i = 1, 20 do
      threads[i] = coroutine.create(write)
      assert(coroutine.resume(threads[i], i))
    end
    for i = 1, 20 do
      assert.equals("v" .. i, select(2, coroutine.resume(threads[i])))
    end
  end)

  it("counts what it does", function()
    local before = db:stats()
    assert(db:put("a", "1"))
    db:get "a"
    db:get "b"
    db:delete "a"
    local after = db:stats()
    assert.equals(before.puts + 1, after.puts)
    assert.equals(before.deletes + 1, after.deletes)
    assert.equals(before.gets + 2, after.gets)
    for name, value in pairs(after) do
      assert.equals("integer", math.type(value), name)
    end
  end)
end)

describe("iterating", function()
  local db

  before_each(function()
    db = assert(bitcask.open(scratch.path(), { segment_size = 512 }))
    for i = 1, 50 do
      assert(db:put(("%s%d"):format(i % 2 == 0 and "even" or "odd", i), "v" .. i))
    end
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("pairs gives every pair once, with its version", function()
    local seen = 0
    for key, value, version in db:pairs() do
      assert.equals("v" .. key:match "%d+", value)
      assert.equals(db:stat(key).version, version)
      seen = seen + 1
    end
    assert.equals(50, seen)
  end)

  it("pairs(db) is the same", function()
    local seen = {}
    for key, value in pairs(db) do
      seen[key] = value
    end
    assert.same(contents.of(db), seen)
  end)

  it("keys gives every key once", function()
    local seen = {}
    for key, nothing in db:keys() do
      assert.is_nil(nothing)
      assert.is_nil(seen[key])
      seen[key] = true
    end
    assert.equals(50, #contents.keys(seen))
  end)

  it("takes a prefix", function()
    local function count(...)
      local n = 0
      for key in db:keys(...) do
        assert.is_truthy(key:find((...).prefix, 1, true) == 1)
        n = n + 1
      end
      return n
    end
    assert.equals(25, count { prefix = "even" })
    assert.equals(11, count { prefix = "odd1" } + count { prefix = "even1" })
    assert.equals(50, count { prefix = "" })
    assert.equals(0, count { prefix = "even10000" })
    for key, value in db:pairs { prefix = "odd7" } do
      assert.equals("odd7", key)
      assert.equals("v7", value)
    end
  end)

  it("of an empty store ends at once", function()
    local empty <close> = assert(bitcask.open(scratch.path()))
    for _ in empty:pairs() do
      error "there is nothing"
    end
    for _ in empty:keys() do
      error "there is nothing"
    end
  end)

  it("is over the store as it was: the loop's own writes change nothing of it", function()
    local expected = contents.of(db)
    local seen = {}
    for key, value in db:pairs() do
      seen[key] = value
      assert(db:put(key, "changed"))
      assert(db:put("new" .. key, "new"))
      db:delete(key)
    end
    assert.same(expected, seen)
    assert.equals(50, db:count())
  end)

  it("is over the store as it was: rotation and merges change nothing of it", function()
    local expected = contents.of(db)
    local seen, n = {}, 0
    for key, value in db:pairs() do
      n = n + 1
      seen[key] = value
      if n % 10 == 0 then
        for other in pairs(expected) do
          assert(db:put(other, "changed" .. n))
        end
        assert(db:seal() ~= nil)
        assert(db:merge())
      end
    end
    assert.same(expected, seen)
  end)

  it("left by break gives its resources back at once", function()
    local before = db:stats().snapshots
    for _ in db:pairs() do
      assert.equals(before + 1, db:stats().snapshots)
      break
    end
    assert.equals(before, db:stats().snapshots)
  end)

  it("left by an error gives its resources back at once", function()
    local before = db:stats().snapshots
    assert.is_false(pcall(function()
      for _ in db:pairs() do
        error "enough"
      end
    end))
    assert.equals(before, db:stats().snapshots)
  end)

  it("that is abandoned gives its resources back when it is collected", function()
    local before = db:stats().snapshots
    for _ = 1, 10 do
      local next, iterator = db:pairs()
      next(iterator)
      for _ in pairs(db) do
        break
      end
    end
    collectgarbage()
    collectgarbage()
    assert.equals(before, db:stats().snapshots)
  end)

  it("at its end gives nil again and again, and its resources back", function()
    local before = db:stats().snapshots
    local next, iterator = db:keys()
    for _ = 1, 50 do
      assert.is_string(next(iterator))
    end
    for _ = 1, 3 do
      assert.is_nil(next(iterator))
    end
    assert.equals(before, db:stats().snapshots)
  end)

  it("may yield in the loop", function()
    local walk = coroutine.wrap(function()
      for key in db:keys() do
        coroutine.yield(key)
      end
    end)
    local seen = 0
    for _ in walk do
      seen = seen + 1
    end
    assert.equals(50, seen)
  end)

  it("may be nested", function()
    local pairs_seen = 0
    for _ in db:keys { prefix = "odd1" } do
      for _ in db:keys { prefix = "even1" } do
        pairs_seen = pairs_seen + 1
      end
    end
    assert.equals(6 * 5, pairs_seen)
  end)

  it("is ended when its store is closed within, with an error", function()
    local ok, message = pcall(function()
      for _ in db:pairs() do
        db:close()
      end
    end)
    assert.is_false(ok)
    assert.matches("closed iterator", message)
  end)
end)

describe("the store as a table", function()
  local db, t

  before_each(function()
    db = assert(bitcask.open(scratch.path()))
    t = db:table()
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("reads, writes and deletes", function()
    t.ada = "1815"
    assert.equals("1815", t.ada)
    assert.equals("1815", (db:get "ada"))
    t.ada = nil
    assert.is_nil(t.ada)
    assert.is_nil(db:get "ada")
    t.nothing = nil
    assert.equals(0, db:count())
  end)

  it("is walked by pairs, and counted by #", function()
    t.a, t.b = "1", "2"
    local seen = {}
    for key, value in pairs(t) do
      seen[key] = value
    end
    assert.same({ a = "1", b = "2" }, seen)
    assert.equals(2, #t)
  end)

  it("raises what fails", function()
    assert.has_error(function() t[1] = "one" end)
    assert.has_error(function() t.a = 1 end)
    assert.has_error(function() return t[1] end)
    assert.has_error(function() t[("k"):rep(65536)] = "v" end)
    db:close()
    assert.has_error(function() return t.a end)
    assert.has_error(function() t.a = "1" end)
    assert.has_error(function() return pairs(t) end)
  end)
end)
