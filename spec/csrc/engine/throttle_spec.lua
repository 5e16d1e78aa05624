local throttle = require "bitcask.internals".throttle
local random = require "spec.support.random"

-- Missed moments are made up for, up to this, microseconds.
local credit = 250000

describe("a throttle", function()
  it("without a rate never asks for a rest", function()
    local free = throttle.new(0, 0)
    free:spend(1 << 40, 0)
    assert.equals(0, free:delay(0))
    free:wait()
  end)

  it("asks for as long a rest as the bytes are worth", function()
    local slow = throttle.new(1000, 5000000)
    assert.equals(0, slow:delay(5000000))
    slow:spend(500, 5000000)
    local half = slow:delay(5000000)
    assert.is_true(half >= 500000 and half <= 500001)
    assert.is_true(slow:delay(5400000) <= 100001)
    assert.equals(0, slow:delay(5500000))
  end)

  it("keeps the rate over a long time, whatever the steps and however late they come", function()
    local seed = random.begin()
    for _ = 1, 50 do
      local rate = math.random(1000, 10000000)
      local paced, now, bytes = throttle.new(rate, 0), 0, 0
      local busy = 0
      while now < 100000000 do
        local size = math.random(1, rate // 4)
        paced:spend(size, now)
        bytes = bytes + size
        -- As a thread that is woken a little late, never by more than the credit.
        now = now + paced:delay(now) + math.random(0, credit // 2)
        busy = busy + 1
      end
      local allowed = rate * now / 1e6
      assert.is_true(bytes <= allowed + rate, ("seed %d: too fast"):format(seed))
      assert.is_true(bytes >= allowed * 0.98 - rate, ("seed %d: too slow"):format(seed))
    end
  end)

  it("follows no long rest by a burst", function()
    local paced = throttle.new(1000, 0)
    local later = 3600 * 1000000
    paced:spend(1000, later)
    local delay = paced:delay(later)
    assert.is_true(delay > 1000000 - credit - 2)
  end)

  it("waits for nothing once it is cancelled, paused or not", function()
    local paced = throttle.new(1, 0)
    paced:spend(1 << 60, 0)
    paced:pause(true)
    paced:cancel()
    paced:wait()
  end)

  it("waits no longer once it goes on", function()
    local paused = throttle.new(0, 0)
    paused:pause(true)
    paused:pause(false)
    paused:wait()
  end)
end)
