-- The worked examples of docs/policies.md keep what their comments say.

local policy = require "bitcask.policy"
local scratch = require "spec.support.scratch"

local function example(name)
  local loaded = dofile("examples/policies/" .. name .. ".lua")
  return loaded[name], loaded.workload
end

local function judged(name)
  local decide, workload = example(name)
  return assert(policy.simulate(decide, workload)),
    assert(policy.simulate(policy.default(), workload))
end

describe("the example of", function()
  after_each(scratch.clean)

  it("a cache copies next to nothing, and bounds the disk all the same", function()
    local own, usual = judged "cache"
    assert.is_true(own.write_amplification < 1.01)
    assert.is_true(usual.write_amplification > 1.2)
    assert.is_true(own.space_amplification < 2.6)
  end)

  it("an event log copies nothing and keeps little that is dead", function()
    local own = judged "event_log"
    assert.equals(1, own.write_amplification)
    assert.is_true(own.space_amplification < 1.4)
  end)

  it("hot counters never has more than a few segments", function()
    local own, usual = judged "hot_counters"
    assert.is_true(own.write_amplification < usual.write_amplification)
    for _, count in ipairs(own.series.segments) do
      assert.is_true(count <= 9, count)
    end
  end)

  it("figures in docs/policies.md prints its tables", function()
    local pipe = assert(io.popen "lua5.4 bench/policies.lua 300 1500 2>&1")
    local output = pipe:read "a"
    assert(pipe:close(), output)
    local _, rows = output:gsub("\n| [^|]+ | %d[^\n]+ |", "")
    assert.equals(2 * 11, rows)
  end)

  it("what real stores take on disk is in docs/policies.md, and measured again", function()
    local directory = scratch.path()
    local pipe = assert(io.popen(("lua5.4 bench/policy_disk.lua 300 1500 '%s' 2>&1")
      :format(directory)))
    local output = pipe:read "a"
    assert(pipe:close(), output)
    local _, rows = output:gsub("\n| [^|]+MiB | %d[^\n]+ |", "")
    assert.equals(4, rows, output)
    assert.is_nil(io.open(directory, "r"), "it leaves something behind")
  end)

  it("all of them, with real stores, comes through", function()
    local pipe = assert(io.popen "lua5.4 examples/policies.lua 2>&1")
    local output = pipe:read "a"
    local ok = pipe:close()
    assert(ok, output)
    for _, name in ipairs { "cache", "event_log", "hot_counters" } do
      assert(output:find("\n?" .. name .. "\n"), output)
    end
  end)
end)
