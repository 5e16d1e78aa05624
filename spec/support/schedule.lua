--- Actors that take turns: each is a function that calls `step()` between the things that it
-- does, and a schedule says whose turn it is, by letter, at every step: "WWRMMW". All schedules
-- with few preemptions can be tried, or some that a seed draws; each can be run again by its
-- name.
--
-- A preemption is a turn that goes to another although the one before could have gone on. Most
-- mistakes need one or two (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007).

local schedule = {}

-- ---- One run -------------------------------------------------------------------------------

local function start(actors)
  local list = {}
  for _, actor in ipairs(actors) do
    list[#list + 1] = { letter = actor.letter, thread = coroutine.create(actor.body) }
  end
  return list
end

local function take_turn(actor)
  local ok, message = coroutine.resume(actor.thread, coroutine.yield)
  if not ok then error(debug.traceback(actor.thread, message), 0) end
  actor.is_done = coroutine.status(actor.thread) == "dead"
end

local function ready(list)
  local letters = {}
  for _, actor in ipairs(list) do
    if not actor.is_done then letters[#letters + 1] = actor.letter end
  end
  return letters
end

local function find(list, letter)
  for _, actor in ipairs(list) do
    if actor.letter == letter and not actor.is_done then return actor end
  end
end

--- Run the actors to their ends. `choose(position, letters, last)` gives the letter of the one
-- whose turn it is.
---@return table turns for each step {chosen =, ready =, last =}
local function run(actors, choose)
  local list, turns, last = start(actors), {}, nil
  while true do
    local letters = ready(list)
    if #letters == 0 then return turns end
    local letter = choose(#turns + 1, letters, last)
    turns[#turns + 1] = { chosen = letter, ready = letters, last = last }
    local actor = assert(find(list, letter), "it is not that one's turn: " .. letter)
    local ok, message = pcall(take_turn, actor)
    if not ok then return turns, message end
    last = letter
  end
end

local function name_of(turns)
  local letters = {}
  for i, turn in ipairs(turns) do
    letters[i] = turn.chosen
  end
  return table.concat(letters)
end

local function holds(list, wanted)
  for _, element in ipairs(list) do
    if element == wanted then return true end
  end
  return false
end

-- Whoever was on stays on; behind its end the first in line.
local function go_on(letters, last)
  return last and holds(letters, last) and last or letters[1]
end

-- Tell the story with these turns first, and whoever `otherwise` says behind them.
local function tell(story, prefix, otherwise)
  local world = story.begin()
  local turns, message = run(story.actors(world), function(position, letters, last)
    if position <= #prefix then return prefix:sub(position, position) end
    return otherwise(letters, last)
  end)
  if not message then
    local ok, complaint = xpcall(story.finish, debug.traceback, world)
    if not ok then message = complaint end
  end
  if message then
    error(("%s\nSCHEDULE='%s:%s' runs it again"):format(message, story.name, name_of(turns)), 0)
  end
  return turns
end

-- ---- All of them, or some ------------------------------------------------------------------

local function is_preemption(turn, letter)
  return turn.last ~= nil and turn.last ~= letter and holds(turn.ready, turn.last)
end

-- The schedules that differ from this run first at a place behind `from`, and have at most so
-- many preemptions: for each the turns up to there.
local function branches(turns, from, most, into)
  local preemptions = 0
  for i, turn in ipairs(turns) do
    if i > from then
      for _, letter in ipairs(turn.ready) do
        local more = is_preemption(turn, letter) and 1 or 0
        if letter ~= turn.chosen and preemptions + more <= most then
          into[#into + 1] = name_of(table.move(turns, 1, i - 1, 1, {})) .. letter
        end
      end
    end
    if is_preemption(turn, turn.chosen) then preemptions = preemptions + 1 end
  end
end

--- Tell a story in every order with at most so many preemptions: how many there are.
---@param story table {name =, begin = function() -> world, actors = function(world) -> list of
--- {letter =, body = function(step)}, finish = function(world)}
function schedule.exhaust(story, preemptions)
  local waiting, count = { "" }, 0
  while #waiting > 0 do
    local prefix = table.remove(waiting)
    local turns = tell(story, prefix, go_on)
    branches(turns, #prefix, preemptions, waiting)
    count = count + 1
  end
  return count
end

--- Tell it in so many orders that chance draws: priorities, changed at a few places
-- (Burckhardt and others, "A randomized scheduler", ASPLOS 2010), or a draw at each step.
function schedule.sample(story, count)
  for i = 1, count do
    local rank, place = {}, 0
    local changes = i % 2 == 0 and math.random(3) or math.huge
    tell(story, "", function(letters)
      place = place + 1
      local best
      for _, letter in ipairs(letters) do
        rank[letter] = rank[letter] or math.random()
        if not best or rank[letter] > rank[best] then best = letter end
      end
      -- Whoever is on comes last from now on, at a few places, or at half of all.
      if changes == math.huge and math.random(2) == 1 then
        rank[best] = math.random()
      elseif changes ~= math.huge and math.random(12) <= changes then
        rank[best] = -place
      end
      return best
    end)
  end
end

--- Tell one order of it again.
function schedule.replay(story, turns)
  tell(story, turns, go_on)
end

return schedule
