-- How much of the engine the specs have run: lines and branches of each module, from what
-- gcov (of gcc) has counted: `make coverage`. Modules are compiled twice, for the library and
-- for the specs of their own; a branch counts as taken when it was in either.
--
--   lua5.4 spec/coverage.lua BUILD MODULE...

-- What gcov says about the source of a module in one of the builds: true for each line that
-- was run, and for each branch that was taken; false for the others.
local function read_gcov(object, source, found)
  local pipe <close> = assert(io.popen(("gcov -b -c -t %s 2>/dev/null"):format(object)))
  local line_number, branch, is_ours = 0, 0, false
  for text in pipe:lines() do
    local begun = text:match "^%s*%-:%s*0:Source:(.*)$"
    if begun then is_ours = begun == source end
    local count, number = text:match "^%s*([%d#=%-]+)%*?:%s*(%d+):"
    if is_ours and number then
      line_number, branch = tonumber(number), 0
      if count ~= "-" and line_number > 0 then
        found.lines[line_number] = found.lines[line_number] or count:find "^%d" ~= nil
      end
    elseif is_ours and text:find "^branch" then
      local name = ("%d:%d"):format(line_number, branch)
      local taken = text:match "taken (%d+)"
      found.branches[name] = found.branches[name] or (taken ~= nil and taken ~= "0")
      branch = branch + 1
    end
  end
end

local function tally(set)
  local all, covered = 0, 0
  for _, is_covered in pairs(set) do
    all = all + 1
    if is_covered then covered = covered + 1 end
  end
  return all, covered
end

local function percent(all, covered)
  return all == 0 and 100 or 100 * covered / all
end

-- The lines of which a branch was never taken, for whoever looks for what is missing.
local function missing(branches)
  local lines, seen = {}, {}
  for name, is_covered in pairs(branches) do
    local line = tonumber(name:match "^%d+")
    if not is_covered and not seen[line] then
      seen[line] = true
      lines[#lines + 1] = line
    end
  end
  table.sort(lines)
  return table.concat(lines, " ")
end

local build = arg[1]
local sum = { lines = 0, run = 0, branches = 0, taken = 0 }
print "| module | lines | branches | branches not taken, in lines |\n|---|---|---|---|"
for i = 2, #arg do
  local module = arg[i]
  local found = { lines = {}, branches = {} }
  for _, directory in ipairs { build, build .. "/internals" } do
    read_gcov(("%s/%s.o"):format(directory, module), "csrc/" .. module .. ".c", found)
  end
  local lines, run = tally(found.lines)
  local branches, taken = tally(found.branches)
  print(("| `%s` | %.1f %% | %.1f %% | %s |"):format(module, percent(lines, run),
    percent(branches, taken), missing(found.branches)))
  sum.lines, sum.run = sum.lines + lines, sum.run + run
  sum.branches, sum.taken = sum.branches + branches, sum.taken + taken
end
print(("| all | %.1f %% of %d | %.1f %% of %d | |"):format(percent(sum.lines, sum.run), sum.lines,
  percent(sum.branches, sum.taken), sum.branches))
print(("count coverage_branches %d\ncount coverage_branches_taken %d"):format(sum.branches,
  sum.taken))
