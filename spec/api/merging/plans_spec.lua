-- Merges that are asked for and waited for: which segments they take, what they leave.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local overwritten = require "spec.support.overwritten"
local scratch = require "spec.support.scratch"

local report_fields = {
  "segments_in", "segments_out", "bytes_read", "bytes_written", "records_kept",
  "records_dropped", "tombstones_kept", "tombstones_dropped", "seconds",
}

describe("merging", function()
  local path, db, expected

  -- Sealed segments of a few records each, most of which are dead.
  before_each(function()
    path = scratch.path()
    db, expected = overwritten(path, 1024, 100, 10, 20)
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("without a plan takes every sealed segment with anything to drop", function()
    local before = db:segments()
    local report = assert(db:merge())
    for _, field in ipairs(report_fields) do
      assert.is_number(report[field], field)
    end
    assert.is_truthy(report.segments_in >= 2)
    assert.is_truthy(report.segments_in > report.segments_out)
    assert.equals(90, report.records_dropped)
    assert.is_truthy(report.bytes_written < report.bytes_read)
    local after = db:segments()
    assert.equals(0, after.dead_bytes)
    assert.equals(before.live_bytes, after.live_bytes)
    contents.check(db, expected)
  end)

  it("leaves what it should after reopening", function()
    assert(db:merge())
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("has nothing to do a second time", function()
    assert(db:merge())
    local report = assert(db:merge())
    assert.equals(0, report.segments_in)
    assert.equals(0, report.bytes_read)
  end)

  it("gives the space back", function()
    -- Hint files come and go in the background, and what writes one holds its segment.
    local before = scratch.size(path, "%.seg$")
    assert(db:merge())
    eventually(function() return scratch.size(path, "%.seg$") < before / 2 end, "the space")
  end)

  it("takes the segments of a plan, and no others", function()
    local sealed = contents.sealed(db)
    local report = assert(db:merge { sealed[2], sealed[3] })
    assert.equals(2, report.segments_in)
    local left = {}
    for _, id in ipairs(contents.sealed(db)) do
      left[id] = true
    end
    assert.is_nil(left[sealed[2]])
    assert.is_nil(left[sealed[3]])
    assert.is_truthy(left[sealed[1]])
    assert.is_truthy(left[sealed[4]])
    contents.check(db, expected)
  end)

  it("takes a plan of several merges, one after the other", function()
    local sealed = contents.sealed(db)
    local report = assert(db:merge { { sealed[1], sealed[2] }, {}, { sealed[4] } })
    assert.equals(3, report.segments_in)
    assert.equals(2, #report.merges)
    assert.equals(2, report.merges[1].segments_in)
    assert.equals(1, report.merges[2].segments_in)
    for _, field in ipairs(report_fields) do
      assert.equals(report.merges[1][field] + report.merges[2][field], report[field], field)
    end
    contents.check(db, expected)
  end)

  it("takes the plan as an option too, with rate, reason and progress", function()
    local sealed, told = contents.sealed(db), {}
    local report = assert(db:merge {
      segments = { sealed[1], sealed[2] },
      rate = 1e9,
      reason = "a spec wants it",
      progress = function(p) told[#told + 1] = p end,
    })
    assert.equals(2, report.segments_in)
    assert.equals("a spec wants it", report.reason)
    assert.is_truthy(#told >= 1)
    local last = told[#told]
    assert.equals(last.total, last.done)
    assert.is_string(last.what)
    contents.check(db, expected)
  end)

  it("takes the ids beside the options", function()
    local sealed = contents.sealed(db)
    assert.equals(1, assert(db:merge { sealed[1], rate = 1e9, reason = "why" }).segments_in)
  end)

  it("of an empty plan does nothing", function()
    local before = contents.sealed(db)
    assert.equals(0, assert(db:merge {}).segments_in)
    assert.equals(0, assert(db:merge { segments = {} }).segments_in)
    assert.same(before, contents.sealed(db))
  end)

  it("lets progress read and write the store", function()
    local wrote = 0
    assert(db:merge {
      progress = function()
        wrote = wrote + 1
        for key, value in pairs(expected) do
          assert.equals(value, (db:get(key)))
        end
        assert(db:put("k1", "while merging " .. wrote))
        expected.k1 = "while merging " .. wrote
        assert(db:delete "k2" ~= nil)
        expected.k2 = nil
      end,
    })
    assert.is_truthy(wrote >= 1)
    contents.check(db, expected)
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("undone by an error in progress leaves the store as it was", function()
    local before = contents.sealed(db)
    local big <close> = assert(bitcask.open(scratch.path(), { segment_size = 1 << 20 }))
    for i = 1, 60 do
      assert(big:put("k" .. i % 40, ("v"):rep(100000)))
    end
    local ids = contents.sealed(big)
    local ok, message = pcall(big.merge, big, {
      progress = function() error("enough of it", 0) end,
    })
    assert.is_false(ok)
    assert.equals("enough of it", message)
    assert.same(ids, contents.sealed(big))
    assert(big:merge())
    assert.same(before, contents.sealed(db))
  end)

  it("may be watched from a coroutine that yields", function()
    local steps = 0
    local merge = coroutine.wrap(function()
      return db:merge { progress = coroutine.yield }
    end)
    local result = merge()
    while result.what do
      steps = steps + 1
      result = merge()
    end
    assert.is_truthy(steps >= 1)
    assert.is_truthy(result.segments_in >= 2)
  end)

  it("survives that progress closes the store", function()
    local ok = pcall(db.merge, db, { progress = function() db:close() end })
    local _ = ok
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  for what, plan in pairs {
    ["a segment that is not there"] = { 999999 },
    ["the id 0"] = { 0 },
    ["a negative id"] = { -1 },
    ["a fraction"] = { 1.5 },
    ["not a number"] = { 0 / 0 },
    ["an id as text"] = { "1" },
    ["lists and ids mixed"] = { { 1 }, 2 },
    ["a boolean"] = { true },
    ["a number instead of a plan"] = 5,
    ["an unknown field"] = { rat = 5 },
    ["a rate of nothing"] = { rate = 0 },
    ["a rate that is no number"] = { rate = "fast" },
    ["a progress that is no function"] = { progress = true },
    ["a list in a list in a list"] = { { { 1 } } },
  } do
    it("raises for " .. what .. ", and harms nothing", function()
      local before = contents.sealed(db)
      assert.has_error(function() db:merge(plan) end)
      assert.has_error(function() db:merge_async(plan) end)
      assert.same(before, contents.sealed(db))
      contents.check(db, expected)
    end)
  end

  it("raises for the active segment, a segment named twice, and one merged before", function()
    assert(db:put("a", "1"))
    local active = assert(db:segments().active).id
    local sealed = contents.sealed(db)
    assert.has_error(function() db:merge { active } end)
    assert.has_error(function() db:merge { sealed[1], sealed[1] } end)
    assert.has_error(function() db:merge { { sealed[1] }, { sealed[1] } } end)
    assert.has_error(function() db:merge { { sealed[1] }, { active } } end)
    assert.same(sealed, contents.sealed(db))
    assert(db:merge { sealed[1] })
    assert.has_error(function() db:merge { sealed[1] } end)
  end)

  it("raises for segments given both ways", function()
    assert.has_error(function() db:merge { 1, segments = { 1 } } end)
  end)
end)
