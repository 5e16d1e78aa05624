local description = require "spec.support.description"
local policy = require "bitcask.policy"

local function plan(segments, given, opts)
  return policy.default(opts)(description.store(segments, given))
end

local function planned(...)
  return description.ids(plan(...))
end

describe("the default policy", function()
  it("does nothing while the store is not larger than it may be", function()
    assert.is_nil(planned {})
    assert.is_nil(planned { {}, {}, {} })
    assert.is_nil(planned { { dead_bytes = 300 }, { dead_bytes = 300 }, { dead_bytes = 300 } })
  end)

  it("merges when it is, the emptiest of one age first, and no more than needed", function()
    local segments = { { dead_bytes = 500 }, { dead_bytes = 100 }, { dead_bytes = 900 } }
    for _, segment in ipairs(segments) do
      segment.max_version = 500
    end
    assert.same({ 3 }, planned(segments))
    assert.same({ 1, 3 }, planned(segments, nil, { space = 1.2 }))
  end)

  it("takes the older of two that are equally full", function()
    assert.same({ 1 }, planned({ { dead_bytes = 500 }, { dead_bytes = 500 } }, nil,
      { space = 1.9 }))
  end)

  it("drops what holds nothing live, whatever space there is", function()
    local segments = { {}, {}, { dead_bytes = 1000 }, {} }
    assert.same({ 3 }, planned(segments, nil, { space = 100 }))
  end)

  it("leaves alone what would give next to nothing", function()
    local segments = { { dead_bytes = 90 }, { dead_bytes = 90 } }
    assert.is_nil(planned(segments, { bytes = 100000 }))
    assert.same({ 1, 2 }, planned(segments, { bytes = 100000 }, { least = 0.09 }))
  end)

  it("leaves tombstones alone that have to stay, and damaged segments", function()
    local kept = { live_bytes = 0, dead_bytes = 0, tombstones = 20, tombstone_bytes = 1000 }
    assert.is_nil(planned { kept, kept })
    assert.is_nil(planned { { dead_bytes = 1000, damaged = true } })
  end)

  it("tries tombstones of which nobody knows, and drops the rest for nothing", function()
    local unknown = { dead_bytes = 1000, tombstones = 20, tombstone_bytes = 1000 }
    assert.same({ 1 }, planned { unknown })
    assert.same({ { 2 }, { 1 }, reason = "nothing in them, space" },
      plan { unknown, { dead_bytes = 1000 } })
  end)

  it("joins small segments when there are many of a size", function()
    local segments = { { bytes = 1000 } }
    for i = 2, 8 do
      segments[i] = { bytes = 20 + i }
    end
    assert.is_nil(planned(segments))
    segments[9] = { bytes = 30 }
    assert.same({ 2, 3, 4, 5, 6, 7, 8, 9 }, planned(segments))
  end)

  it("never joins what might not become fewer", function()
    local segments = {}
    for i = 1, 8 do
      segments[i] = { bytes = 1000 }
    end
    assert.is_nil(planned(segments))
    -- Eight of a seventh of a segment, however their records fit, become three at most.
    for i = 1, 8 do
      segments[i] = { bytes = 143 }
    end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, planned(segments))
  end)

  it("parts a great deal of work into merges of bounded size, by age", function()
    local segments = {}
    for i = 1, 20 do
      segments[i] = { dead_bytes = 550 }
    end
    local parts = plan(segments)
    assert.is_true(#parts >= 2)
    local last = 0
    for _, ids in ipairs(parts) do
      assert.is_true(450 * #ids <= 4 * 1000)
      for _, id in ipairs(ids) do
        assert.is_true(id > last)
        last = id
      end
    end
  end)

  it("has the active segment sealed sooner where the live data fill few segments", function()
    local mib = 1 << 20
    local function seal(live_mib, segment_size)
      local store = description.store({ { bytes = live_mib * mib } },
        { segment_size = segment_size, active = description.segment(2, {}) })
      local wanted = policy.default()(store)
      assert.is_true(wanted == nil or #wanted == 0)
      return wanted and wanted.seal / mib
    end
    assert.equals(16, seal(1, 256 * mib))
    assert.equals(16, seal(256, 256 * mib))
    assert.equals(64, seal(1024, 256 * mib))
    assert.is_nil(seal(4096, 256 * mib))
    assert.equals(1, seal(1, 4 * mib))
    assert.is_nil(seal(1, mib))
    local resting = description.store({ { bytes = mib } }, { segment_size = 256 * mib })
    assert.is_nil(policy.default()(resting))
  end)

  it("needs little room for a merge, however large segments are beside the data", function()
    local mib, segments = 1 << 20, {}
    for i = 1, 20 do
      segments[i] = { bytes = 10 * mib, dead_bytes = 4 * mib }
    end
    local parts = plan(segments, { segment_size = 256 * mib })
    assert.is_true(#parts >= 2)
    for _, ids in ipairs(parts) do
      assert.is_true(6 * #ids <= 16)
    end
  end)

  it("can do without knowing the segment size", function()
    local store = description.store { { dead_bytes = 900 }, {}, {} }
    store.segment_size = nil
    assert.is_nil(policy.default()(store))
    assert.same({ 1 }, description.ids(policy.default { space = 1.2 }(store)))
  end)

  it("decides by what it is told alone", function()
    local store = description.store { { dead_bytes = 900 }, { dead_bytes = 800 }, {} }
    local default = policy.default()
    assert.same(default(store), default(store))
    assert.same(default(store), policy.default()(store))
  end)

  it("refuses options that make no sense", function()
    for _, opts in ipairs { { space = 1 }, { space = "2" }, { least = 2 }, { small = 1 },
      { other = 1 }, 5 } do
      assert.is_false(pcall(policy.default, opts))
    end
  end)
end)
