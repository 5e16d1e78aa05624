--- Scenarios: stories that the engine lives through while everything goes wrong.
--
--   local scenario = bitcask.scenario
--   print(scenario.check {
--     name = "deleting and merging",
--     options = { segment_size = 512 },
--     given = function(db) db:put("a", "1") db:seal() end,
--     doing = function(db) db:delete("a") db:put("b", "2") db:seal() db:merge() end,
--   })
--
-- The story is told once, on a simulated disk. Then the power fails at every change that it
-- made to the disk, in every way that may leave something else behind; the process dies at
-- every change, and inside every write; and power fails again while the store recovers. Every
-- disk that is left is opened, and has to hold what the first so many writes of the story have
-- made: all that was durable, and nothing torn out of the middle. Then it is written to,
-- merged, closed and opened again.
--
-- A story that fails prints one line from which that very state is made again:
--
--   BITCASK_SCENARIO='deleting and merging@17:0120'
--
-- Set that in the environment of the same program, and only that state of only that story is
-- looked at; a program that does not tell it fails at its end. docs/scenarios.md is the tutorial.

local checks = require "bitcask.checks"
local faults = require "bitcask.scenario.faults"
local options = require "bitcask.options"
local power = require "bitcask.scenario.power"
local sim = require "bitcask.sim"

local scenario = {}

local whole = checks.whole
local a_function, a_table = checks.callable, checks.table

--- What a story is made of.
scenario.story = {
  name = { check = checks.text, sentence = "what it is called in reports" },
  options = {
    default = {},
    check = a_table,
    sentence = "options of bitcask.open, a merge policy among them",
  },
  disk = { default = {}, check = a_table, sentence = "options of bitcask.sim.disk" },
  given = { check = a_function, sentence = "function(db): what was before; it is made durable" },
  doing = { check = a_function, sentence = "function(db): the story that is cut" },
  from_nothing = {
    default = false,
    check = checks.boolean,
    sentence = "the making of the store is part of the story",
  },
  expect = {
    check = a_function,
    sentence = "function(store, found): raises where a surviving store is not as it should be",
  },
  cut = {
    default = function() return true end,
    check = a_function,
    sentence = "function(change, operation): whether it is cut after that change of the disk",
  },
  open = {
    check = a_function,
    sentence = "function(disk): opens another store than ours, to be tried by the same rules",
  },
  states = { default = 400, check = whole(1), sentence = "states at each cut, about, at most" },
  depth = { default = 2, check = whole(1), sentence = "1: no power cuts while recovering" },
  second_states = {
    default = 6,
    check = whole(1),
    sentence = "states at each cut while recovering, about, at most",
  },
  second_stride = {
    default = 25,
    check = whole(1),
    sentence = "recovery is cut for one in so many states of a cut",
  },
  torn_stride = {
    default = 1,
    unit = "bytes",
    check = whole(1),
    sentence = "how far apart the bytes are at which a dying process leaves a write; "
      .. "further behind the first 1024",
  },
  seed = { default = 1, check = whole(0), sentence = "what is drawn where not all is tried" },
  failures = { default = 1, check = whole(1), sentence = "how many failures are enough" },
}

local directory = "store"

-- A store of ours on a simulated disk, with the story's options.
local function opener(story)
  return function(disk)
    local opts = { disk = disk }
    for name, value in pairs(story.options) do
      opts[name] = value
    end
    return require("bitcask").open(directory, opts)
  end
end

-- The story as it is told: checked, with defaults, and with what the rooms below need.
local function case_of(story, level)
  local case = options.check(scenario.story, story, level + 1)
  for name, part in pairs(scenario.story) do
    if case[name] == nil then case[name] = part.default end
  end
  if not case.name then error("a story needs a name", level + 1) end
  if not case.doing then error(("story '%s' needs 'doing'"):format(case.name), level + 1) end
  case.directory = directory
  case.open = case.open or opener(case)
  case.new_disk = function()
    local disk_options = { seed = case.seed }
    for name, value in pairs(case.disk) do
      disk_options[name] = value
    end
    return sim.disk(disk_options)
  end
  return case
end

-- ---- Reports ----------------------------------------------------------------------------

local report_metatable = {}

-- The counts, in the order in which they are told.
local counts = {
  { "changes", "changes of the disk" },
  { "cuts", "cuts" },
  { "states", "states after a power cut" },
  { "distinct", "of them distinct" }, { "nested", "states after a second one" },
  { "kills", "deaths of the process" }, { "faults", "faults" },
}

function report_metatable:__tostring()
  local parts = {}
  for _, count in ipairs(counts) do
    local number = self[count[1]]
    if number then parts[#parts + 1] = ("%d %s"):format(number, count[2]) end
  end
  local lines = { ("%s: %s"):format(self.name, table.concat(parts, ", ")) }
  for _, failure in ipairs(self.failures) do
    local after = failure.after and ("after %s, "):format(failure.after) or ""
    lines[#lines + 1] = ("  %sat %s: %s"):format(after, failure.name, failure.complaint)
    lines[#lines + 1] = ("  BITCASK_SCENARIO='%s@%s'"):format(self.name, failure.name)
  end
  return table.concat(lines, "\n")
end

local function report_of(case, report)
  report.name = case.name
  return setmetatable(report, report_metatable)
end

-- ---- One state alone ----------------------------------------------------------------------

-- The names of the stories that were not looked at, since another is asked for; and whether that
-- was met.
local passed_over, is_met = {}, false

-- Story and state that the environment asks for; nil: none.
local function wanted_pair(level)
  local wanted = os.getenv "BITCASK_SCENARIO"
  if not wanted or wanted == "" then return nil end
  local name, state = wanted:match "^(.*)@([^@]+)$"
  if name then return name, state end
  error(("BITCASK_SCENARIO='%s' names no state: it is the name of a story, an @, and the name of "
    .. "a state"):format(wanted), level + 1)
end

--- Whether BITCASK_SCENARIO asks for a story that was not told.
---@return string|nil message names it, and the stories that were told; nil: it was, or none is
--- asked for
function scenario.missed()
  if is_met or #passed_over == 0 then return nil end
  return ("BITCASK_SCENARIO asks for the story '%s', and there is none of that name; there are "
    .. "'%s'"):format((wanted_pair(1)), table.concat(passed_over, "', '"))
end

-- Only at the end of a program is it known that no story has the name. A program that ends its
-- state by itself asks for it.
local function fail_if_missed()
  local message = scenario.missed()
  if not message then return end
  io.stderr:write(message, "\n")
  os.exit(1)
end

local guard

local function pass_over(case)
  if not passed_over[case.name] then passed_over[#passed_over + 1] = case.name end
  passed_over[case.name] = true
  guard = guard or setmetatable({}, { __gc = fail_if_missed })
end

-- The state that the environment asks for: of this story, of another (false), or nil.
local function wanted_state(case)
  local name, state = wanted_pair(3)
  if name == case.name then
    is_met = true
    return state
  end
  if not name then return nil end
  pass_over(case)
  return false
end

--- Explore the crashes of a story.
---@param story table see scenario.story
---@return table report counts (`cuts`, `states`, `distinct`, `nested`, `kills`) and
--- `failures`, a list of `{name =, complaint =, after =}`: the state, what is wrong with it, and
--- the last operation before the cut; tostring tells all of it. Raises where the story itself
--- fails.
function scenario.explore(story)
  local case = case_of(story, 2)
  local state = wanted_state(case)
  if state == false then return report_of(case, { failures = {}, is_skipped = true }) end
  if state then return report_of(case, power.again(case, state)) end
  return report_of(case, power.explore(case))
end

-- As 17:sync:io:once; see bitcask.scenario.faults.
local function is_fault(state) return state:find "^%d+:[%l_]+:[%l-]+:[%l-]+$" ~= nil end

--- Look again at one crash of a story, or at one failure in it.
---@param story table see scenario.story
---@param state string the name of the state, or of the fault, as failures have it; raises where
--- the story has none of that name
---@return table report the same as of scenario.explore, with `trace`, what the story did to
--- the disk; or as of scenario.faults
function scenario.again(story, state)
  local case = case_of(story, 2)
  if type(state) ~= "string" then error("the name of a state is a string", 2) end
  if not is_fault(state) then return report_of(case, power.again(case, state)) end
  local report = faults.explore(case, state)
  if report.faults == 0 then error(("there is no fault named '%s'"):format(state), 2) end
  return report_of(case, report)
end

--- Let every operation that a story makes on the disk fail: once, and for ever, with every
-- error that it can give. Writes in the story may fail then; the story itself may raise.
---@param story table see scenario.story
---@return table report `faults`, their number, and `failures`, as of scenario.explore
function scenario.faults(story)
  local case = case_of(story, 2)
  local state = wanted_state(case)
  if state == false then return report_of(case, { failures = {}, is_skipped = true }) end
  return report_of(case, faults.explore(case, state))
end

--- Tell a story under a trouble of your own, and look at the store after it as scenario.faults
-- does: reads were right or failed, and what was acknowledged is there when it is opened again.
---@param story table see scenario.story
---@param trouble fun(disk) brings it about, when what is given is there
---@param heal? fun(disk) ends it, before the store is opened again
---@return string|nil complaint what is wrong; nil: nothing
function scenario.trouble(story, trouble, heal)
  return faults.try(case_of(story, 2), trouble, heal)
end

--- Explore a story, and raise what is found wrong.
---@param story table see scenario.story
---@param explore? fun(story): table scenario.explore or scenario.faults
---@return table report as of that
function scenario.check(story, explore)
  local report = (explore or scenario.explore)(story)
  if #report.failures > 0 then error(tostring(report), 2) end
  return report
end

return scenario
