-- The engine against a plain table: whatever is done, in whatever order, the store holds
-- what the table holds. A failure names the SEED and the STEP that repeat it:
--
--   SEED=1234 lua5.4 /usr/bin/busted spec/model/model_spec.lua
--
-- EFFORT=10 does ten times as much.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"

local model = {}
model.__index = model

local sizes = { 256, 300, 512, 1024, 4096 }
local hashes = {
  "xxh3", "xxh64", "xxh32",
  function() return 3 end,
  function(key) return #key end,
}

function model.new(path)
  local self = setmetatable({ path = path, expected = {}, last = 0, old_keys = {} }, model)
  for i = 1, 24 do
    self.old_keys[i] = i <= 20 and "k" .. i or random.bytes(300)
  end
  self:open()
  return self
end

function model:open()
  self.db = assert(bitcask.open(self.path, {
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

local operations = {}

function operations.put(self)
  local key = random.pick(self.old_keys)
  local value = random.bytes(random.pick { 0, 5, 50, 50, 200, 600 })
  self:risen(assert(self.db:put(key, value)))
  self.expected[key] = value
end

function operations.delete(self)
  local key = random.pick(self.old_keys)
  local version = self.db:delete(key)
  if self.expected[key] then
    self:risen(version)
  else
    assert(version == false, "something was deleted that was not there")
  end
  self.expected[key] = nil
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

function operations.merge_some(self)
  local some = random.some(contents.sealed(self.db))
  assert(self.db:merge(random.shuffled(some)))
end

function operations.merge_worthwhile(self)
  assert(self.db:merge())
end

function operations.merge_several(self)
  local lists = { {}, {} }
  for _, id in ipairs(random.some(contents.sealed(self.db))) do
    table.insert(random.pick(lists), id)
  end
  assert(self.db:merge(lists))
end

-- Writes between the steps of a merge, which may be the last thing before a reopening.
function operations.merge_amid_writes(self)
  assert(self.db:merge {
    segments = contents.sealed(self.db),
    progress = function()
      for _ = 1, math.random(0, 5) do
        random.pick { operations.put, operations.delete, operations.get }(self)
      end
      if math.random() < 0.2 then operations.seal(self) end
    end,
  })
end

function operations.merge_behind_writes(self)
  local job <close> = assert(self.db:merge_async(random.some(contents.sealed(self.db))))
  for _ = 1, math.random(0, 30) do
    random.pick { operations.put, operations.delete, operations.get }(self)
  end
  if math.random() < 0.2 then job:cancel() end
  local _, message, code = job:wait()
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
        operations.put, operations.delete, operations.seal, operations.merge_some,
        operations.merge_worthwhile,
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
  self:open()
  contents.check(self.db, self.expected)
  assert(self.db:stats().version >= self.last, "the version went back")
end

-- What is done, and how often in relation.
local weights = {
  put = 300, delete = 120, get = 60, check = 4, prefix = 4, seal = 10, sync = 5, walk = 4,
  merge_some = 10, merge_worthwhile = 3, merge_several = 3, merge_amid_writes = 4,
  merge_behind_writes = 3, reopen = 4,
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
  assert(self.db:merge(contents.sealed(self.db)))
  contents.check(self.db, self.expected)
  assert(self.db:close())
end

describe("the engine and a table", function()
  after_each(scratch.clean)

  local first = random.begin(os.time())
  local runs, steps = random.effort(4), 2000

  for i = 0, (os.getenv "SEED" and 1 or runs) - 1 do
    local seed = first + i
    it(("hold the same after %d steps, SEED=%d"):format(steps, seed), function()
      run(scratch.path(), seed, steps)
    end)
  end
end)
