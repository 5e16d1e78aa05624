-- See spec/crash/memory.lua, which runs in processes of its own: its library can be refused memory.

local stories = require "spec.crash.stories"
local tally = require "spec.support.tally"

teardown(tally.report)

local function run(chapter)
  local program = "lua5.4 spec/crash/memory.lua '" .. chapter .. "' 2>&1"
  local pipe <close> = assert(io.popen(program))
  return pipe:read "a"
end

describe("every allocation of every story fails:", function()
  local is_known = {}
  for _, story in ipairs(stories) do
    local chapter = story.chapter
    if not is_known[chapter] then
      is_known[chapter] = true
      it(chapter, function()
        local output = run(chapter)
        local count = tonumber(output)
        assert(count, output)
        assert.is_true(count > 100)
        tally.add("allocations_refused", count)
      end)
    end
  end
end)
