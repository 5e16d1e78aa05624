-- Tells stories while memory runs out: `lua5.4 spec/crash/memory.lua [CHAPTER…]`, with the trial
-- build (make trial). Every allocation that the engine makes in a story is refused: once, and it
-- and all that follow. The engine answers correctly or says why not, closes, gives back every
-- byte, and has on its disk all that it acknowledged.

package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
package.cpath = "./build/trial/?.so;" .. package.cpath

local trial = assert(require("bitcask.core").trial, "there is no trial build: make trial")
local scenario = require("bitcask").scenario
local stories = require "spec.crash.stories"

-- As scenario.trouble takes it.
local function plain(story)
  local copy = { states = 1, second_states = 2 }
  for name, part in pairs(story) do
    if name ~= "chapter" and name ~= "states" then copy[name] = part end
  end
  return copy
end

-- Refuse the n-th allocation; true where the story has made so many.
local function try(story, n, is_lasting)
  local was_met = false
  collectgarbage()
  local balance = trial.balance()
  local complaint = scenario.trouble(story, function()
    trial.refuse(n, is_lasting)
  end, function()
    was_met = trial.refuses_after() <= (is_lasting and 1 or 0)
    trial.refuse(0)
  end)
  trial.refuse(0)
  collectgarbage()
  collectgarbage()
  if not complaint and trial.balance() ~= balance then
    complaint = ("%d allocations are left"):format(trial.balance() - balance)
  end
  if complaint then
    error(("%s, allocation %d%s: %s"):format(story.name, n, is_lasting and " and all later" or "",
      complaint), 0)
  end
  return was_met
end

local function starve(story)
  local count = 0
  for _, is_lasting in ipairs { false, true } do
    local n = 1
    while try(story, n, is_lasting) do
      n, count = n + 1, count + 1
    end
  end
  return count
end

local wanted = {}
for _, chapter in ipairs(arg) do
  wanted[chapter] = true
end
local total = 0
for _, story in ipairs(stories) do
  if (#arg == 0 or wanted[story.chapter]) and not story.from_nothing then
    total = total + starve(plain(story))
  end
end
print(total)
