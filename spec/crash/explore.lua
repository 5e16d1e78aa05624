-- Explores the stories of some chapters: power cuts, deaths and failures of the disk.

local bitcask = require "bitcask"
local random = require "spec.support.random"
local stories = require "spec.crash.stories"
local tally = require "spec.support.tally"

local explore = {}

local function count(report)
  tally.add("cuts", report.cuts)
  tally.add("crash_states", report.distinct + report.nested + report.kills)
  tally.add("crash_states_of_power_cuts", report.distinct)
  tally.add("crash_states_while_recovering", report.nested)
  tally.add("crash_states_of_deaths", report.kills)
end

-- A dying process is looked at in every so many bytes of what it writes; five lies across all
-- boundaries of eight.
local torn_stride = 5

-- EFFORT=n tries n times as many states; SEED draws others.
local function with_effort(story)
  local copy = { seed = math.tointeger(tonumber(os.getenv "SEED")) }
  for name, part in pairs(story) do
    if name ~= "chapter" then copy[name] = part end
  end
  copy.states = random.effort(story.states or 400)
  copy.torn_stride = math.max(story.torn_stride or 1, math.ceil(torn_stride / random.effort(1)))
  return copy
end

--- Describe the chapters: each story with every crash of it, and every failure in it.
---@param busted table `describe`, `it` and `teardown` of the file that asks
function explore.chapters(busted, ...)
  local describe, it = busted.describe, busted.it
  for _, chapter in ipairs { ... } do
    describe("crashes: " .. chapter, function()
      for _, story in ipairs(stories) do
        if story.chapter == chapter then
          it(story.name, function()
            local report = bitcask.scenario.check(with_effort(story))
            if report.is_skipped then return end
            assert(report.states > 0)
            if report.cuts then count(report) end
          end)
        end
      end
    end)
    describe("failures: " .. chapter, function()
      for _, story in ipairs(stories) do
        if story.chapter == chapter and not story.from_nothing then
          it(story.name, function()
            local copy = with_effort(story)
            copy.name = story.name .. ", failing"
            local report = bitcask.scenario.check(copy, bitcask.scenario.faults)
            assert(report.is_skipped or report.faults > 0)
            if report.faults then tally.add("faults_injected", report.faults) end
          end)
        end
      end
    end)
  end
  busted.teardown(tally.report)
end

return explore
