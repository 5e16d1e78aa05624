local optimum = require "bitcask.lab.optimum"

local function near(expected, value, tolerance)
  local difference = math.abs(value - expected)
  assert(difference <= (tolerance or 0.001), ("%s is not %s"):format(value, expected))
end

describe("the least that cleaning costs", function()
  it("on even writes is where segments are cleaned all at the same share", function()
    for _, u in ipairs { 0.01, 0.2, 0.5, 0.8 } do
      near(1 / (1 - u), optimum.even((1 - u) / math.log(1 / u)))
    end
    near(1.255, optimum.even(0.5))
    near(1.876, optimum.even(0.7))
  end)

  it("is the same for groups that are written alike", function()
    local groups = { { keys = 0.3, writes = 0.3 }, { keys = 0.7, writes = 0.7 } }
    near(optimum.even(0.7), optimum.grouped(groups, 0.7))
  end)

  it("is less the more the writes differ", function()
    local last = optimum.even(0.7)
    for _, hot in ipairs { 0.6, 0.8, 0.95, 0.999 } do
      local value = optimum.grouped({ { keys = 0.5, writes = hot },
        { keys = 0.5, writes = 1 - hot } }, 0.7)
      assert.is_true(value < last)
      last = value
    end
  end)

  it("cannot be bettered by giving the groups other room", function()
    local groups = { { keys = 0.6, writes = 0.1 }, { keys = 0.4, writes = 0.9 } }
    local best = optimum.grouped(groups, 0.6)
    for share = 0.02, 0.98, 0.02 do -- of the room beyond the live data
      local spare, sum = 1 / 0.6 - 1, 0
      for i, group in ipairs(groups) do
        local room = spare * (i == 1 and share or 1 - share)
        sum = sum + group.writes * optimum.even(group.keys / (group.keys + room))
      end
      assert.is_true(sum >= best - 0.0001)
    end
  end)

  it("makes groups of zipfian keys that are all of them", function()
    local keys, writes = 0, 0
    for _, group in ipairs(optimum.zipf(5000, 0.99)) do
      keys, writes = keys + group.keys, writes + group.writes
    end
    near(1, keys)
    near(1, writes)
  end)
end)
