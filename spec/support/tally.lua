--- Counts of what was tried, one line for each: `count <name> <number>`. A file that counts says
-- `teardown(tally.report)`; spec/run.lua collects the lines of all files.

local tally = {}

local counts = {}

--- Count `number` more of `name`, one if it is not said.
function tally.add(name, number)
  counts[name] = (counts[name] or 0) + (number or 1)
end

--- Print what was counted, and begin anew.
function tally.report()
  local names = {}
  for name in pairs(counts) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    print(("count %s %d"):format(name, counts[name]))
  end
  counts = {}
end

return tally
