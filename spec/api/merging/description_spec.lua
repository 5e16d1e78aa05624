-- What a policy is told of a store.

local bitcask = require "bitcask"
local eventually = require "spec.support.eventually"
local scratch = require "spec.support.scratch"

describe("the description of a store", function()
  local db

  before_each(function()
    db = assert(bitcask.open(scratch.path(), { segment_size = 512 }))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("of an empty one is empty", function()
    local description = db:segments()
    assert.same({}, description.segments)
    assert.equals(0, description.bytes)
    assert.equals(0, description.keys)
  end)

  it("tells the segment size, and how many bytes tombstones take", function()
    assert(db:put("key", "value"))
    assert(db:delete("key"))
    local description = db:segments()
    assert.equals(512, description.segment_size)
    assert.equals(1, description.active.tombstones)
    assert.equals(32, description.active.tombstone_bytes)
  end)

  it("has the sealed segments, oldest first, and the active one apart", function()
    for i = 1, 40 do
      assert(db:put("k" .. i % 30, ("v"):rep(50)))
    end
    local before = os.time()
    local description = db:segments()
    assert.is_truthy(#description.segments > 2)
    assert.equals(30, description.keys)
    assert.is_truthy(math.abs(description.now - before) < 10)
    local all = table.move(description.segments, 1, #description.segments, 1, {})
    if description.active then all[#all + 1] = description.active end
    local sums, version = { bytes = 0, live_bytes = 0, dead_bytes = 0, live_records = 0 }, 0
    for _, segment in ipairs(all) do
      assert.equals("integer", math.type(segment.id))
      assert.is_truthy(segment.min_version > version)
      assert.is_truthy(segment.max_version >= segment.min_version)
      version = segment.max_version
      assert.is_truthy(segment.live_records <= segment.records)
      assert.is_truthy(segment.live_bytes <= segment.bytes)
      assert.is_truthy(math.abs(segment.created - before) < 10)
      assert.is_boolean(segment.pinned)
      for name in pairs(sums) do
        sums[name] = sums[name] + segment[name]
      end
    end
    for _, segment in ipairs(description.segments) do
      assert.is_truthy(segment.sealed >= segment.created)
    end
    assert.equals(30, sums.live_records)
    for _, name in ipairs { "bytes", "live_bytes", "dead_bytes" } do
      assert.equals(sums[name], description[name])
    end
  end)

  it("tells the time of the store's disk, by which segments are sealed and keys expire", function()
    local disk = bitcask.sim.disk { seed = 1 }
    local simulated <close> = assert(bitcask.open("store", { disk = disk, policy = false }))
    local before = simulated:segments().now
    disk:advance(3600)
    assert.equals(before + 3600, simulated:segments().now)
    assert(simulated:put("a", "1"))
    assert(simulated:seal())
    assert.equals(before + 3600, simulated:segments().segments[1].sealed)
  end)

  it("tells which segments readers hold", function()
    for i = 1, 20 do
      assert(db:put("k" .. i, ("v"):rep(100)))
    end
    local function pinned()
      local count = 0
      for _, segment in ipairs(db:segments().segments) do
        if segment.pinned then count = count + 1 end
      end
      return count
    end
    for _ in db:pairs() do
      assert.is_truthy(pinned() > 0)
      break
    end
    -- What works in the background after a rotation reads segments, too, for a moment.
    eventually(function() return pinned() == 0 end, "the pins to go")
  end)

  it("feeds a policy, whose plan merges", function()
    local function stale_first(store)
      local plan = {}
      for _, segment in ipairs(store.segments) do
        if segment.dead_bytes > 0.5 * segment.bytes then plan[#plan + 1] = segment.id end
      end
      return plan
    end
    assert.equals(0, assert(db:merge(stale_first(db:segments()))).segments_in)
    for i = 1, 100 do
      assert(db:put("k" .. i % 5, ("v"):rep(50)))
    end
    local report = assert(db:merge(stale_first(db:segments())))
    assert.is_truthy(report.segments_in > 0)
    assert.same({}, stale_first(db:segments()))
    assert.equals(5, db:count())
  end)
end)
