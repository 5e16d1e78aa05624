-- The engine against a plain table: whatever is done, in whatever order, the store holds
-- what the table holds. A failure names the SEED and the STEP that repeat it:
--
--   SEED=1234 lua5.4 /usr/bin/busted spec/model/model_spec.lua
--
-- EFFORT=10 does ten times as much.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local shipped = require "spec.support.shipped"
local tally = require "spec.support.tally"
local tools = require "spec.support.tools"

-- Where the clock cannot be moved, nothing expires.
local clock = tools.module "spec.clock" and require "spec.clock"

local model = {}
model.__index = model

local sizes = { 256, 300, 512, 1024, 4096 }
local hashes = {
  "xxh3", "xxh64", "xxh32",
  function() return 3 end,
  function(key) return #key end,
}

function model.new(path)
  -- expected: from key to value; expires: from key to a time, of those that will; log: all
  -- writes in their order; marks: which version comes behind how many of them; snapshots: those
  -- that are open, with what they should tell; merges: how many may have dropped history.
  local self = setmetatable({
    path = path, expected = {}, expires = {}, now = 0, last = 0, old_keys = {},
    log = {}, marks = { { version = 0, count = 0 } }, snapshots = {}, merges = 0,
  }, model)
  for i = 1, 24 do
    self.old_keys[i] = i <= 20 and "k" .. i or random.bytes(300)
  end
  self:open()
  return self
end

local policies = {}
for _, policy in pairs(shipped) do
  policies[#policies + 1] = policy
end

-- Half of the time a policy merges in the background, and drops history when it likes.
function model:open()
  self.policy = math.random() < 0.5 and random.pick(policies)
  if self.policy then self.merges = self.merges + 1 end
  self.db = assert(bitcask.open(self.path, {
    policy = self.policy,
    segment_size = random.pick(sizes),
    hash = random.pick(hashes),
    sync = random.pick { "none", "none", "none", 0.001 },
    verify = math.random() < 0.8,
  }))
end

function model:risen(version)
  assert(version > self.last, "a version did not rise")
  self.last = version
  return version
end

local function copy(of)
  local same = {}
  for key, value in pairs(of) do
    same[key] = value
  end
  return same
end

local function new_value()
  return random.bytes(random.pick { 0, 5, 50, 50, 200, 600 })
end

-- Seconds to live; most live for ever.
local function new_ttl()
  return clock and math.random() < 0.2 and math.random(40) or nil
end

-- A put, or a delete with a value of false, was done: by itself or in a group. Deletes of what
-- is not there are no writes.
function model:did(key, value, ttl)
  if value or self.expected[key] then
    self.log[#self.log + 1] = { key = key, value = value or nil }
  end
  self.expected[key] = value or nil
  self.expires[key] = value and ttl and self.now + ttl or nil
end

-- What was done has ended with this version.
function model:mark(version)
  self.last = version
  self.marks[#self.marks + 1] = { version = version, count = #self.log }
end

local operations = {}

function operations.put(self)
  local key, value, ttl = random.pick(self.old_keys), new_value(), new_ttl()
  local version = self:risen(assert(self.db:put(key, value, ttl and { ttl = ttl })))
  self:did(key, value, ttl)
  self:mark(version)
end

function operations.delete(self)
  local key = random.pick(self.old_keys)
  local version = self.db:delete(key)
  if self.expected[key] then
    self:risen(version)
    self:did(key, false)
    self:mark(version)
  else
    assert(version == false, "something was deleted that was not there")
  end
end

-- Conditions that hold and others.
function operations.conditional(self)
  local key, value = random.pick(self.old_keys), new_value()
  local stat = self.db:stat(key)
  assert((stat ~= nil) == (self.expected[key] ~= nil))
  local opts, holds
  if math.random() < 0.5 then
    opts, holds = { if_absent = true }, not stat
  else
    local right = stat and math.random() < 0.7
    opts = { if_version = right and stat.version or math.random(self.last + 1) }
    holds = stat ~= nil and opts.if_version == stat.version
  end
  if opts.if_version and math.random() < 0.3 then value = false end
  local version, message, code
  if value then
    version, message, code = self.db:put(key, value, opts)
  else
    version, message, code = self.db:delete(key, opts)
  end
  assert(holds and version or not holds and code == "conflict", message or "a condition failed")
  if not holds then return end
  self:risen(version)
  self:did(key, value)
  self:mark(version)
end

local function random_writes(self, most)
  local writes = {}
  for i = 1, math.random(0, most) do
    local is_put = math.random() < 0.7
    writes[i] = {
      key = random.pick(self.old_keys), value = is_put and new_value(),
      ttl = is_put and new_ttl() or nil,
    }
  end
  return writes
end

function operations.batch(self)
  local batch <close> = self.db:batch()
  local writes = random_writes(self, random.pick { 1, 3, 10, 40 })
  for _, write in ipairs(writes) do
    if write.value then
      batch:put(write.key, write.value, write.ttl and { ttl = write.ttl })
    else
      batch:delete(write.key)
    end
  end
  assert(#batch == #writes)
  local chance = math.random()
  if chance < 0.1 then return end
  if chance < 0.2 then
    -- One that cannot be: all of it is refused.
    local key = random.pick(self.old_keys)
    batch:put(key, "x", self.expected[key] and { if_absent = true } or { if_version = 1 })
    assert(select(3, batch:commit()) == "conflict", "a batch was not refused")
    return
  end
  local version = assert(batch:commit())
  assert(version >= self.last, "a version did not rise")
  for _, write in ipairs(writes) do
    self:did(write.key, write.value, write.ttl)
  end
  self:mark(version)
end

-- What a transaction reads is the store as it was when it began, and its own writes; whatever
-- is done beside it. It is committed as if nothing had been.
function operations.transaction(self)
  local order, view
  local abort = math.random() < 0.1 and {}
  local function body(tx)
    local writes, base = {}, copy(self.expected)
    order, view = {}, base
    for _ = 1, math.random(0, 8) do
      local key, what = random.pick(self.old_keys), math.random(5)
      if what == 1 then
        assert(tx:get(key) == view[key], "tx:get differs")
      elseif what == 2 then
        assert(tx:has(key) == (view[key] ~= nil), "tx:has differs")
      else
        local value = what <= 4 and new_value()
        if value then
          assert(tx:put(key, value))
        else
          assert(tx:delete(key) == (view[key] ~= nil), "tx:delete differs")
        end
        if (value or view[key]) and not writes[key] then
          writes[key] = true
          order[#order + 1] = key
        end
        view[key] = value or nil
      end
      if math.random() < 0.1 then
        random.pick {
          operations.put, operations.delete, operations.batch, operations.seal,
          operations.merge_some,
        }(self)
      end
    end
    if abort then error(abort, 0) end
  end
  local ok, result, message = pcall(self.db.transaction, self.db, body)
  if abort then
    assert(not ok and result == abort, "an error was not passed on")
    return
  end
  assert(ok, result)
  assert(result, message)
  for _, key in ipairs(order) do
    self:did(key, view[key] or false)
  end
  self:mark(self.db:stats().version)
end

-- ---- Time -----------------------------------------------------------------------------

function operations.time(self)
  if not clock then return end
  local seconds = math.random(0, 10)
  clock.move(seconds)
  self.now = self.now + seconds
  for key, expires in pairs(self.expires) do
    if expires <= self.now then self.expected[key], self.expires[key] = nil, nil end
  end
end

-- ---- Snapshots ------------------------------------------------------------------------

function operations.snapshot(self)
  if #self.snapshots > 12 then return end
  local snap = self.db:snapshot()
  assert(snap.version == self.last, "a snapshot of another version")
  table.insert(self.snapshots, {
    snap = snap, expected = copy(self.expected), expires = copy(self.expires),
  })
end

function operations.look_back(self)
  if #self.snapshots == 0 then return end
  local one = random.pick(self.snapshots)
  for key, expires in pairs(one.expires) do
    if expires <= self.now then one.expected[key], one.expires[key] = nil, nil end
  end
  local count = 0
  for key, value in pairs(one.expected) do
    count = count + 1
    assert(one.snap:get(key) == value, "a snapshot's get differs")
    assert(one.snap:stat(key).size == #value, "a snapshot's stat differs")
  end
  assert(#one.snap == count, "a snapshot's count differs")
  local seen = contents.of(one.snap)
  for key, value in pairs(one.expected) do
    assert(seen[key] == value, "a snapshot's walk differs")
    seen[key] = nil
  end
  assert(next(seen) == nil, "a snapshot's walk gave too much")
  assert(not one.snap:has "never written")
end

function operations.forget(self)
  if #self.snapshots == 0 then return end
  local one = table.remove(self.snapshots, math.random(#self.snapshots))
  if math.random() < 0.7 then one.snap:close() end -- else it is collected
end

-- ---- Changes --------------------------------------------------------------------------

-- What they tell since a version is the log from there on. A tombstone more than in the log is
-- one of a key that was not there.
function operations.changes(self)
  local mark = random.pick(self.marks)
  local next_change, changes, code = self.db:changes(mark.version)
  if not next_change then
    assert(code == "notfound", changes)
    assert(self.merges > 0, "history was dropped without a merge")
    return
  end
  local at, last = mark.count, mark.version
  for change in next_change, changes, nil, changes do
    assert(change.version > last, "changes are out of order")
    last = change.version
    local entry = self.log[at + 1]
    if entry and entry.key == change.key and entry.value == change.value then
      at = at + 1
    else
      assert(change.deleted, "a change that was not made, or one is missing")
    end
    assert(change.deleted == (change.value == nil))
  end
  assert(at == #self.log, "changes are missing")
end

function operations.get(self)
  local key = random.pick(self.old_keys)
  local value, version = self.db:get(key)
  assert(value == self.expected[key], "get differs")
  assert(value == nil or self.db:stat(key).version == version, "stat differs")
end

function operations.check(self)
  contents.check(self.db, self.expected)
end

function operations.prefix(self)
  local prefix = random.pick { "k", "k1", "", "z", random.pick(self.old_keys) }
  local seen = {}
  for key, value in self.db:pairs { prefix = prefix } do
    seen[key] = value
  end
  for key, value in pairs(self.expected) do
    local begins = key:sub(1, #prefix) == prefix
    assert(seen[key] == (begins and value or nil), "a prefix differs")
  end
end

function operations.seal(self)
  assert(self.db:seal() ~= nil)
end

function operations.sync(self)
  assert(self.db:sync())
end

-- The policy may have merged what the plan names, between the naming and the call.
function model:by_plan(merge, plan)
  self.merges = self.merges + 1
  local results = table.pack(pcall(merge, self.db, plan))
  if results[1] then return table.unpack(results, 2, results.n) end
  local is_overtaken = self.policy and tostring(results[2]):find "there is no segment"
  if is_overtaken then return nil, "overtaken", "busy" end
  error(results[2], 0)
end

-- One may be under way already; in the background it would take away what is named here.
function model:merge(plan)
  if self.is_merging then return end
  local report, message, code = self:by_plan(self.db.merge, plan)
  assert(report or code == "busy", message)
end

function operations.merge_some(self)
  local some = random.some(contents.sealed(self.db))
  self:merge(random.shuffled(some))
end

function operations.merge_worthwhile(self)
  self:merge()
end

function operations.merge_several(self)
  local lists = { {}, {} }
  for _, id in ipairs(random.some(contents.sealed(self.db))) do
    table.insert(random.pick(lists), id)
  end
  local report, message = self:by_plan(self.db.merge, lists)
  assert(report or message == "overtaken", message)
end

-- Writes between the steps of a merge, which may be the last thing before a reopening.
function operations.merge_amid_writes(self)
  local report, message = self:by_plan(self.db.merge, {
    segments = contents.sealed(self.db),
    progress = function()
      for _ = 1, math.random(0, 5) do
        random.pick {
          operations.put, operations.delete, operations.get, operations.batch,
          operations.transaction, operations.look_back,
        }(self)
      end
      if math.random() < 0.2 then operations.seal(self) end
    end,
  })
  assert(report or message == "overtaken", message)
end

function operations.merge_behind_writes(self)
  local plan = random.some(contents.sealed(self.db))
  local job <close>, problem = self:by_plan(self.db.merge_async, plan)
  if problem == "overtaken" then return end
  assert(job, problem)
  self.is_merging = true
  for _ = 1, math.random(0, 30) do
    random.pick {
          operations.put, operations.delete, operations.get, operations.batch,
          operations.transaction, operations.look_back,
        }(self)
  end
  if math.random() < 0.2 then job:cancel() end
  local _, message, code = job:wait()
  self.is_merging = false
  assert(code == nil or code == "cancelled", message)
end

-- An iteration sees the store as it was when it began, whatever its loop does.
function operations.walk(self)
  local before, seen = {}, {}
  for key, value in pairs(self.expected) do
    before[key] = value
  end
  for key, value in self.db:pairs() do
    assert(seen[key] == nil, "a key came twice")
    seen[key] = value
    if math.random() < 0.3 then
      random.pick {
        operations.put, operations.delete, operations.batch, operations.seal,
        operations.merge_some, operations.merge_worthwhile, operations.snapshot,
      }(self)
    end
  end
  for key, value in pairs(before) do
    assert(seen[key] == value, "an iteration differs")
    seen[key] = nil
  end
  assert(next(seen) == nil, "an iteration gave too much")
end

function operations.reopen(self)
  assert(self.db:close())
  self.snapshots = {}
  self:open()
  contents.check(self.db, self.expected)
  assert(self.db:stats().version >= self.last, "the version went back")
end

-- What is done, and how often in relation.
local weights = {
  put = 300, delete = 120, get = 60, check = 4, prefix = 4, seal = 10, sync = 5, walk = 4,
  merge_some = 10, merge_worthwhile = 3, merge_several = 3, merge_amid_writes = 4,
  merge_behind_writes = 3, reopen = 4, conditional = 40, batch = 40, transaction = 40, time = 30,
  snapshot = 15, look_back = 30, forget = 12, changes = 6,
}

local function deck()
  local cards, names = {}, {}
  for name in pairs(weights) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    for _ = 1, weights[name] do
      cards[#cards + 1] = name
    end
  end
  return cards
end

local function run(path, seed, steps)
  random.begin(seed)
  if clock then clock.stop() end
  local self = model.new(path)
  local cards = deck()
  local history = {}
  for step = 1, steps do
    local name = random.pick(cards)
    history[#history + 1] = name
    local ok, message = xpcall(operations[name], debug.traceback, self)
    if not ok then
      error(("SEED=%d STEP=%d, %s, after %s:\n%s"):format(seed, step, name,
        table.concat(history, " ", math.max(1, #history - 10)), message), 0)
    end
  end
  operations.reopen(self)
  assert(self.db:merge())
  contents.check(self.db, self.expected)
  assert(self.db:close())
end

describe("the engine and a table", function()
  after_each(function()
    if clock then clock.reset() end
    ramdisk.clean()
  end)
  teardown(tally.report)

  local first = random.begin(os.time())
  local runs, steps = random.effort(40), 2000

  for i = 0, (os.getenv "SEED" and 1 or runs) - 1 do
    local seed = first + i
    it(("hold the same after %d steps, SEED=%d"):format(steps, seed), function()
      run(ramdisk.path(), seed, steps)
      tally.add("model_steps", steps)
    end)
  end
end)
