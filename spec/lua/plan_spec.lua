local options = require "bitcask.options"
local plan = require "bitcask.plan"

describe("a merge plan", function()
  local function lists(given)
    return plan.check(given, options.merge, 1).lists
  end

  it("of nothing means whatever has anything to drop", function()
    assert.is_nil(lists(nil))
    assert.is_nil(lists { rate = 5 })
    assert.is_nil(lists { reason = "why" })
  end)

  it("that is empty means nothing", function()
    assert.same({}, lists {})
    assert.same({}, lists { segments = {} })
  end)

  it("of ids is one merge", function()
    assert.same({ { 3, 4, 7 } }, lists { 3, 4, 7 })
    assert.same({ { 3 } }, lists { 3.0 })
    assert.same({ { 3, 4 } }, lists { segments = { 3, 4 } })
  end)

  it("of lists is several", function()
    assert.same({ { 3, 4 }, { 7 } }, lists { { 3, 4 }, { 7 } })
    assert.same({ { 3, 4 }, {} }, lists { segments = { { 3, 4 }, {} } })
  end)

  it("has rate, reason and progress beside it", function()
    local given = { 3, rate = 0.5, reason = "why", progress = print }
    local checked = plan.check(given, options.merge, 1)
    assert.same({ { 3 } }, checked.lists)
    assert.equals(1, checked.rate)
    assert.equals("why", checked.reason)
    assert.equals(print, checked.progress)
    assert.same({ 3, rate = 0.5, reason = "why", progress = print }, given)
  end)

  it("that makes no sense raises", function()
    for _, given in ipairs {
      5, "all", true, { 0 }, { -1 }, { 1.5 }, { 0 / 0 }, { "1" }, { {}, 1 }, { 1, {} }, { { {} } },
      { 1, segments = { 2 } }, { rate = 0 }, { rate = -1 }, { rate = 0 / 0 },
      { rate = math.huge }, { rate = "1" }, { reason = 1 }, { progress = 1 }, { segments = 1 },
      { other = 1 }, { [true] = 1 }, { [3] = 3 }, { [1.5] = 1 },
      { math.huge }, { -math.huge }, { { 0 / 0 } }, { 2 ^ 63 }, { rate = -math.huge }, { step = 1 },
    } do
      assert.is_false(pcall(plan.check, given, options.merge, 1))
    end
  end)

  it("longer than a store can be raises before anything is done with it", function()
    for _, length in ipairs { 1 << 20, 1 << 62, 1.5, -1, "many" } do
      local endless = setmetatable({ 1 }, { __len = function() return length end })
      assert.is_false(pcall(plan.check, endless, options.plan, 1))
      assert.is_false(pcall(plan.check, { endless }, options.plan, 1))
    end
  end)

  it("has no more beside it than its place allows", function()
    for set, allowed in pairs {
      plan = { rate = 1, reason = "why" },
      merge = { rate = 1, reason = "why", progress = print, filter = print },
      merging = { rate = 1, reason = "why", step = 1, filter = print },
    } do
      for name, value in pairs {
        rate = 1, reason = "why", progress = print, step = 1, filter = print,
      } do
        local is_fine = pcall(plan.check, { [name] = value }, options[set], 1)
        assert.equals(allowed[name] ~= nil, is_fine, set .. " " .. name)
      end
    end
  end)

  it("of several merges is checked against the store before the first", function()
    local segments = { { id = 1 }, { id = 2 }, { id = 3, active = true } }
    assert.is_true(pcall(plan.check_against, { { 1 }, { 2 } }, segments, 1))
    for _, wrong in ipairs { { { 1 }, { 4 } }, { { 1 }, { 3 } }, { { 1 }, { 1 } } } do
      assert.is_false(pcall(plan.check_against, wrong, segments, 1))
    end
  end)
end)
