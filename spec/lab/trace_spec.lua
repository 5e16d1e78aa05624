-- Recording a real store, and playing what was recorded.

local bitcask = require "bitcask"
local random = require "spec.support.random"
local ramdisk = require "spec.support.ramdisk"
local recorder = require "bitcask.lab.recorder"
local scratch = require "spec.support.scratch"
local traces = require "bitcask.lab.trace"

describe("a trace", function()
  local path, db

  before_each(function()
    path = ramdisk.path()
    db = assert(bitcask.open(path, { segment_size = 4096, policy = false }))
  end)

  after_each(function()
    db:close()
    ramdisk.clean()
  end)

  local function record(given)
    local name = ramdisk.path()
    local file <close> = assert(io.open(name, "w"))
    local reader <close> = assert(bitcask.open(path, { readonly = true }))
    local counts, message, code = recorder.record(reader, file, given)
    file:close()
    return counts and name, counts or message, code
  end

  local function write(steps)
    for i = 1, steps do
      local key = "key" .. math.random(40)
      if math.random(4) == 1 then
        assert(db:delete(key) ~= nil)
      else
        assert(db:put(key, ("v"):rep(math.random(0, 200)), { ttl = i % 5 == 0 and 3600 or nil }))
      end
    end
  end

  -- What playing a trace to its end leaves, with no merges.
  local function play(name, segment_size)
    local workload = { kind = "trace", path = name, segment_size = segment_size }
    return assert(bitcask.policy.simulate(bitcask.policy.never(), workload))
  end

  -- Record, and look so many times again, each time after something was done.
  local function record_looking(times, act)
    local look = 0
    return record {
      again = function()
        look = look + 1
        if look > times then return false end
        act(look)
        return true
      end,
    }
  end

  it("of a store has all its writes, and plays to what the store is", function()
    random.begin(3)
    write(500)
    local name, counts = record()
    local description = db:segments()
    assert.equals(db:stats().version, counts.writes)
    assert.equals(0, counts.since)
    local report = play(name, 4096)
    assert.equals(description.bytes, report.bytes)
    assert.equals(description.live_bytes, report.live_bytes)
    assert.equals(#description.segments, #report.description.segments)
    assert.equals(#db, report.description.keys)
    for i, segment in ipairs(description.segments) do
      local booked = report.description.segments[i]
      assert.equals(segment.bytes, booked.bytes)
      assert.equals(segment.tombstone_bytes, booked.tombstone_bytes)
    end
  end)

  it("begins, after merges, with the keys that were there", function()
    random.begin(4)
    write(300)
    assert(db:seal() ~= nil)
    assert(db:merge())
    local known = db:stats().version
    assert(db:put("later", "1"))
    local name, counts = record()
    assert.is_true(counts.since > 0 and counts.since <= known)
    assert.equals(db:segments().live_bytes, play(name, 4096).live_bytes)
  end)

  it("follows what is written meanwhile", function()
    write(10)
    local name, counts = record_looking(3, function(look)
      assert(db:put("new" .. look, "value"))
    end)
    assert.equals(db:stats().version, counts.writes)
    assert.equals(#db, play(name).description.keys)
  end)

  it("tells how many writes were merged away between two looks, and has what is left", function()
    write(10)
    local name, counts = record_looking(3, function(look)
      for i = 1, 5 do assert(db:put("new" .. look, ("v"):rep(i))) end
      assert(db:seal())
      if look == 2 then assert(db:merge().records_dropped > 0) end
    end)
    -- Of the second look's five writes one is left; the merge has dropped older ones, too.
    assert.equals(4, counts.missing)
    assert.equals(db:stats().version, counts.writes + counts.missing)
    local played = play(name)
    assert.equals(#db, played.description.keys)
    assert.equals(db:stats().live_bytes, played.description.live_bytes)
  end)

  it("keeps no keys and no values", function()
    assert(db:put("secret key", "secret value"))
    local name = record()
    assert.equals("bitcask-trace 1\np 1 10 12 0.000\n", scratch.read(name))
  end)

  it("that is none is refused, with the line", function()
    local name = ramdisk.path()
    for text, wanted in pairs {
      [""] = "not a trace", ["something else\n"] = "not a trace",
      ["bitcask-trace 1\n"] = "holds no writes",
      ["bitcask-trace 1\np 1 1 1 0.0\nnonsense\n"] = ":3: not a line",
      ["bitcask-trace 1\np 2 1 1 0.0\n"] = ":2: not a line", -- keys are numbered from 1
      ["bitcask-trace 1\nd 0 1 0.0\n"] = ":2: not a line",
      ["bitcask-trace 1\np 1 1 1\n"] = ":2: not a line",
    } do
      scratch.write(name, text)
      local trace, message = traces.read(name)
      assert.is_nil(trace)
      assert(message:find(wanted, 1, true), message)
      assert(message:find(name, 1, true), message)
    end
  end)
end)
