-- Situations that broke other stores of this kind: walks while the store changes.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local scratch = require "spec.support.scratch"
local the = require "spec.support.one_store"

local open, restart, put, delete, seal, merge_all =
  the.open, the.restart, the.put, the.delete, the.seal, the.merge_all

before_each(the.begin)
after_each(the.finish)

describe("iteration:", function()
  local old = { k = "v", k2 = "v2", k3 = "v3" }

  it("S46 frozen view: writes, rotation and a merge change nothing of what it yields", function()
    open { segment_size = 256 }
    for key, value in pairs(old) do
      put(key, value)
    end
    local next, iterator = the.db:pairs()
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
    contents.check(the.db, {
      k2 = "changed", k3 = "v3", k4 = "v4", filler0 = ("x"):rep(100), filler1 = ("x"):rep(100),
    })
  end)

  it("S46 many iterators begun at different times see each their own store", function()
    open { segment_size = 256 }
    local walks = {}
    for i = 1, 5 do
      put("k" .. i, ("v"):rep(80))
      if i > 1 then delete("k" .. i - 1) end
      local next, iterator = the.db:pairs()
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
    local _, iterator = the.db:pairs()
    put("k", "new")
    assert.equals("new", (the.db:get "k"))
    delete "k"
    assert.is_nil(the.db:get "k")
    assert.is_false(the.db:has "k")
    assert.equals(0, the.db:count())
    put("k", "newer")
    assert.equals("newer", (the.db:get "k"))
    iterator:close()
    assert.equals("newer", (the.db:get "k"))
  end)

  it("S49 a second handle closes and opens again during a walk", function()
    open()
    for key, value in pairs(old) do
      put(key, value)
    end
    local other = assert(bitcask.open(the.path))
    local seen = {}
    for key, value in the.db:pairs() do
      seen[key] = value
      assert(other:put("k", "changed"))
      other:close()
      other = assert(bitcask.open(the.path))
    end
    other:close()
    assert.same(old, seen)
    assert.equals("changed", (the.db:get "k"))
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
      for key, value in the.db:pairs() do
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
      assert.equals(last, (the.db:get "k"))
      assert.equals(0, the.db:stats().old_versions)
    end
  end)

  it("S51 a walk right after a merge under another walk sees every key", function()
    open { segment_size = 256 }
    for key, value in pairs(old) do
      put(key, value)
      put(key, value)
    end
    local next, iterator = the.db:pairs()
    next(iterator)
    seal()
    merge_all()
    contents.check(the.db, old)
    iterator:close()
    contents.check(the.db, old)
  end)

  it("S52 a key deleted before the walk never appears", function()
    open()
    put("k", "v")
    put("k2", "v2")
    local _, earlier = the.db:pairs()
    delete "k"
    for key in the.db:keys() do
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
      for _ in pairs(the.db) do
        break
      end
    end
    merge_all()
    collectgarbage()
    collectgarbage()
    -- The background may have one for a moment, for its hint file.
    eventually(function() return the.db:stats().pinned_segments == 0 end, "no pins")
    local stats = the.db:stats()
    assert.equals(0, stats.snapshots)
    assert.equals(0, stats.old_versions)
    assert.is_truthy(#scratch.descriptors(the.path) < 20)
  end)

  it("S54 an error, a return and a yield in the loop's body", function()
    open()
    for key, value in pairs(old) do
      put(key, value)
    end
    local object = {}
    local ok, raised = pcall(function()
      for _ in the.db:pairs() do
        error(object)
      end
    end)
    assert.is_false(ok)
    assert.equals(object, raised)
    local function first()
      for key in the.db:keys() do
        return key
      end
    end
    assert.is_string(first())
    local walk = coroutine.create(function()
      for key in the.db:keys() do
        coroutine.yield(key)
      end
    end)
    assert(coroutine.resume(walk))
    assert(coroutine.close(walk))
    assert.equals(0, the.db:stats().snapshots)
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
    contents.check(the.db, expected)
    restart()
    contents.check(the.db, expected)
    seal()
    merge_all()
    contents.check(the.db, expected)
  end)

  it("S56 walking keys reads no values, whatever their length", function()
    open()
    for i = 1, 20 do
      put("k" .. i, ("damaged %d;"):format(i) .. ("v"):rep(100000))
    end
    seal()
    the.db:close()
    scratch.damage(the.path, "damaged 5;")
    open()
    local seen = 0
    for _ in the.db:keys() do
      seen = seen + 1
    end
    assert.equals(20, seen)
    assert.is_true(the.db:has "k5")
    assert.equals(100000 + #"damaged 5;", the.db:stat("k5").size)
    assert.equals("corrupt", (select(3, the.db:get "k5")))
  end)
end)
