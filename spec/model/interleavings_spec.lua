-- Writers, readers, iterators, snapshots and merges that take turns: every order of their steps
-- with at most two preemptions, then orders that a seed draws. A step is one call of the engine
-- or one step of a merge. After each order: every way of reading agrees, the death of the
-- process loses nothing, nothing is held any more, and no file is left over.
--
-- EFFORT=10 draws ten times as many; SCHEDULE='name:WWRM' runs one order again.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local core = require "bitcask.core"
local history = require "spec.support.history"
local random = require "spec.support.random"
local schedule = require "spec.support.schedule"
local tally = require "spec.support.tally"

-- ---- The world -----------------------------------------------------------------------------

local World = {}
World.__index = World

local store_options = { segment_size = 512 }

local function open(disk, options)
  local all = { disk = disk }
  for name, value in pairs(options or store_options) do
    all[name] = value
  end
  return assert(bitcask.open("store", all))
end

function World:put(key, options)
  self.written = self.written + 1
  local value = ("%s of write %d "):format(key, self.written):rep(2)
  assert(self.db:put(key, value, options))
  self.model[key] = value
end

function World:delete(key)
  assert(self.db:delete(key) ~= nil)
  self.model[key] = nil
end

-- A look-up must give what is there now.
function World:look(key, reader)
  local value, message, code = (reader or self.db):get(key)
  assert(not code, message)
  assert(value == self.model[key], ("%s is %s"):format(key, tostring(value)))
end

function World:look_everywhere()
  for i = 1, 8 do
    self:look("k" .. i)
  end
end

function World:seal()
  assert(self.db:seal() ~= nil)
end

-- As a body of an actor: a merge in steps of so many bytes.
function World:merge(step, budget)
  local merge <close>, message, code = core.merge.open(self.db, nil, 0)
  if not merge then
    assert(code == "busy", message)
    return
  end
  repeat
    step()
    local finished, complaint = merge:step(budget or 150)
    assert(finished ~= nil, complaint)
  until finished
end

-- A body: what an iteration yields is what was there when it began, without what has expired
-- meanwhile, which is hidden from everyone.
function World:walk(step)
  local expected = history.copy(self.model)
  local found = {}
  for key, value in self.db:pairs() do
    assert(found[key] == nil, "a key came twice")
    found[key] = value
    step()
  end
  for key, value in pairs(self.expired) do
    if expected[key] == value and not found[key] then expected[key] = nil end
  end
  local difference = history.difference(found, expected)
  assert(not difference, difference)
end

local prepared = {}

-- A store with two sealed segments in which much is dead, and an active one: made once.
local function begin(options)
  local key = options and options.sync or "none"
  if not prepared[key] then
    local disk = bitcask.sim.disk {}
    local world = setmetatable({ disk = disk, model = {}, written = 0, expired = {} }, World)
    world.db = open(disk, options)
    for i = 1, 8 do
      world:put("k" .. i)
    end
    for i = 1, 4 do
      world:put("k" .. i)
    end
    world:delete "k8"
    world:seal()
    world:put "k5"
    assert(world.db:close())
    prepared[key] = world
  end
  local from = prepared[key]
  local disk = from.disk:copy()
  return setmetatable({
    disk = disk, db = open(disk, options), model = history.copy(from.model),
    written = from.written, expired = {},
  }, World)
end

local function check(db, model, when)
  local difference = history.difference(contents.of(db), model)
  assert(not difference, difference and when .. ": " .. difference)
  assert(db:count() == require "pl.tablex".size(model), when)
end

local function check_left(disk, model, when)
  local db = open(disk)
  check(db, model, when)
  assert(db:close())
end

local function finish(world)
  check(world.db, world.model, "at the end")
  world:look_everywhere()
  local stats = world.db:stats()
  assert(stats.snapshots == 0 and stats.pinned_segments == 0, "something is still held")
  check_left(world.disk:kill(), world.model, "after the death of the process")
  local files = {}
  local description = world.db:segments()
  description.segments[#description.segments + 1] = description.active
  for _, segment in ipairs(description.segments) do
    files[("%06d.seg"):format(segment.id)] = true
  end
  assert(world.db:close())
  for _, name in ipairs(world.disk:files "store") do
    assert(files[name] or not name:find "%.seg$", "left over: " .. name)
  end
  check_left(world.disk, world.model, "opened again")
end

-- ---- The stories -----------------------------------------------------------------------------

local stories = {}

local function story(name, actors, options)
  stories[#stories + 1] = {
    name = name, actors = actors, finish = finish,
    begin = function() return begin(options) end,
  }
end

local function overwrites(world, step)
  for _, key in ipairs { "k1", "k6", "k1" } do
    world:put(key)
    step()
  end
end

local function deletions(world, step)
  for _, key in ipairs { "k1", "k6", "k5" } do
    world:delete(key)
    step()
  end
end

local function reads(world, step)
  for _, key in ipairs { "k1", "k6", "k8", "k5" } do
    world:look(key)
    step()
  end
end

local function actor(letter, body, ...)
  local more = table.pack(...)
  return function(world)
    return { letter = letter, body = function(step)
      body(world, step, table.unpack(more, 1, more.n))
    end }
  end
end

local function cast(...)
  local makers = { ... }
  return function(world)
    local list = {}
    for i, make in ipairs(makers) do
      list[i] = make(world)
    end
    return list
  end
end

local merge = actor("M", World.merge)
local writer, deleter = actor("W", overwrites), actor("D", deletions)
local reader, walker = actor("R", reads), actor("I", World.walk)

local function hold_snapshot(world, step)
  local snapshot <close> = assert(world.db:snapshot())
  local then_ = history.copy(world.model)
  step()
  for i = 1, 8 do
    assert(snapshot:get("k" .. i) == then_["k" .. i], "the snapshot has changed")
  end
  step()
  local found = {}
  for key, value in snapshot:pairs() do
    found[key] = value
  end
  local difference = history.difference(found, then_)
  assert(not difference, difference)
end

local function seals(world, step)
  for i = 1, 2 do
    world:put("k" .. i + 6)
    world:seal()
    step()
  end
end

local function batches(world, step)
  for number = 1, 2 do
    local batch <close> = world.db:batch()
    batch:put("k1", "batch " .. number):delete("k6"):put("k9", "batch " .. number)
    step()
    assert(batch:commit())
    world.model.k1, world.model.k6 = "batch " .. number, nil
    world.model.k9 = "batch " .. number
    step()
  end
end

-- Read, think, write on condition that nothing has changed: as often as it takes.
local function condition(key)
  return function(world, step)
    for _ = 1, 2 do
      repeat
        local value, version = world.db:get(key)
        assert(value == world.model[key])
        step()
        local new = (value or "") .. "+"
        local options = version and { if_version = version } or { if_absent = true }
        local is_current = world.model[key] == value
        local done, _, code = world.db:put(key, new, options)
        -- Versions never come back: the same value means that nobody wrote it.
        assert((done ~= nil) == is_current, code)
        if done then world.model[key] = new end
        step()
      until done
    end
  end
end

-- All that was written since it looked last, in order, unless a merge has dropped some of it.
local function follow_changes(world, step)
  local last, newest = world.db:stats().version, {}
  for _ = 1, 3 do
    step()
    local next_change, changes, first, closing = world.db:changes(last)
    if next_change then
      for change in next_change, changes, first, closing do
        assert(change.version > last, "changes go back")
        last, newest[change.key] = change.version, change.value or false
      end
      for key, value in pairs(newest) do
        assert((world.model[key] or false) == value, "a change was left out: " .. key)
      end
    else
      assert(first == "notfound", changes)
      last, newest = world.db:stats().version, {}
    end
  end
end

local function expiry(world, step)
  world:put("k9", { ttl = 10 })
  step()
  world:put("k1", { ttl = 10 })
  step()
  assert(world.disk:advance(11))
  for _, key in ipairs { "k1", "k9" } do
    world.expired[key], world.model[key] = world.model[key], nil
  end
  step()
  world:look "k9"
  world:look "k1"
end

-- Another handle on the same engine, opened and closed.
local function second_handle(world, step)
  for _ = 1, 2 do
    local other <close> = open(world.disk)
    step()
    world:look("k1", other)
    assert(other:put("k2", "of the other"))
    world.model.k2 = "of the other"
    step()
  end
end

-- A handle for reading alone, which shares the engine and so sees what is there now.
local function reading_handle(world, step)
  local other <close> = open(world.disk, { readonly = true })
  for _ = 1, 2 do
    step()
    check(other, world.model, "opened for reading")
    assert(select(3, other:put("k1", "no")) == "readonly")
    assert(other:refresh())
  end
end

-- A second merge: refused while the first one runs, or behind it.
local function abandon(world, step)
  local abandoned <close> = core.merge.open(world.db, nil, 0)
  step()
  if abandoned then assert(abandoned:step(200) ~= nil) end
  step()
end

story("overwriting", cast(writer, merge, reader))
story("deleting", cast(deleter, merge, reader))
story("writing and deleting", cast(writer, deleter, merge))
story("walking", cast(walker, merge, writer))
story("walking over what is deleted", cast(walker, merge, deleter))
story("holding a snapshot", cast(actor("S", hold_snapshot), merge, writer, deleter))
story("sealing", cast(actor("L", seals), merge, reader))
story("batches", cast(actor("B", batches), merge, walker))
story("conditions", cast(actor("C", condition "k1"), actor("E", condition "k1"), merge))
story("changes", cast(actor("F", follow_changes), merge, writer))
story("expiring", cast(actor("X", expiry), merge, walker))
story("a second handle", cast(actor("H", second_handle), merge, deleter))
story("a reader beside it", cast(actor("O", reading_handle), merge, writer))
story("a merge given up", cast(actor("A", abandon), merge, deleter))
story("flushing each write", cast(writer, merge, actor("S", hold_snapshot)), {
  sync = "always", segment_size = 512,
})

describe("in every order with two preemptions, and in others:", function()
  local name, turns = (os.getenv "SCHEDULE" or ""):match "^(.-):(%a+)$"

  for i, one in ipairs(stories) do
    if not name or name == one.name then
      it(one.name, function()
        if turns then
          schedule.replay(one, turns)
          return
        end
        local seed = random.begin(9000 + i)
        local count = schedule.exhaust(one, 2)
        assert.is_truthy(count >= 100, "hardly any: " .. count)
        tally.add("schedules_exhaustive", count)
        local some = random.effort(2000)
        local ok, message = pcall(schedule.sample, one, some)
        assert(ok, message and ("SEED=%d: %s"):format(seed, message))
        tally.add("schedules_sampled", some)
      end)
    end
  end

  teardown(tally.report)
end)
