--- Spec files, each in a process of its own, some at a time: what they say is put together.
--
-- Those that took longest in the last run begin first. A file that kills its process is a
-- failure of that file. What a spec prints stands under its file; lines `count <name> <number>`
-- are collected.

local lfs = require "lfs"
local scratch = require "spec.support.scratch"

local parallel = {}

-- ---- What to run ---------------------------------------------------------------------------

local function add_files(path, into)
  if lfs.attributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name:sub(1, 1) ~= "." then
        local inner = path .. "/" .. name
        local is_directory = lfs.attributes(inner, "mode") == "directory"
        if is_directory or name:find "_spec%.lua$" then add_files(inner, into) end
      end
    end
  else
    into[#into + 1] = path
  end
end

-- What runs to another end than a summary, or says it in another way.
local single = { "^%-%-list", "^%-l$", "^%-%-version", "^%-%-help", "^%-h$", "^%-o", "^%-%-output",
  "^%-c", "^%-%-coverage", "^%-%-repeat", "^%-p", "^%-%-pattern", "^%-%-exclude%-pattern" }

local function wants_one_process(word)
  for _, pattern in ipairs(single) do
    if word:find(pattern) then return true end
  end
  return false
end

local function processors()
  local pipe <close> = assert(io.popen "getconf _NPROCESSORS_ONLN")
  return pipe:read "n" or 1
end

--- What there is to run in parallel, from busted's arguments: nil if it is for one process.
---@param words string[] files, directories and options; no file: the whole of spec
---@param jobs integer? how many processes at a time; nil: as many as there are processors
function parallel.plan(words, jobs)
  local files, options, has_root = {}, {}, false
  for _, word in ipairs(words) do
    if wants_one_process(word) then return nil end
    if lfs.attributes(word) then
      has_root = true
      add_files(word:gsub("/+$", ""), files)
    else
      options[#options + 1] = word
    end
  end
  if not has_root then add_files("spec", files) end
  jobs = jobs or processors()
  if #files < 2 or jobs < 2 then return nil end
  return { files = files, options = options, jobs = jobs, interpreter = words[-1] or "lua5.4" }
end

-- ---- In which order ------------------------------------------------------------------------

local times_file = "build/spec-times"

local function read_times()
  local times = {}
  local file <close> = io.open(times_file)
  for line in file and file:lines() or function() end do
    local seconds, name = line:match "^(%S+) (.*)$"
    times[name] = tonumber(seconds)
  end
  return times
end

local function write_times(times)
  local file <close> = io.open(times_file, "w")
  if not file then return end
  for name, seconds in pairs(times) do
    file:write(("%.3f %s\n"):format(seconds, name))
  end
end

-- A file that no run has timed: long ones are long as programs too, those of crashes above all.
local function guess(file)
  local weight = (file:find "/crash/" or file:find "/model/") and 1e6 or 0
  return weight + (lfs.attributes(file, "size") or 0)
end

local function longest_first(files, times)
  table.sort(files, function(a, b)
    local of_a, of_b = times[a] or math.huge, times[b] or math.huge
    if of_a ~= of_b then return of_a > of_b end
    local guess_a, guess_b = guess(a), guess(b)
    if guess_a ~= guess_b then return guess_a > guess_b end
    return a < b
  end)
end

-- ---- The processes -------------------------------------------------------------------------

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function job(plan, n, directory)
  local words = { quote(plan.interpreter), "spec/run.lua" }
  for _, option in ipairs(plan.options) do
    words[#words + 1] = quote(option)
  end
  words[#words + 1] = "--defer-print -Xoutput --plain --output=utfTerminal"
  words[#words + 1] = quote(plan.files[n])
  return ("%s > %s/%d.out 2>&1 < /dev/null\necho %d $?\n"):format(
    table.concat(words, " "), quote(directory), n, n)
end

-- Start a shell script for each file, so many at a time: a pipe with a line for each that has
-- ended, its number and its exit status. (So short a line reaches a pipe whole.)
local function start(plan, directory)
  local scripts = {}
  for n in ipairs(plan.files) do
    scripts[n] = ("%s/%d.sh"):format(directory, n)
    scratch.write(scripts[n], job(plan, n, directory))
  end
  scratch.write(directory .. "/jobs", table.concat(scripts, "\n"))
  return assert(io.popen(("xargs -P %d -n 1 sh < %s"):format(
    plan.jobs, quote(directory .. "/jobs"))))
end

-- ---- What they say -------------------------------------------------------------------------

local summary = "(%d+) success%w* / (%d+) failure%w* / (%d+) error%w* / (%d+) pending%w* "
  .. ": ([%d.]+) second%w*\n"

local function read_result(file, status, output)
  local result = { file = file, status = status }
  local first, last, passed, failures, errors, pending, seconds = output:find(summary)
  if not first then
    result.passed, result.pending, result.failed, result.seconds = 0, 0, 1, 0
    result.said = ""
    result.details = ("%s: ended with status %d before its specs did\n%s"):format(
      file, status, output)
    return result
  end
  result.passed, result.pending = tonumber(passed), tonumber(pending)
  result.failed, result.seconds = failures + errors, tonumber(seconds)
  result.said = output:sub(1, first - 1):gsub("%s+$", "")
  result.details = output:sub(last + 1):gsub("%s+$", "")
  if status ~= 0 and result.failed == 0 then
    result.failed = 1
    result.details = ("%s: its specs pass, its process ends with status %d\n%s"):format(
      file, status, result.details)
  end
  return result
end

local function tell(result)
  local parts = { result.passed .. " passed" }
  if result.pending > 0 then parts[#parts + 1] = result.pending .. " pending" end
  if result.failed > 0 then parts[#parts + 1] = result.failed .. " FAILED" end
  io.write(("%-44s %-32s %6.1f s\n"):format(
    result.file, table.concat(parts, ", "), result.seconds))
  for line in result.said:gmatch "[^\n]+" do
    io.write("    ", line, "\n")
  end
  io.flush()
end

local function tell_details(results)
  for _, kind in ipairs { "pending", "failed" } do
    for _, result in ipairs(results) do
      local is_failure = result.failed > 0
      if result.details ~= "" and is_failure == (kind == "failed") then
        io.write("\n", result.file, "\n", result.details, "\n")
      end
    end
  end
end

local function tell_counts(results)
  local lines = {}
  for _, result in ipairs(results) do
    for line in result.said:gmatch "[^\n]+" do
      if line:find "^count %S+ %d+" then lines[#lines + 1] = line end
    end
  end
  table.sort(lines)
  if #lines > 0 then io.write("\n", table.concat(lines, "\n"), "\n") end
end

local function tell_sum(results, jobs, seconds)
  local sum = { passed = 0, failed = 0, pending = 0, seconds = 0 }
  for _, result in ipairs(results) do
    for name, number in pairs(sum) do
      sum[name] = number + result[name]
    end
  end
  io.write(("\n%d passed, %d failed, %d pending; %d files on %d processes in %.0f s (%.0f s)\n")
    :format(sum.passed, sum.failed, sum.pending, #results, jobs, seconds, sum.seconds))
  return sum.failed == 0
end

--- Run what was planned, and print what it says: whether all of it passed.
function parallel.run(plan)
  local times, began = read_times(), os.time()
  longest_first(plan.files, times)
  local directory = scratch.directory()
  local _ <close> = setmetatable({}, { __close = scratch.clean })
  local results, pipe = {}, start(plan, directory)
  for line in pipe:lines() do
    local n, status = line:match "^(%d+) (%d+)$"
    local file = plan.files[tonumber(n)]
    local output = scratch.read(("%s/%d.out"):format(directory, n))
    local result = read_result(file, tonumber(status), output)
    results[#results + 1] = result
    times[file] = result.seconds
    tell(result)
  end
  local all_ran = pipe:close() == true and #results == #plan.files
  write_times(times)
  tell_details(results)
  tell_counts(results)
  return tell_sum(results, plan.jobs, os.time() - began) and all_ran
end

return parallel
