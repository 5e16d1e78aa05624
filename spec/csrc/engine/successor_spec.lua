local bitcask = require "bitcask"
local eventually = require "spec.support.eventually"
local scratch = require "spec.support.scratch"

local MIB = 1 << 20

local function segments(path)
  return #scratch.files(path, "%.seg$")
end

local function fill(db, from, to)
  for i = from, to do
    assert(db:put("k" .. i, ("v"):rep(MIB // 8)))
  end
end

describe("the segment that will be active next", function()
  after_each(scratch.clean)

  it("is made before the active one is full, and is the next one then", function()
    local path = scratch.path()
    local db <close> = assert(bitcask.open(path, { segment_size = 4 * MIB, policy = false }))
    fill(db, 1, 6)
    assert.equal(1, segments(path))
    fill(db, 7, 30)
    eventually(function() return segments(path) == 2 end, "the next segment")
    assert.same({}, db:segments().segments)
    local made = scratch.files(path, "%.seg$")
    fill(db, 31, 33)
    assert.equal(1, #db:segments().segments)
    -- Where the file is there and not yet durable by then, the writer makes one of its own, and
    -- this one is the next but one.
    for _, name in ipairs(made) do
      assert.is_truthy(scratch.read(path .. "/" .. name), name)
    end
    assert.is_true(segments(path) <= 3)
    assert.equal(("v"):rep(MIB // 8), db:get "k33")
  end)

  it("leaves nothing behind, if it is not needed", function()
    local path = scratch.path()
    local db = assert(bitcask.open(path, { segment_size = 4 * MIB, policy = false }))
    fill(db, 1, 30)
    eventually(function() return segments(path) == 2 end, "the next segment")
    assert(db:close())
    assert.equal(1, segments(path))
    local again <close> = assert(bitcask.open(path, { policy = false }))
    assert.equal(30, again:count())
  end)

  it("is left out where a record needs a larger one", function()
    local path = scratch.path()
    local db <close> = assert(bitcask.open(path, { segment_size = 4 * MIB, policy = false }))
    fill(db, 1, 30)
    eventually(function() return segments(path) == 2 end, "the next segment")
    assert(db:put("large", ("x"):rep(5 * MIB)))
    assert.equal(("x"):rep(5 * MIB), db:get "large")
    fill(db, 31, 70)
    assert.equal(("v"):rep(MIB // 8), db:get "k70")
    assert.equal(71, db:count())
  end)

  it("is made, and closing ends, where flushes are always due", function()
    local path = scratch.path()
    local db = assert(bitcask.open(path,
      { segment_size = 4 * MIB, policy = false, sync = 1e-9 }))
    fill(db, 1, 30)
    eventually(function() return segments(path) == 2 end, "the next segment")
    assert(db:close())
  end)
end)
