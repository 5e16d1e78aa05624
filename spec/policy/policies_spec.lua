local description = require "spec.support.description"
local policy = require "bitcask.policy"

local function planned(decide, ...)
  return description.ids(decide(description.store(...)))
end

describe("the cost-benefit policy", function()
  it("takes first what gives most for its cost, the longest", function()
    -- (1 - u) * age / (1 + u), with ages of 300, 200 and 100 writes: 129, 107 and 90.
    local segments = { { dead_bytes = 600 }, { dead_bytes = 700 }, { dead_bytes = 948 } }
    local order = {}
    for _, stop in ipairs { 0.7, 0.6, 0 } do
      order[#order + 1] = planned(policy.cost_benefit { start = 0.5, stop = stop }, segments,
        { active = description.segment(4, {}) })
    end
    assert.same({ { 1 }, { 1, 2 }, { 1, 2, 3 } }, order)
  end)

  it("begins when enough is dead, and not before", function()
    local cost_benefit = policy.cost_benefit { start = 0.4 }
    assert.is_nil(planned(cost_benefit, { { dead_bytes = 399 }, { dead_bytes = 400 } }))
    assert.same({ 1 }, planned(cost_benefit, { { dead_bytes = 400 }, { dead_bytes = 400 } }))
    assert.is_nil(planned(cost_benefit, {}))
  end)

  it("leaves alone what would give next to nothing, and damaged segments", function()
    local segments = { { dead_bytes = 49 }, { dead_bytes = 1000, damaged = true } }
    assert.is_nil(planned(policy.cost_benefit(), segments))
  end)
end)

describe("the size-tiered policy", function()
  it("merges segments of about the same size when there are enough", function()
    local sizes = { { bytes = 20 }, { bytes = 30 }, { bytes = 1000 }, { bytes = 40 } }
    assert.is_nil(planned(policy.size_tiered(), sizes))
    sizes[5] = { bytes = 25 }
    assert.same({ 1, 2, 4, 5 }, planned(policy.size_tiered(), sizes))
    assert.is_nil(planned(policy.size_tiered { least = 5 }, sizes))
  end)

  it("keeps tiers apart", function()
    local segments = {}
    for i = 1, 4 do
      segments[i], segments[i + 4] = { bytes = 5 }, { bytes = 100 }
    end
    local plan = policy.size_tiered()(description.store(segments))
    assert.same({ { 1, 2, 3, 4 }, { 5, 6, 7, 8 }, reason = "similar sizes" }, plan)
  end)

  it("merges full segments only for what is dead in them", function()
    local full = {}
    for i = 1, 6 do
      full[i] = { dead_bytes = 300 }
    end
    assert.is_nil(planned(policy.size_tiered(), full))
    for i = 1, 4 do
      full[i] = { dead_bytes = 500 }
    end
    assert.same({ 1, 2, 3, 4, 5, 6 }, planned(policy.size_tiered(), full))
    assert.same({ 1, 2, 3, 4 }, planned(policy.size_tiered { dead = 0.5 }, full))
  end)
end)

describe("the expiry policy", function()
  local gone = { dead_bytes = 1000, expired_bytes = 900, expired = 4000 }
  local partly = { dead_bytes = 900, expired_bytes = 900, expired = 4000 }
  local deleted = { dead_bytes = 1000, tombstones = 5, tombstone_bytes = 160 }

  it("drops segments in which everything has expired, and no others", function()
    assert.same({ 2 }, planned(policy.expiry(), { {}, gone, partly, deleted }))
    assert.is_nil(planned(policy.expiry(), { {}, partly, deleted }))
  end)

  it("S42 lets a grace time pass first", function()
    local expiry = policy.expiry { grace = 60 }
    assert.is_nil(planned(expiry, { gone }, { now = 4059.9 }))
    assert.same({ 1 }, planned(expiry, { gone }, { now = 4060 }))
  end)

  it("S42 has no business with segments of deletes", function()
    assert.is_nil(planned(policy.expiry { share = 0 }, { deleted }))
  end)

  it("takes what has expired in part, if told to", function()
    assert.same({ 1, 2 }, planned(policy.expiry { share = 0.9 }, { gone, partly }))
    assert.same({ 1 }, planned(policy.expiry { share = 0.91 }, { gone, partly }))
  end)

  it("does not mind tombstones that have to stay, nor takes damaged segments", function()
    local with_tombstones = {
      live_bytes = 0, dead_bytes = 800, expired_bytes = 800, tombstones = 4, tombstone_bytes = 200,
    }
    assert.same({ 1 }, planned(policy.expiry(), { with_tombstones }))
    local damaged = { dead_bytes = 1000, expired_bytes = 1000, damaged = true }
    assert.is_nil(planned(policy.expiry(), { damaged }))
  end)
end)

describe("the policy of never", function()
  it("wants nothing", function()
    assert.is_nil(planned(policy.never(), { { dead_bytes = 1000 } }))
  end)
end)

describe("policies", function()
  it("are listed with a sentence and their options", function()
    local names = {}
    for _, kind in ipairs(policy.kinds()) do
      names[#names + 1] = kind.name
      assert.is_function(policy[kind.name])
      assert.is_string(kind.sentence)
      for _, option in pairs(kind.options or {}) do
        assert.is_string(option.sentence)
        local default = option.default
        if default ~= nil then assert.equals(default, option.check(default)) end
      end
    end
    assert.same({ "any", "cost_benefit", "default", "expiry", "limit", "never", "size_tiered",
      "threshold", "window" }, names)
  end)

  it("refuse options that make no sense, at the caller", function()
    for _, name in ipairs { "default", "threshold", "size_tiered", "cost_benefit", "expiry",
      "never" } do
      local ok, message = pcall(function() policy[name] { other = 1 } end)
      assert.is_false(ok)
      assert.is_truthy(message:find "^[^:]*policies_spec.lua:%d+: unknown option 'other'")
    end
  end)
end)
