--- Crashes at every moment of a story: what a power cut can leave, what the death of the
-- process leaves, and the same again while recovery is at work.
--
-- The story is told once, on a disk that records every change. Then the changes are made
-- again, one by one, and after each the disk is asked for its surviving states. So a story of
-- n changes costs one run of the engine and one examination for each state.
--
-- A state has a name, from which it is made again:
--
--   17:0120            after change 17, the power cut that leaves 0120
--   17:0120/4:01       recovering from that, a second one after change 4
--   17:kill, 17:kill9  the process dies; the write that comes next has got 9 bytes far

local examine = require "bitcask.scenario.examine"
local oracle = require "bitcask.scenario.oracle"
local witness = require "bitcask.scenario.witness"

local power = {}

-- The numbers of the operations that made the changes of a recorded disk.
local function ops_of_changes(disk)
  local list, replay = {}, disk:replay()
  for op in function() return replay:step() end do
    list[#list + 1] = op
  end
  return list
end

-- A recorded disk as it was after its first so many changes.
local function replay_to(disk, position)
  local replay = disk:replay()
  for _ = 1, position do
    assert(replay:step(), "the story has no such change any more")
  end
  return replay
end

-- Without any crash the store holds what was written, or nothing that follows means anything.
local function check_alive(store, log, now)
  local found, count = oracle.contents(store), #log.entries
  if oracle.signature(found) == oracle.signature(oracle.after(log, count, now)) then return end
  error("in the end, without a crash: " .. oracle.complain(log, found, count, count, now), 0)
end

--- Tell a story on a new disk.
---@param case table see bitcask.scenario
---@return table told `disk` (recorded), `log`, `ops` (of its changes), `trace`
function power.tell(case)
  local disk = case.new_disk()
  local log = witness.new_log()
  case.log = log
  if case.from_nothing then assert(disk:record()) end
  local store = witness.open(disk, case.open, case, log)
  if case.given then case.given(store) end
  if not case.from_nothing then
    assert(store:sync())
    assert(disk:record())
  end
  case.doing(store)
  check_alive(store.store, log, disk:now())
  assert(store:close())
  return { disk = disk, log = log, ops = ops_of_changes(disk) }
end

-- ---- One exploration -------------------------------------------------------------------

local exploration = {}
exploration.__index = exploration

-- What must and may be there when power fails, or the process dies, after change `position`.
-- A write that is being made then may be there in any case.
local function bounds(self, position, is_death, is_writing)
  local ops, log = self.told.ops, self.told.log
  local begun = position > 0 and ops[position] or self.first_op
  if is_writing then begun = ops[position + 1] end
  local durable, acknowledged, most = oracle.bounds(log, begun, ops[position + 1] or math.huge)
  return {
    least = is_death and acknowledged or durable,
    most = most,
    newest_version = oracle.newest_version(log, acknowledged),
  }
end

-- What the disk was doing when the story was cut, as its trace tells it.
local function operation_before(told, name)
  local op = told.ops[tonumber(name:match "^%d+")]
  if not op then return nil end
  local line = told.disk:trace():match(("\n *%d +([^\n]*)"):format(op))
  return line and (line:gsub(" +", " "))
end

function exploration:fail(name, complaint)
  self.report.failures[#self.report.failures + 1] = {
    name = name, complaint = complaint, after = operation_before(self.told, name),
  }
  return #self.report.failures < self.case.failures
end

-- Whether a disk that looks so was examined already, with the same to be expected of it.
function exploration:is_known(disk, allowed, what)
  local key = ("%s%x:%d:%d"):format(what, disk:fingerprint(), allowed.least, allowed.most)
  if self.known[key] then return true end
  self.known[key] = true
  return false
end

-- Examine a disk. `recovered` is the number of changes that recovery made, if they were to be
-- recorded; the disk can be replayed then.
function exploration:examine(disk, name, allowed, is_recorded)
  local recovered
  if is_recorded then assert(disk:record()) end
  local after = is_recorded and function() recovered = disk:recorded() end or nil
  local found, complaint = examine.disk(self.case, disk, allowed, after)
  if complaint then return self:fail(name, complaint) end
  return true, found, recovered
end

-- The states of `disk` as it is now.
local function states_of(self, disk, limit)
  return disk:crash_states { limit = limit, seed = self.case.seed }
end

-- Power fails a second time, after each change that recovery made. When it was done, what it
-- had found stays.
function exploration:second_cuts(disk, changes, name, allowed, found)
  local replay = disk:replay()
  for position = 0, changes do
    local exact = position == changes and found or nil
    for survivor, state in states_of(self, replay, self.case.second_states) do
      if not self:is_known(survivor, allowed, exact and "=" or "/") then
        self.report.nested = self.report.nested + 1
        local full = ("%s/%d:%s"):format(name, position, state)
        local go_on, found_again = self:examine(survivor, full, allowed)
        if go_on and exact and found_again and
            oracle.signature(found_again) ~= oracle.signature(exact) then
          go_on = self:fail(full, "what recovery had found is no longer what is found")
        end
        if not go_on then return false end
      end
    end
    replay:step()
  end
  return true
end

function exploration:power_cuts(replay, position)
  local allowed = bounds(self, position)
  local taken = 0
  for survivor, state in states_of(self, replay, self.case.states) do
    self.report.states = self.report.states + 1
    if not self:is_known(survivor, allowed, "") then
      self.report.distinct = self.report.distinct + 1
      local name = ("%d:%s"):format(position, state)
      local is_recorded = self.case.depth > 1 and taken % self.case.second_stride == 0
      taken = taken + 1
      local go_on, found, recovered = self:examine(survivor, name, allowed, is_recorded)
      if go_on and recovered then
        go_on = self:second_cuts(survivor, recovered, name, allowed, found)
      end
      if not go_on then return false end
    end
  end
  return true
end

-- How many bytes of a write are there at the next death in it. All of them in turn where headers
-- and small records are; in what is large, the further in, the further apart.
local function next_torn(torn, stride) return torn + math.max(stride, torn // 1024 * 16) end

function exploration:deaths(replay, position)
  local torn = 0
  local dead = replay:kill(0)
  while dead do
    local allowed = bounds(self, position, true, torn > 0)
    if not self:is_known(dead, allowed, "k") then
      self.report.kills = self.report.kills + 1
      local name = ("%d:kill%s"):format(position, torn > 0 and torn or "")
      if not self:examine(dead, name, allowed) then return false end
    end
    torn = next_torn(torn, self.case.torn_stride)
    dead = replay:kill(torn)
  end
  return true
end

--- Explore the crashes of a story.
---@param case table see bitcask.scenario
---@return table report
function power.explore(case)
  local told = power.tell(case)
  local self = setmetatable({
    case = case,
    told = told,
    known = {},
    first_op = told.ops[1] and told.ops[1] - 1 or 0,
    report = {
      changes = #told.ops, cuts = 0, states = 0, distinct = 0, nested = 0, kills = 0,
      failures = {},
    },
  }, exploration)
  local replay = told.disk:replay()
  for position = 0, #told.ops do
    if case.cut(position, told.ops[position] or self.first_op) then
      self.report.cuts = self.report.cuts + 1
      if not (self:power_cuts(replay, position) and self:deaths(replay, position)) then break end
    end
    replay:step()
  end
  return self.report
end

-- ---- One state again ----------------------------------------------------------------------

local function state_of(case, replay, state)
  local torn = state:match "^kill(%d*)$"
  if torn then
    local dead = replay:kill(tonumber(torn) or 0)
    return dead or error(("no write is torn after %s bytes"):format(torn), 0)
  end
  return replay:crash_state(state, case.seed)
end

--- Examine the one state of that name.
---@param case table see bitcask.scenario
---@param name string
---@return table report
function power.again(case, name)
  local told = power.tell(case)
  local position, state, second_position, second =
    name:match "^(%d+):([^/]+)/?(%d*):?(.*)$"
  if not position then error(("there is no state named '%s'"):format(name), 0) end
  position = tonumber(position)
  local self = setmetatable({
    case = case, told = told, known = {}, first_op = told.ops[1] and told.ops[1] - 1 or 0,
    report = { states = 1, failures = {} },
  }, exploration)
  local is_death = state:find "^kill" ~= nil
  local allowed = bounds(self, position, is_death, is_death and state ~= "kill")
  local disk = state_of(case, replay_to(told.disk, position), state)
  local is_second = second ~= ""
  local _, found, recovered = self:examine(disk, name, allowed, is_second)
  if is_second and recovered then
    local replay = replay_to(disk, tonumber(second_position))
    local _, again = self:examine(replay:crash_state(second, case.seed), name, allowed)
    local is_end = tonumber(second_position) == recovered
    if is_end and again and oracle.signature(again) ~= oracle.signature(found) then
      self:fail(name, "what recovery had found is no longer what is found")
    end
  end
  self.report.trace = told.disk:trace()
  return self.report
end

return power
