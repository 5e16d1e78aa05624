-- Which scenario finds which deliberate defect of the engine:
--
--   make mutants                    all of them
--   lua5.4 spec/mutants.lua NAME…   some, by name
--
-- Each mutant of csrc/base/mutant.h is switched on in a process of its own, of the trial build,
-- and the stories of spec/crash/stories.lua are told until one fails: first with few crash
-- states each, then with failures of the disk, then with all states. A process that dies has
-- found something, too. One that nothing finds makes this program fail.

package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path

local JOBS = tonumber(os.getenv "JOBS") or 2
local worker_flag = "--worker"

-- Where to look first, so that all of it does not take an hour; elsewhere is looked, too.
local look_first = {
  FULL_UNFLUSHED = "flushing a full segment and the active one",
  HOLE_IGNORED = "writing through many segments",
  OUTPUT_UNFLUSHED = "merging everything",
  OUTPUT_NAME_UNFLUSHED = "merging everything",
  ACTIVE_UNFLUSHED = "merging what was superseded by what is not durable",
  INPUTS_REMOVED_FIRST = "merging everything",
  LEAPT_OVER_FORGOTTEN = "merging what somebody follows",
  TOMBSTONE_DROPPED = "merging the second segment",
  EXPIRED_DROPPED = "merging what has expired",
  BATCH_TORN = "a batch with sync = none",
  HIDDEN_FORGOTTEN = "a checkpoint amid a merge",
  FLUSH_FAILURE_IGNORED = "flushing now and then",
  EDIT_FAILURE_IGNORED = "sealing",
  NO_WORD_LEFT = "flushing now and then",
  UNFLUSHED_TRUSTED = "flushing now and then",
  TAIL_UNFLUSHED = "closing and opening again",
  SWEPT_FIRST = "closing and opening again",
}

-- What only a failing disk shows.
local shown_by_failures = {
  FLUSH_FAILURE_IGNORED = true, EDIT_FAILURE_IGNORED = true, NO_WORD_LEFT = true,
  UNFLUSHED_TRUSTED = true, TAIL_UNFLUSHED = true, SWEPT_FIRST = true,
}

-- ---- A process with one mutant -----------------------------------------------------------

local function few(story)
  return {
    states = 24, second_states = 3, second_stride = 40,
    torn_stride = (story.torn_stride or 1) * 16,
  }
end

local function with(story, parts)
  local copy = {}
  for _, from in ipairs { story, parts } do
    for name, part in pairs(from) do
      if name ~= "chapter" then copy[name] = part end
    end
  end
  return copy
end

local function nothing() return {} end

-- The ways in which a story is told, the quickest first.
local told = { parts = function() return { cut = function() end } end, explore = "explore" }
local few_cuts = { parts = few, explore = "explore" }
local failures = { parts = nothing, explore = "faults" }
local all_cuts = { parts = nothing, explore = "explore" }

local function passes_of(name)
  if shown_by_failures[name] then return { told, failures, few_cuts, all_cuts } end
  return { told, few_cuts, failures, all_cuts }
end

local function stories_of(name)
  local list = {}
  for _, story in ipairs(require "spec.crash.stories") do
    table.insert(list, story.name == look_first[name] and 1 or #list + 1, story)
  end
  return list
end

-- A story of damage, which no crash makes: nil, or what is wrong.
local function find_damage_missed(bitcask)
  local disk = bitcask.sim.disk {}
  local db = assert(bitcask.open("store", { disk = disk, policy = false }))
  assert(db:put("key", "value"))
  assert(db:close())
  local bytes = disk:read("store", "000001.seg")
  assert(disk:put("store", "000001.seg", (bytes:gsub("value", "VALUE"))))
  local again <close> = assert(bitcask.open("store", { disk = disk, policy = false }))
  local value, _, code = again:get "key"
  if value ~= nil or code ~= "corrupt" then return "a damaged value is returned" end
end

-- One line without tabs.
local function line_of(text) return (tostring(text):gsub("%s*\n%s*", " "):gsub("\t", " ")) end

-- The state of the first failure and what was found there; nil where all was well.
local function find_fault(scenario, story, pass)
  local ok, report = pcall(scenario[pass.explore], with(story, pass.parts(story)))
  if not ok then return "", line_of(report) end
  local failure = report.failures[1]
  if failure then return "@" .. failure.name, line_of(failure.complaint) end
end

local function work(name)
  package.cpath = "./build/trial/?.so;" .. package.cpath
  local trial = require("bitcask.core").trial
  local bitcask = require "bitcask"
  local scenario = bitcask.scenario
  local stories = stories_of(name)
  io.stdout:setvbuf "no"
  trial.mutate(name)
  local missed = find_damage_missed(bitcask)
  if missed then
    io.write("found\t", "a value changed on the disk", "\t", missed, "\n")
    return
  end
  for _, pass in ipairs(passes_of(name)) do
    for _, story in ipairs(stories) do
      if not (story.from_nothing and pass.explore == "faults") then
        io.write("trying\t", story.name, "\n")
        local state, complaint = find_fault(scenario, story, pass)
        if state then
          io.write("found\t", story.name, state, "\t", complaint, "\n")
          return
        end
      end
    end
  end
  io.write("survived\t", trial.met(), "\n")
end

-- ---- All of them -----------------------------------------------------------------------------

local function names_of_all()
  package.cpath = "./build/trial/?.so;" .. package.cpath
  local found = package.searchpath("bitcask.core", package.cpath)
  if not found or not found:find("build/trial", 1, true) then
    error("there is no trial build: make trial", 0)
  end
  return require("bitcask.core").trial.mutants()
end

local function start(mutant)
  local command = ("%s spec/mutants.lua %s %s 2>&1"):format(arg[-1], worker_flag, mutant.name)
  mutant.pipe = assert(io.popen(command))
  return mutant
end

-- What the process wrote: how the mutant was found, or that it was not.
local function finish(mutant)
  local last = {}
  for line in mutant.pipe:lines() do
    local kind, first, second = line:match "^(%a+)\t([^\t]*)\t?(.*)$"
    if not kind then
      last.noise = (last.noise or "") .. line .. " "
    else
      last = { kind = kind, first = first, second = second }
    end
  end
  local ok, how, code = mutant.pipe:close()
  if last.kind == "found" then
    mutant.found, mutant.complaint = last.first, last.second
  elseif last.kind == "trying" and not ok then
    mutant.found, mutant.complaint = last.first, ("the process dies: %s %s"):format(how, code)
  elseif last.kind ~= "survived" then
    error(("%s: the process told nothing: %s"):format(mutant.name, last.noise), 0)
  end
  return mutant
end

local function report(mutant)
  local scenario = mutant.found and ("found by '%s'"):format(mutant.found) or "NOT FOUND"
  print(("%-24s %s\n%24s %s"):format(mutant.name, mutant.does, "", scenario))
  if mutant.complaint then print(("%24s %s"):format("", mutant.complaint:sub(1, 200))) end
end

local function main(wanted)
  local mutants, running, killed, tried = {}, {}, 0, 0
  for _, mutant in ipairs(names_of_all()) do
    if #wanted == 0 or wanted[mutant.name] then mutants[#mutants + 1] = mutant end
  end
  for _, mutant in ipairs(mutants) do
    running[#running + 1] = start(mutant)
    if #running == JOBS or mutant == mutants[#mutants] then
      while #running > (mutant == mutants[#mutants] and 0 or JOBS - 1) do
        local done = finish(table.remove(running, 1))
        report(done)
        tried, killed = tried + 1, killed + (done.found and 1 or 0)
      end
    end
  end
  print(("count mutants_killed %d\n%d of %d mutants found"):format(killed, killed, tried))
  if tried == 0 then error("there is no such mutant", 0) end
  os.exit(killed == tried and 0 or 1, true)
end

if arg[1] == worker_flag then
  work(arg[2])
else
  local wanted = {}
  for i = 1, #arg do
    wanted[i] = arg[i]
    wanted[arg[i]] = true
  end
  main(wanted)
end
