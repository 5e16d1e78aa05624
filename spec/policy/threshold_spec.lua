local description = require "spec.support.description"
local policy = require "bitcask.policy"

local mebibyte = 1 << 20

local function planned(opts, segments)
  return description.ids(policy.threshold(opts)(description.store(segments)))
end

describe("the threshold policy", function()
  it("has Basho's defaults", function()
    -- 60 % of the records, or 512 MiB, begin a merge.
    local function alone(segment)
      segment.bytes = segment.bytes or 2048 * mebibyte
      return planned(nil, { segment })
    end
    local function records(live)
      return alone { records = 100, live_records = live, dead_bytes = 100 }
    end
    assert.is_nil(records(41))
    assert.same({ 1 }, records(40))
    assert.is_nil(alone { records = 100, live_records = 90, dead_bytes = 512 * mebibyte - 1 })
    assert.same({ 1 }, alone { records = 100, live_records = 90, dead_bytes = 512 * mebibyte })
  end)

  it("takes what reaches a threshold once a trigger is reached, and what is small", function()
    local full = 2048 * mebibyte
    local function segment(live, dead_bytes, bytes)
      return { bytes = bytes or full, records = 100, live_records = live, dead_bytes = dead_bytes }
    end
    local others = {
      segment(61, 100), segment(60, 100), -- 39 and 40 %
      segment(99, 128 * mebibyte - 1), segment(99, 128 * mebibyte),
      segment(100, 0, 10 * mebibyte - 1), segment(100, 0, 10 * mebibyte),
    }
    assert.is_nil(planned(nil, others))
    others[7] = segment(40, 100)
    assert.same({ 2, 4, 5, 7 }, planned(nil, others))
  end)

  it("S33 counts one dead of two equal records as 50 per cent", function()
    local half = { bytes = 32, records = 2, live_records = 1, dead_bytes = 16 }
    assert.same({ 1 }, planned({ trigger_fragmentation = 50 }, { half }))
    assert.is_nil(planned({ trigger_fragmentation = 51 }, { half }))
    assert.same({ 1 }, planned({ trigger_dead_bytes = 16 }, { half }))
    assert.is_nil(planned({ trigger_dead_bytes = 17 }, { half }))
  end)

  it("rounds per cent down, as Basho does", function()
    local third = { records = 3, live_records = 1, dead_bytes = 10 }
    assert.same({ 1 }, planned({ trigger_fragmentation = 66 }, { third }))
    assert.is_nil(planned({ trigger_fragmentation = 67 }, { third }))
  end)

  it("leaves tombstones alone that have to stay, and damaged segments", function()
    local tombstones = { records = 10, live_records = 0, tombstones = 10, dead_bytes = 0 }
    assert.is_nil(planned(nil, { tombstones }))
    local damaged = { records = 10, live_records = 0, dead_bytes = 1000, damaged = true }
    assert.is_nil(planned(nil, { damaged }))
  end)

  it("scales the byte counts to the segments, if told from what", function()
    local segments = { { records = 100, live_records = 90, dead_bytes = 249 } }
    assert.is_nil(planned({ file_size = 2^31 }, segments))
    segments[1].dead_bytes = 250 -- of 1000, as 512 MiB are of 2 GiB
    assert.same({ 1 }, planned({ file_size = 2^31 }, segments))
  end)

  it("refuses options that make no sense", function()
    for _, opts in ipairs {
      { fragmentation = 101 }, { fragmentation = -1 }, { small_file = "10" }, { other = 1 },
      { trigger_dead_bytes = 0 / 0 },
    } do
      assert.is_false(pcall(policy.threshold, opts))
    end
  end)
end)
