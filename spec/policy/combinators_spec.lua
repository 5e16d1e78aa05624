local description = require "spec.support.description"
local policy = require "bitcask.policy"

local store = description.store { {}, { bytes = 500 }, { bytes = 400 }, {}, {} }

local function always(plan)
  return function() return plan end
end

describe("any()", function()
  it("wants what any of its policies wants", function()
    local both = policy.any(always { 1, 2 }, always(nil), always {}, always { { 3 }, { 4, 5 } })
    assert.same({ { 1, 2 }, { 3 }, { 4, 5 } }, both(store))
  end)

  it("lets the first have what two want", function()
    local both = policy.any(always { 1, 2 }, always { { 2, 3 }, { 4 } })
    assert.same({ { 1, 2 }, { 4 } }, both(store))
  end)

  it("keeps the lowest rate and every reason", function()
    local both = policy.any(always { 1, rate = 500, reason = "a" },
      always { 2, rate = 300, reason = "b" }, always { 2, rate = 1, reason = "too late" })
    assert.same({ { 1 }, { 2 }, rate = 300, reason = "a; b" }, both(store))
  end)

  it("keeps the lowest size at which to seal, with a merge and without", function()
    local sizes = policy.any(always { seal = 700 }, always { seal = 500 }, always(nil))
    assert.same({ seal = 500 }, sizes(store))
    assert.same({ { 1 }, seal = 700 }, policy.any(always { seal = 700 }, always { 1 })(store))
  end)

  it("wants nothing if nobody does", function()
    assert.is_nil(policy.any(always(nil), always {}, always { {} })(store))
  end)

  it("passes the description on, and errors", function()
    local seen
    policy.any(function(given) seen = given end)(store)
    assert.equals(store, seen)
    assert.has_error(function() policy.any(function() error "broken" end)(store) end)
    assert.has_error(function() policy.any(always "nonsense")(store) end)
  end)

  it("takes whatever can be called, and nothing else", function()
    local callable = setmetatable({}, { __call = function() return { 1 } end })
    assert.same({ { 1 } }, policy.any(callable)(store))
    for _, wrong in ipairs { 5, "default", {}, true } do
      assert.is_false(pcall(policy.any, always {}, wrong))
    end
    assert.is_false(pcall(policy.any, always {}, nil))
    assert.is_false(pcall(policy.any))
  end)
end)

describe("limit()", function()
  local function limited(plan, opts)
    return policy.limit(always(plan), opts)(store)
  end

  it("S32 takes no more bytes than allowed, and the rest the next time", function()
    assert.same({ { 1, 2 } }, limited({ 1, 2, 3 }, { bytes = 1500 }))
    assert.same({ { 1, 2, 3 } }, limited({ 1, 2, 3 }, { bytes = 1900 }))
    assert.same({ { 2 }, { 3 } }, limited({ { 2 }, { 3 }, { 4 } }, { bytes = 1000 }))
  end)

  it("takes a single one that is larger than allowed, alone", function()
    assert.same({ { 1 } }, limited({ { 1 }, { 2 } }, { bytes = 10 }))
  end)

  it("does not cut a merge down to one that would be in vain", function()
    assert.is_nil(limited({ 2, 3 }, { bytes = 600 }))
  end)

  it("holds a plan to a rate", function()
    assert.same({ { 1 }, rate = 7, reason = "why" }, limited({ 1, reason = "why" }, { rate = 7 }))
    assert.same({ { 1 }, rate = 7 }, limited({ 1, rate = 7 }, { rate = 9 }))
    assert.same({ { 1 }, rate = 7 }, limited({ 1, rate = 9 }, { rate = 7 }))
  end)

  it("passes on at which size to seal", function()
    assert.same({ { 1 }, seal = 500 }, limited({ 1, seal = 500 }, { bytes = 1000 }))
    assert.same({ seal = 500 }, limited({ seal = 500 }, { bytes = 1000 }))
  end)

  it("wants nothing where its policy wants nothing", function()
    assert.is_nil(limited(nil, { rate = 7 }))
    assert.is_nil(limited({}, { rate = 7 }))
  end)

  it("refuses what makes no sense", function()
    assert.is_false(pcall(policy.limit, always {}, { bytes = 0 }))
    assert.is_false(pcall(policy.limit, always {}, { other = 1 }))
    assert.is_false(pcall(policy.limit, nil, { bytes = 1 }))
  end)
end)

describe("window()", function()
  local function at(time, hours)
    local hour, minute = time:match "(%d+):(%d+)"
    local day = os.time { year = 2024, month = 5, day = 17, hour = 0 }
    local now = day + 3600 * tonumber(hour) + 60 * tonumber(minute) + 0.5
    return policy.window(always { 1 }, hours)(description.store({ {} }, { now = now })) ~= nil
  end

  it("asks its policy in its hours only", function()
    assert.is_false(at("11:59", "12:00-13:30"))
    assert.is_true(at("12:00", "12:00-13:30"))
    assert.is_true(at("13:29", "12:00-13:30"))
    assert.is_false(at("13:30", "12:00-13:30"))
  end)

  it("may go over midnight", function()
    for time, is_open in pairs { ["21:59"] = false, ["22:00"] = true, ["00:00"] = true,
      ["05:59"] = true, ["06:00"] = false } do
      assert.equals(is_open, at(time, "22:00-06:00"), time)
    end
    assert.is_true(at("23:59", "20:00-24:00"))
  end)

  it("may be several", function()
    assert.is_true(at("01:30", "1:00-2:00, 12:00-13:00"))
    assert.is_true(at("12:30", "1:00-2:00, 12:00-13:00"))
    assert.is_false(at("02:30", "1:00-2:00, 12:00-13:00"))
  end)

  it("refuses hours that there are not", function()
    for _, hours in ipairs { "", "12", "12:00", "12:00-", "12:00-12:00", "25:00-26:00",
      "12:60-13:00", "24:01-1:00", "1:00-2:00,", ",1:00-2:00", "1:00-2:00,x", "1:00-2:00 3", 5 } do
      assert.is_false(pcall(policy.window, always {}, hours), tostring(hours))
    end
    assert.is_false(pcall(policy.window, always {}))
    assert.is_false(pcall(policy.window, 5, "1:00-2:00"))
  end)
end)
