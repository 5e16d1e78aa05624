local accounting = require "bitcask.lab.accounting"
local policy = require "bitcask.policy"
local random = require "spec.support.random"
local shipped = require "spec.support.shipped"

local simulate = policy.simulate

local function near(expected, value, tolerance)
  assert(math.abs(value - expected) <= tolerance, ("%s is not %s"):format(value, expected))
end

describe("a simulation", function()
  it("without merges writes nothing but what users write", function()
    local report = assert(simulate(policy.never(), { kind = "uniform", keys = 100, writes = 900 }))
    assert.equals(1, report.write_amplification)
    assert.equals(0, report.merges)
    assert.equals(900 * 144, report.user_bytes)
    assert.equals(1000 * 144, report.bytes)
    assert.equals(100 * 144, report.live_bytes)
    near(10, report.space_amplification, 1e-9)
    near(5.5, report.mean_space_amplification, 0.02)
  end)

  it("of one round of overwrites after the other copies nothing", function()
    local report = assert(simulate(policy.default(),
      { kind = "sequential", keys = 4000, writes = 12000 }))
    assert.equals(1, report.write_amplification)
    assert.is_true(report.merges > 60)
    assert.is_true(report.space_amplification < 1.1)
  end)

  it("counts what merges copy", function()
    -- Segments of eight records; the second is sealed for the fifth overwrite.
    local function first_of_two(store)
      if #store.segments == 2 then return { store.segments[1].id } end
    end
    local report = assert(simulate(first_of_two,
      { kind = "sequential", keys = 12, writes = 5, segment_size = 64 + 8 * 144 }))
    assert.equals(1, report.merges)
    assert.equals(3 * 144, report.merge_bytes)
    assert.equals((5 + 3) / 5, report.write_amplification)
    assert.equals((17 - 5) * 144, report.bytes)
    assert.equals((17 + 3) * 144, report.peak_bytes)
  end)

  it("gives series of the figures over time, and a log of the merges", function()
    local report = assert(simulate(policy.default(),
      { kind = "zipf", keys = 1000, writes = 10000 }))
    local series = report.series
    for name, values in pairs(series) do
      assert.equals(#series.writes, #values, name)
    end
    assert.is_true(#series.writes > 900 and #series.writes < 1100)
    assert.equals(10000, series.writes[#series.writes])
    assert.equals(report.bytes, series.bytes[#series.bytes])
    assert.equals(report.merges, #report.log)
    local written = 0
    for _, merge in ipairs(report.log) do
      written = written + merge.bytes_written
      assert.is_string(merge.reason)
    end
    assert.equals(report.merge_bytes, written)
  end)

  it("leaves the warm-up out of the figures", function()
    local function play(warmup)
      return assert(simulate(policy.default(),
        { kind = "uniform", keys = 1000, writes = 8000, warmup = warmup }))
    end
    local all, late = play(0), play(4000)
    assert.equals(all.user_bytes, 2 * late.user_bytes)
    assert.is_true(all.write_amplification < late.write_amplification)
    assert.equals(all.bytes, late.bytes)
  end)

  it("is the same every time, and another one with another seed", function()
    local function play(seed)
      local workload = { kind = "zipf", keys = 500, writes = 4000, seed = seed }
      return assert(simulate(policy.default(), workload)).merge_bytes
    end
    assert.equals(play(1), play(1))
    assert.are_not.equal(play(1), play(2))
  end)

  it("lets keys expire", function()
    local report = assert(simulate(policy.expiry(),
      { kind = "series", keys = 1000, writes = 8000 }))
    assert.equals(1, report.write_amplification)
    assert.equals(1000, report.description.keys)
    assert.is_true(report.space_amplification < 1.1)
  end)
end)

describe("a simulation refuses, as a policy's failure,", function()
  local workload = { kind = "uniform", keys = 100, writes = 10000 }

  local function refused(decide, given, pattern)
    local report, message, code = simulate(decide, given)
    assert.is_nil(report)
    assert.equals("policy", code)
    assert(message:find(pattern), message)
  end

  it("a policy that raises", function()
    refused(function() error("no idea", 0) end, workload, "^the policy failed: no idea$")
    refused(function() error {} end, workload, "^the policy failed: table")
  end)

  it("a policy that never answers", function()
    refused(function() while true do end end, workload, "instructions")
    refused(function()
      while true do
        pcall(function() while true do end end)
      end
    end, workload, "instructions")
  end)

  it("a warm-up that leaves nothing to measure", function()
    refused(function() end, { kind = "zipf", writes = 10, warmup = 10 }, "fewer than the writes")
  end)

  it("a plan of nonsense", function()
    refused(function() return "all" end, workload, "a plan should be a table")
    refused(function() return { 12345 } end, workload, "there is no segment 12345")
    refused(function(store) return { (store.active or { id = 999 }).id } end, workload, "segment")
    refused(function(store)
      local id = store.segments[1].id
      return { { id }, { id } }
    end, workload, "named twice")
  end)

  it("a workload that makes no sense", function()
    local default = policy.default()
    refused(default, {}, "needs a kind: one of deletes, expiring")
    refused(default, { kind = "unknown" }, "should be one of deletes, expiring")
    refused(default, { kind = "zipf", theta = 1 }, "theta")
    refused(default, { kind = "uniform", keys = 0 }, "keys")
    refused(default, { kind = "uniform", speed = 1 }, "unknown option 'speed' %(known: deletes")
    refused(default, { kind = "uniform", value_size = { 5, 1 } }, "value_size")
    refused(default, { kind = "trace" }, "needs a path")
    refused(default, { kind = "trace", path = "/nowhere" }, "/nowhere")
  end)

  it("but raises for what is no policy and no workload at all", function()
    assert.is_false(pcall(simulate, "default", workload))
    assert.is_false(pcall(simulate, policy.default(), "uniform"))
  end)
end)

describe("every policy", function()
  -- A store with a past: puts, deletes and keys that expire, of all ages.
  local function store_with_past(seed)
    local even = math.random
    math.randomseed(seed)
    local store = accounting.new {
      segment_size = 8192, tombstone_size = function() return 48 end,
    }
    for i = 1, even(5000) do
      store:advance(i / 10)
      local key = even(200)
      local what = even(10)
      if what <= 3 then
        store:delete(key)
      elseif what == 4 then
        store:put(key, 96, store.now + even(100))
      else
        store:put(key, 8 * even(8, 100))
      end
      if even(100) == 1 then store:seal() end
    end
    return store
  end

  local seed = random.begin()

  for name, decide in pairs(shipped) do
    it(("S34 comes to rest when nobody writes: %s (SEED=%d)"):format(name, seed), function()
      for round = 1, random.effort(4) do
        local store = store_with_past(seed + round)
        local plan
        for _ = 1, 500 do
          plan = decide(store:description())
          if not plan then break end
          for _, ids in ipairs(plan) do store:merge(ids) end
        end
        assert(plan == nil, ("it has not come to rest, round %d"):format(round))
      end
    end)
  end

  for name, decide in pairs(shipped) do
    if name ~= "expiry" and name ~= "never" then
      it("S37 bounds the disk under writes for ever to a few keys: " .. name, function()
        local report = assert(simulate(decide,
          { kind = "uniform", keys = 14, writes = 10000, segment_size = 4096 }))
        -- A handful of segments, however long it goes on.
        assert.is_true(report.peak_bytes < 8 * 4096, report.peak_bytes)
      end)
    end
  end
end)

describe("the default policy", function()
  for _, kind in ipairs { "uniform", "zipf" } do
    for _, segments in ipairs { 10, 40, 100 } do
      it(("stays below twice the live data on %s overwrites of %d segments' data")
        :format(kind, segments), function()
        local report = assert(simulate(policy.default(), {
          kind = kind, keys = 5000, writes = 40000, warmup = 10000,
          segment_size = 5000 * 144 // segments,
        }))
        assert.is_true(report.space_amplification < 2, report.space_amplification)
        assert.is_true(report.write_amplification < 2, report.write_amplification)
      end)
    end
  end

  for _, kind in ipairs { "uniform", "zipf" } do
    it(("does so on %s overwrites of data that would fit into one segment"):format(kind), function()
      local report = assert(simulate(policy.default(), {
        kind = kind, keys = 4000, value_size = 4096, writes = 40000, warmup = 10000,
        segment_size = 64 << 20,
      }))
      assert.is_true(report.space_amplification < 2, report.space_amplification)
      assert.is_true(report.write_amplification < 2, report.write_amplification)
    end)
  end

  it("copies nothing where nothing dies, and makes no crowd of segments", function()
    local report = assert(simulate(policy.default(), {
      kind = "series", ttl = math.huge, keys = 20000, value_size = 8192, writes = 20000,
      segment_size = 64 << 20,
    }))
    assert.equals(1, report.write_amplification)
    assert.is_true(#report.description.segments < 64)
  end)

  it("gives nearly all space back when everything is deleted", function()
    local store = accounting.new { segment_size = 8192, tombstone_size = function() return 48 end }
    for key = 1, 2000 do store:put(key, 144) end
    for key = 1, 2000 do store:delete(key) end
    store:seal()
    for _ = 1, 100 do
      local plan = policy.default()(store:description())
      if not plan then break end
      for _, ids in ipairs(plan) do store:merge(ids) end
    end
    assert.equals(0, store.bytes)
  end)
end)
