--- Finds what is wrong with two flawed stores, and nothing wrong with bitcask.
--
--   lua5.4 examples/flawed/find.lua
--
-- Each story of stories.lua is told to the store that has its fault, and to bitcask, on a
-- simulated disk, and cut short in every way. A line BITCASK_SCENARIO='...' in the environment
-- of this program looks at that one state again. Exit status: 0 when each fault is found where it
-- is, and nowhere else.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/../../?.lua;%s/../../lua/?.lua;%s/../../lua/?/init.lua;"):format(here, here,
  here) .. package.path
package.cpath = ("%s/../../build/?.so;"):format(here) .. package.cpath

local scenario = require("bitcask").scenario
local stories = require "examples.flawed.stories"

-- The story as the explorer takes it, of one of the two stores, or of bitcask.
local function told_of(story, store)
  return {
    name = ("%s (%s)"):format(story.name, store),
    open = stories.stores[store] and stories.stores[store].open,
    options = { segment_size = 512, policy = false },
    given = story.given,
    doing = story.doing,
    states = 20,
    torn_stride = 64,
  }
end

-- Whether anything was found, and what; nil where another state is asked for.
local function look(story)
  local ok, report = pcall(scenario.explore, story)
  if not ok then return true, "  " .. report end
  if report.is_skipped then return nil end
  return #report.failures > 0, (tostring(report):gsub("^[^\n]*%): ", "  ", 1))
end

local is_right = true

for _, story in ipairs(stories) do
  for _, store in ipairs { story.store, "bitcask" } do
    local is_found, text = look(told_of(story, store))
    if is_found ~= nil then
      print(("%s, in %s:\n%s"):format(story.name, store, text))
      if is_found ~= (store ~= "bitcask") then is_right = false end
    end
  end
end

local missed = scenario.missed()
if missed then print(missed) end
os.exit(is_right and not missed and 0 or 1)
