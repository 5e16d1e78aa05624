local lab = require "bitcask.lab"
local policy = require "bitcask.policy"
local scale = require "bitcask.lab.scale"

local function compare(candidates, workloads)
  return assert(lab.compare(candidates, workloads or {
    { kind = "zipf", keys = 500, writes = 5000 },
    { kind = "series", name = "a <series>", keys = 500, writes = 2000 },
  }))
end

-- The elements of a page that are opened and not closed, or the other way round.
local function unbalanced(html)
  local open = {}
  for slash, name, ending in html:gmatch "<(/?)(%a%w*)[^>]-(/?)>" do
    if slash == "/" then
      if open[#open] ~= name then return name end
      open[#open] = nil
    elseif ending ~= "/" and name ~= "meta" then
      open[#open + 1] = name
    end
  end
  return open[1]
end

describe("the report of the laboratory", function()
  local candidates = {
    { name = "default", policy = policy.default() },
    { name = "never", policy = policy.never() },
    { name = "a & b", policy = function() error "broken" end },
  }

  it("is one page that needs nothing else", function()
    local html = lab.html(compare(candidates))
    assert.is_nil(unbalanced(html))
    for _, outside in ipairs { "<script", "src=", "href=", "@import", "url%(" } do
      assert.is_nil(html:find(outside))
    end
    assert.is_truthy(html:find("prefers-color-scheme: dark", 1, true))
  end)

  it("has for each workload the figures of each policy, and the charts", function()
    local html = lab.html(compare(candidates))
    local _, charts = html:gsub("<svg", "")
    assert.equals(2 * 7, charts)
    for _, text in ipairs { "a &lt;series&gt;", "a &amp; b", "the policy failed: ", "never" } do
      assert(html:find(text, 1, true), text)
    end
    assert.is_nil(html:find "%f[%w]nan%f[%W]")
    assert.is_nil(html:find "%f[%w]inf%f[%W]")
  end)

  it("can do with policies of which none came through, or nothing happened", function()
    assert.is_nil(unbalanced(lab.html(compare { candidates[3] })))
    local smallest = { kind = "uniform", keys = 1, writes = 1 }
    local html = lab.html(compare({ candidates[2] }, { smallest }))
    assert.is_nil(unbalanced(html))
    assert.is_nil(html:find "%f[%w]nan%f[%W]")
  end)

  it("is not made of a workload that makes no sense", function()
    local experiments, message, code = lab.compare(candidates, { { kind = "none" } })
    assert.is_nil(experiments)
    assert.is_truthy(message:find "kind")
    assert.equals("policy", code)
  end)
end)

describe("an axis", function()
  it("has round ticks that cover the range", function()
    assert.same({ 0, 2.0, 4.0, 6.0, 8.0, 10.0 }, scale.ticks(0, 9.6, 5))
    assert.same({ 1.0, 1.25, 1.5, 1.75, 2.0 }, scale.ticks(1, 1.9, 4))
    for _ = 1, 200 do
      local least, most = math.random() * 10, math.random() * 1000 + 11
      local ticks = scale.ticks(least, most, 5)
      assert.is_true(ticks[1] <= least and ticks[#ticks] >= most)
      assert.is_true(#ticks >= 3 and #ticks <= 12)
    end
    assert.is_true(#scale.ticks(5, 5, 5) >= 2)
  end)

  it("writes bytes, counts and ratios shortly", function()
    assert.equals("1.5 MiB", scale.bytes(1.5 * 2 ^ 20))
    assert.equals("0 B", scale.bytes(0))
    assert.equals("250k", scale.count(250000))
    assert.equals("1.25", scale.ratio(1.25))
  end)
end)
