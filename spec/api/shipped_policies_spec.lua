-- Every shipped policy in charge of a real store: it comes to rest, and holds the disk.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local random = require "spec.support.random"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local shipped = require "spec.support.shipped"

local segment_size <const> = 8192

describe("a store in the hands of a shipped policy,", function()
  after_each(ramdisk.clean)

  local seed = random.begin()

  local function open(policy, path)
    local failures = {}
    local db = assert(bitcask.open(path, {
      segment_size = segment_size, policy = policy,
      on_event = function(event)
        if event.kind == "error" then failures[#failures + 1] = event.message end
      end,
    }))
    return db, failures
  end

  -- Puts, deletes, batches and keys that expire, with reopenings in between.
  local function live(db, expected)
    for i = 1, 3000 do
      local key = "k" .. math.random(150)
      local what = math.random(12)
      if what <= 3 then
        assert(db:delete(key) ~= nil)
        expected[key] = nil
      elseif what == 4 then
        assert(db:put("short" .. i, "lived", { ttl = 0.001 }))
      elseif what == 5 then
        local value = random.bytes(300)
        assert(db:batch():put(key, value):delete("k1"):put("k2", value):commit())
        expected[key], expected.k1, expected.k2 = value, nil, value
        if key == "k1" then expected[key] = nil end
      else
        expected[key] = random.bytes(600)
        assert(db:put(key, expected[key]))
      end
      if math.random(200) == 1 then assert(db:seal() ~= nil) end
    end
  end

  -- Until a hundred calls have changed nothing.
  local function rest(db)
    local calm, before, merges = 0, nil, 0
    eventually(function()
      local stats = db:stats()
      local now = ("%d %d %d"):format(stats.merges, stats.segments, stats.bytes)
      calm = now == before and stats.merging == 0 and calm + 1 or 0
      before, merges = now, stats.merges
      return calm > 100
    end, "rest")
    return merges
  end

  for name, policy in pairs(shipped) do
    it(("S34 comes to rest when nobody writes: %s (SEED=%d)"):format(name, seed), function()
      local path, expected = ramdisk.path(), {}
      for _ = 1, 2 do
        local db, failures = open(policy, path)
        live(db, expected)
        assert(db:seal() ~= nil)
        if name ~= "never" and name ~= "expiry" then
          eventually(function() return db:stats().merges > 0 end, "a merge")
        end
        rest(db)
        -- On a busy machine the background may have more to do, and not have begun yet.
        eventually(function() return #assert(db:maintain()) == 0 end, "nothing to do")
        local merges = db:stats().merges
        for _ = 1, 3 do
          assert.same({}, assert(db:maintain()))
        end
        assert.equals(merges, rest(db))
        assert.same({}, failures)
        contents.check(db, expected)
        assert(db:close())
      end
    end)
  end

  for name, policy in pairs(shipped) do
    if name ~= "expiry" and name ~= "never" then
      it("S37 takes bounded space under writes for ever to a few keys: " .. name, function()
        local path = ramdisk.path()
        local db, failures = open(policy, path)
        for round = 1, 20 do
          for i = 1, 1000 do
            assert(db:put("hot" .. i % 14, ("v"):rep(100)))
          end
          rest(db)
          local bytes = db:segments().bytes
          assert.is_true(bytes < 8 * segment_size, ("round %d: %d bytes"):format(round, bytes))
        end
        assert.equals(14, db:count())
        assert.is_true(scratch.size(path, "%.seg$") < 12 * segment_size)
        assert.same({}, failures)
        assert(db:close())
      end)
    end
  end
end)
