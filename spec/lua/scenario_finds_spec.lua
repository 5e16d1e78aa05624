-- What the explorer finds: small stores, each wrong in one way, and some that are right. The engine
-- itself is explored in spec/crash.

local bitcask = require "bitcask"
local log = require "examples.flawed.log"
local story_of = require "spec.support.small_story"

local scenario = bitcask.scenario

local function explore(change, parts) return scenario.explore(story_of(change, parts)) end

-- A recovery that writes the first segment anew, in its place.
local function rewriting(class)
  function class:load()
    local name = log.name_of(self:ids()[1] or 0)
    local file = self.directory:open(name)
    if file then
      local bytes = file:read()
      assert(self.directory:remove(name))
      assert(self.directory:sync())
      file = assert(self.directory:create(name))
      assert(file:append(bytes))
      assert(file:sync())
      assert(self.directory:sync())
    end
    log.load(self)
  end
end

-- A flush that is none.
local function unflushed(class)
  function class.sync() return true end
end

-- Writes that wait in memory for the next flush.
local function buffered(class)
  local put, sync = log.put, log.sync
  function class:put(key, value)
    self.waiting = self.waiting or {}
    table.insert(self.waiting, { key, value })
    return true
  end
  function class:sync()
    for _, pair in ipairs(self.waiting or {}) do
      assert(put(self, pair[1], pair[2]))
    end
    self.waiting = nil
    return sync(self)
  end
  function class:pairs()
    self:sync()
    return log.pairs(self)
  end
end

-- What is wrong with a store, and what is said of it.
local defects = {
  { "flushes nothing", unflushed, '"alan" is nothing instead of "1912"' },
  { "acknowledges what is in memory alone", buffered,
    '"ada" is "1815" instead of "1815-1852"' },
  { "counts wrongly", function(class)
    function class.count() return 7 end
  end, "count() is 7 where there are" },
  { "reads otherwise than it iterates", function(class)
    function class.get() return "1" end
  end, 'differs from what the iteration says' },
  { "does not open twice", function(class)
    function class:load()
      if #self:ids() > 0 then error("it was used before", 0) end
      log.load(self)
    end
  end, "the store does not open: it was used before (io)" },
  { "cannot be iterated over", function(class)
    function class:load()
      log.load(self)
      if self.last > 0 then self.pairs = function() error("cannot iterate", 0) end end
    end
  end, "cannot iterate" },
  { "forgets what is written after a crash", function(class)
    local put = log.put
    function class:put(key, value) return self.last > 1 or put(self, key, value) end
  end, "after writing and merging" },
  { "merges wrongly", function(class)
    function class:merge() self.keydir = {} return true end
  end, "after writing and merging" },
  { "gives out a version twice", function(class)
    local put = log.put
    function class:put(key, value) return put(self, key, value) and 1 end
  end, "a new write got version 1, where 1 was given out before" },
  { "keeps a deletion in memory", function(class)
    function class:delete(key)
      self.keydir[key] = nil
      return true
    end
  end, '"alan" is "1912" instead of nothing' },
}

describe("the explorer finds a store that", function()
  for _, defect in ipairs(defects) do
    local what, change, complaint = table.unpack(defect)
    it(what, function()
      local story = story_of(change)
      local report = scenario.explore(story)
      assert.equal(1, #report.failures, tostring(report))
      assert.is_truthy(report.failures[1].complaint:find(complaint, 1, true), tostring(report))
      local again = scenario.again(story, report.failures[1].name)
      assert.equal(report.failures[1].complaint, again.failures[1].complaint)
    end)
  end

  it("is half in a batch", function()
    local function halving(class)
      function class:batch()
        local batch, changes = {}, {}
        function batch.put(_, key, value) changes[#changes + 1] = { key, value } end
        function batch.commit()
          for _, pair in ipairs(changes) do
            assert(self:put(pair[1], pair[2]))
          end
          return true
        end
        return batch
      end
    end
    local report = explore(halving, {
      doing = function(db) assert(db:batch():put("a", "1"):put("b", "2"):commit()) end,
    })
    assert.is_truthy(tostring(report):find('"a" is "1" instead of nothing', 1, true))
  end)

  it("keeps a newer write without an older one", function()
    -- Each key has a file of its own, and none waits for the other.
    local function scattered(class)
      function class:put(key, value)
        local name = key:gsub("%W", "_")
        local file = self.directory:open(name) or assert(self.directory:create(name))
        assert(self.directory:sync())
        assert(file:append(log.encode(key, value)))
        self.files = self.files or {}
        self.files[#self.files + 1] = file
        self.keydir[key] = value or nil
        return true
      end
      function class:delete(key) return self:put(key, false) end
      function class:sync()
        for _, file in ipairs(self.files or {}) do
          assert(file:sync())
        end
        return true
      end
      function class:load()
        self.keydir, self.handles = {}, {}
        for _, name in ipairs(self.directory:list()) do
          for key, value in log.records(self.directory:open(name):read()) do
            self.keydir[key] = value or nil
          end
        end
      end
      function class:pairs() return pairs(self.keydir) end
      function class:get(key) return self.keydir[key] end
      function class.seal() return false end
    end
    local report = explore(scattered, {
      doing = function(db)
        assert(db:put("b", "1"))
        assert(db:put("a", "2"))
      end,
    })
    assert.equal(1, #report.failures)
    assert.matches("after none of the first 2 to 4 writes is the store so", tostring(report))
    assert.same({}, explore(scattered, { doing = function(db) assert(db:put("b", "1")) end,
      depth = 1 }).failures)
  end)

  it("loses in a crash during recovery, and only at depth two", function()
    local report = explore(rewriting, { depth = 1 })
    assert.same({}, report.failures)
    local story = story_of(rewriting)
    report = scenario.explore(story)
    local failure = report.failures[1]
    assert.matches("^%d+:[^/]+/%d+:", failure.name)
    local again = scenario.again(story, failure.name)
    assert.equal(failure.complaint, again.failures[1].complaint)
  end)

  it("believes a torn write when its process dies", function()
    -- Its scan goes by lengths alone.
    local function careless(class)
      function class:put(key, value)
        local file = self.directory:open "all" or assert(self.directory:create "all")
        assert(self.directory:sync())
        assert(file:append(("<s1s1"):pack(key, value or "")))
        self.file, self.keydir[key] = file, value or nil
        return true
      end
      function class:delete(key) return self:put(key, false) end
      function class:sync() return not self.file or self.file:sync() end
      function class:load()
        self.keydir, self.handles = {}, {}
        local file = self.directory:open "all"
        local bytes = file and file:read() or ""
        local at = 1
        while at < #bytes do
          local key, value
          key, value, at = ("<s1s1"):unpack(bytes .. ("\0"):rep(512), at)
          self.keydir[key] = value ~= "" and value or nil
        end
      end
      function class:pairs() return pairs(self.keydir) end
      function class:get(key) return self.keydir[key] end
      function class.seal() return false end
    end
    local story = story_of(careless, { failures = 1000 })
    local found
    for _, failure in ipairs(scenario.explore(story).failures) do
      if failure.name:find ":kill%d" then found = failure end
    end
    assert.is_truthy(found)
    assert.equal(found.complaint, scenario.again(story, found.name).failures[1].complaint)
  end)
end)

-- All pairs in one of two slots, which are written by turns, in place.
local slots = {}
slots.__index = slots

local slot_size = 512

local function read_slot(bytes, at)
  if #bytes < at + 12 then return 0, {} end
  local sum, turn, size = ("<I4I4I4"):unpack(bytes, at + 1)
  local body = bytes:sub(at + 13, at + 12 + size)
  if bitcask.hash.xxh32(("<I4s4"):pack(turn, body)) ~= sum then return 0, {} end
  local all, place = {}, 1
  while place <= #body do
    local key, value
    key, value, place = ("<s4s4"):unpack(body, place)
    all[key] = value
  end
  return turn, all
end

function slots.open(disk, is_one_slot)
  local directory = assert(disk:directory "store")
  local file = directory:open "slots" or assert(directory:create "slots")
  assert(file:sync())
  assert(directory:sync())
  local bytes = file:read()
  local self = setmetatable({ file = file, is_one_slot = is_one_slot }, slots)
  local first, all_of_first = read_slot(bytes, 0)
  local second, all_of_second = read_slot(bytes, slot_size)
  self.turn, self.all = second, all_of_second
  if first > second then self.turn, self.all = first, all_of_first end
  return self
end

function slots:put(key, value)
  local turn, all, parts = self.turn + 1, {}, {}
  for name, of_it in pairs(self.all) do
    all[name] = of_it
  end
  all[key] = value or nil
  for name, of_it in pairs(all) do
    parts[#parts + 1] = ("<s4s4"):pack(name, of_it)
  end
  local body = ("<I4s4"):pack(turn, table.concat(parts))
  local bytes = ("<I4"):pack(bitcask.hash.xxh32(body)) .. body
  local slot = self.is_one_slot and 0 or turn % 2
  local ok, message, code = self.file:write_at(slot * slot_size, bytes)
  if ok then ok, message, code = self.file:sync() end
  if not ok then return nil, message, code end
  self.turn, self.all = turn, all
  return true
end

function slots:delete(key) return self:put(key, false) end
function slots:get(key) return self.all[key] end
function slots:pairs() return pairs(self.all) end
function slots.sync() return true end
function slots.merge() return true end
function slots:close() self.file:close() return true end

-- What follows the last whole record of the newest segment is cut off, and that one goes on.
local function cutting(class)
  function class:load()
    log.load(self)
    local file = self.handles[self.last]
    if not file then return end
    local valid = 0
    for _, _, offset, size in log.records(file:read()) do
      valid = offset + size
    end
    if valid < file:size() then
      assert(file:cut(valid))
      assert(file:sync())
    end
    self.active = self.last
  end
end

describe("a store that writes in place", function()
  local function two_slots(is_one_slot)
    return story_of(nil, {
      open = function(disk) return slots.open(disk, is_one_slot) end,
      options = { sync = "always" },
      disk = { sector = 64 },
    })
  end

  it("is found good where one of two slots is always whole", function()
    local report = scenario.check(two_slots(false))
    assert.is_true(report.distinct > 50)
  end)

  it("is found out where the only slot is torn", function()
    local report = scenario.explore(two_slots(true))
    assert.equal(1, #report.failures)
    assert.matches("^write_at slots", report.failures[1].after)
  end)

  it("lives through writes that fail, whole or in part", function()
    local story = two_slots(false)
    story.doing = function(db) db:put("ada", "1815-1852") end
    for _, name in ipairs { "1:write_at:io:once", "1:write_at:nospace:for-ever",
      "1:write_at:io-in-part:once" } do
      local report = scenario.again(story, name)
      assert.equal(1, report.faults)
      assert.same({}, report.failures)
    end
  end)

  it("is found out where it reads, and believes, what a flush failed to write", function()
    local story = two_slots(false)
    story.doing = function(db) db:put("ada", "1815-1852") end
    local report = scenario.faults(story)
    assert.equal("2:sync:io:once", report.failures[1].name)
    assert.matches("^after a power cut that leaves %d+:", report.failures[1].complaint)
  end)

  it("is found good where it cuts off what is torn, and flushes that", function()
    local reopening = function(db)
      assert(db:put("ada", "1815-1852"))
      assert(db:reopen())
      assert(db:put("grace", "1906"))
      assert(db:reopen())
    end
    local report = scenario.check(story_of(cutting, { doing = reopening, second_stride = 1 }))
    assert.is_true(report.nested > 40, tostring(report))
  end)
end)

describe("failures of the disk", function()
  it("find a store that takes no notice of them, and can be looked at again by name", function()
    local function deaf(class)
      local put = log.put
      function class:put(key, value)
        put(self, key, value)
        return true
      end
    end
    local story = story_of(deaf, {
      doing = function(db) db:put("grace", "1906") end,
    })
    local report = scenario.faults(story)
    assert.equal(1, #report.failures)
    local failure = report.failures[1]
    assert.matches("^%d+:append:[%l-]+:once$", failure.name)
    assert.equal('get("grace") gave "nil" while the disk failed', failure.complaint)
    local again = scenario.again(story, failure.name)
    assert.equal(1, again.faults)
    assert.equal(failure.complaint, again.failures[1].complaint)
    assert.matches("BITCASK_SCENARIO='a story@" .. failure.name:gsub("%p", "%%%0"),
      tostring(report))
  end)

  it("find a store that believes a second flush", function()
    local function trusting(class)
      local sync = log.sync
      function class:sync() return sync(self) or sync(self) end
    end
    local report = scenario.faults(story_of(trusting, {
      doing = function(db)
        db:put("grace", "1906")
        db:sync()
      end,
    }))
    assert.equal(1, #report.failures)
    assert.matches(":sync:io:once$", report.failures[1].name)
  end)
end)
