-- Space that is made ready is allocated first, which is what can be seen of it.

local bitcask = require "bitcask"
local eventually = require "spec.support.eventually"
local lfs = require "lfs"
local scratch = require "spec.support.scratch"

local KIB, MIB = 1 << 10, 1 << 20

local function open(options)
  local path = scratch.path()
  options.policy = false
  return assert(bitcask.open(path, options)), path
end

-- Small values, from the key after `from` on, until that much is in them.
local function fill(db, from, size)
  for i = from + 1, from + size // KIB do
    assert(db:put("k" .. i, ("v"):rep(KIB)))
  end
  return from + size // KIB
end

local function active_size(path)
  local names = scratch.files(path, "%.seg$")
  table.sort(names)
  return lfs.attributes(path .. "/" .. names[#names], "size")
end

describe("the active segment", function()
  after_each(scratch.clean)

  it("is made ready on another thread, for half as much again as was written", function()
    local db <close>, path = open {}
    -- Puts allocate 4 MiB when the second is full, and the next step when those are.
    local filled = fill(db, 0, 7 * MIB // 2)
    eventually(function() return active_size(path) > 4 * MIB end, "more than puts asked for")
    for i = 1, filled do
      assert.equal(("v"):rep(KIB), db:get("k" .. i))
    end
  end)

  for name, options in pairs {
    ["each put is flushed"] = { sync = "always" }, ["little was written"] = {},
  } do
    it("is not where " .. name, function()
      local db <close>, path = open(options)
      fill(db, 0, 100 * KIB)
      assert(db:stats())
      assert.equal(128 * KIB, active_size(path))
    end)
  end

  it("has its space before it takes large values, half of what was written", function()
    local db <close>, path = open { segment_size = 32 * MIB }
    for i = 1, 320 do
      assert(db:put("k" .. i, ("v"):rep(64 * KIB)))
    end
    -- 20 MiB are in the first one; the next was asked for when 8 were.
    eventually(function()
      return #scratch.files(path, "%.seg$") == 2 and active_size(path) >= 4 * MIB
    end, "the space of the next one")
    assert.equal(0, #db:segments().segments) -- it is still the first that takes writes
  end)

  it("is not beyond the size at which it is sealed", function()
    local db <close>, path = open { segment_size = 4 * MIB }
    local filled = 0
    while #db:segments().segments < 3 do
      filled = fill(db, filled, 512 * KIB)
      assert.is_true(active_size(path) <= 4 * MIB + 16 * KIB)
    end
    assert.equal(filled, db:count())
  end)

  it("holds every write, however it was sealed and opened again meanwhile", function()
    local path, filled = scratch.path(), 0
    for round = 1, 5 do
      local db = assert(bitcask.open(path, { policy = false }))
      for _ = 1, 4 do
        filled = fill(db, filled, 600 * KIB)
        if round % 2 == 0 then assert(db:seal()) end
      end
      assert(db:close())
    end
    local db <close> = assert(bitcask.open(path, { policy = false }))
    assert.equal(filled, db:count())
    for i = 1, filled do
      assert.equal(("v"):rep(KIB), db:get("k" .. i))
    end
  end)
end)
