-- The ten faults that stores of this kind are known for, as stories: the explorer finds each
-- in a small store that has it (examples/flawed), and none in bitcask.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local log = require "examples.flawed.log"
local scratch = require "spec.support.scratch"
local stories = require "examples.flawed.stories"
local tally = require "spec.support.tally"
local told = require "spec.crash.stories"

local scenario = bitcask.scenario

teardown(tally.report)

local function told_of(story, parts)
  parts.name, parts.given, parts.doing = story.name, story.given, story.doing
  parts.options = { segment_size = 512, policy = false }
  return parts
end

-- The failures that are what the story says.
local function expected_failures(story, report)
  local found = {}
  for _, failure in ipairs(report.failures) do
    local is_it = failure.complaint:find(story.loses, 1, true)
    if is_it and failure.after:find(story.after) then found[#found + 1] = failure end
  end
  return found
end

describe("a flawed store", function()
  for _, story in ipairs(stories) do
    local open = stories.stores[story.store].open
    if story.loses then
      it("loses data in a crash, by fault " .. story.name, function()
        local cut = told_of(story, { open = open, failures = 10000 })
        local report = scenario.explore(cut)
        local found = expected_failures(story, report)
        assert(#found > 0, "not found: " .. tostring(report))
        for _, failure in ipairs(found) do
          local again = scenario.again(cut, failure.name)
          assert.equal(1, #again.failures)
          assert.equal(failure.complaint, again.failures[1].complaint)
          assert.equal(failure.after, again.failures[1].after)
        end
        tally.add("flawed_states", report.distinct + report.nested + report.kills)
        tally.add("flawed_states_that_lose", #report.failures)
      end)
    else
      it("fails while all is well, by fault " .. story.name, function()
        local ok, message = pcall(scenario.explore, told_of(story, { open = open }))
        assert.is_false(ok)
        assert.is_truthy(message:find(story.fails, 1, true), message)
        tally.add("flawed_readers_that_fail")
      end)
    end
  end

  it("loses data also when nothing but its process dies", function()
    local function deaths(story)
      local count = 0
      local report = scenario.explore(told_of(story, {
        open = stories.stores[story.store].open, failures = 10000,
      }))
      for _, failure in ipairs(report.failures) do
        if failure.name:find ":kill" then count = count + 1 end
      end
      return count
    end
    assert.is_true(deaths(stories[2]) > 0)
    assert.is_true(deaths(stories[3]) > 0)
    assert.is_true(deaths(stories[9]) > 0)
  end)
end)

describe("without a merge the flawed stores' log", function()
  local chapters = { opening = true, writing = true, sealing = true }
  local open = function(disk) return log.open(log, disk) end

  for _, story in ipairs(told) do
    if chapters[story.chapter] and story.options.sync ~= "always" then
      it("keeps what it promises: " .. story.name, function()
        local report = scenario.check {
          name = story.name, open = open, given = story.given, doing = story.doing,
          from_nothing = story.from_nothing, torn_stride = story.torn_stride, states = 100,
        }
        tally.add("flawed_states_without_a_merge", report.distinct + report.nested + report.kills)
      end)
    end
  end
end)

describe("bitcask", function()
  for _, story in ipairs(stories) do
    it("has no fault " .. story.name, function()
      local report = scenario.check(told_of(story, { states = 100, torn_stride = 16 }))
      assert.is_true(report.distinct > 100)
      tally.add("fault_states", report.distinct + report.nested + report.kills)
    end)
  end
end)

describe("examples/flawed/find.lua", function()
  after_each(scratch.clean)

  local function run(state)
    return child.run([[
      arg = { [0] = "examples/flawed/find.lua" }
      local getenv, state = os.getenv, ...
      os.getenv = function(name) return name == "BITCASK_SCENARIO" and state or getenv(name) end
      dofile(arg[0])
    ]], state)
  end

  it("finds each fault where it is, and none in bitcask", function()
    local output, status = run ""
    assert.equal(0, status, output)
    for _, story in ipairs(stories) do
      assert.is_truthy(output:find(("%s, in %s:"):format(story.name, story.store), 1, true))
      assert.is_truthy(output:find(("%s, in bitcask:"):format(story.name), 1, true))
    end
  end)

  it("says so where no story has the name that is asked for", function()
    local output, status = run "none@1:0"
    assert.matches("^BITCASK_SCENARIO asks for the story 'none'", output)
    assert.equal(1, status)
  end)

  it("looks again at one state, by the line that was printed", function()
    local output, status = run "9: a crash between delete and rename (swap)@9:11"
    assert.equal(0, status, output)
    assert.is_truthy(output:find(stories[9].loses, 1, true), output)
    assert.is_truthy(output:find("after remove 000002.data, at 9:11", 1, true), output)
    assert.is_nil(output:find("bitcask", 1, true))
  end)
end)
