-- The simulation and the engine: the same workload, the same policy, asked at the same moments,
-- and what merges wrote, what is on disk and how often was merged are held against each other.

local accounting = require "bitcask.lab.accounting"
local bitcask = require "bitcask"
local options = require "bitcask.options"
local plans = require "bitcask.plan"
local random = require "spec.support.random"
local ramdisk = require "spec.support.ramdisk"
local tools = require "spec.support.tools"
local workloads = require "bitcask.lab.workload"

local policies = bitcask.policy

local clock_is_there, missing = tools.module "spec.clock"
local clock = clock_is_there and require "spec.clock"

-- The real store in the clothes of the accounting.
local function real_store(path, values)
  local db = assert(bitcask.open(path, { segment_size = values.segment_size, policy = false }))
  local store = { db = db, merges = 0, merge_bytes = 0, now = 0 }

  local function name(key)
    return ("%0" .. values.key_size .. "d"):format(key)
  end

  -- Values are as long as the record in the books says.
  function store:put(key, size, ttl)
    local bytes = size - 28 - values.key_size - (ttl and 8 or 0)
    assert(self.db:put(name(key), ("v"):rep(bytes), { ttl = ttl }))
  end

  function store:advance(now)
    if clock then clock.move(now - self.now) end
    self.now = now
  end

  function store:delete(key)
    assert(self.db:delete(name(key)) ~= nil)
  end

  function store:merge(ids)
    local report = assert(self.db:merge(ids))
    if report.segments_in == 0 then return end
    self.merges = self.merges + 1
    self.merge_bytes = self.merge_bytes + report.bytes_written
  end

  return store
end

-- The operations of a workload on both at once.
local function both(books, store)
  local pair = {
    now = 0,
    put = function(self, key, size, expires)
      store:put(key, size, expires and ((expires - self.now) * 1000 + 0.5) // 1 / 1000)
      return books:put(key, size, expires)
    end,
    delete = function(_, key)
      store:delete(key)
      return books:delete(key)
    end,
  }
  function pair:advance(now)
    self.now = now
    store:advance(now)
    books:advance(now)
  end
  return pair
end

local function merge(policy, store, description)
  local plan = policy(description)
  for _, ids in ipairs(plan and plans.check(plan, options.plan, 1).lists or {}) do
    store:merge(ids)
  end
end

local function agree(what, booked, real)
  local difference = math.abs(booked - real) / math.max(1, real)
  assert(difference <= 0.02, ("%s: %s in the books, %s on disk"):format(what, booked, real))
end

local function play(policy, given)
  local values = assert(workloads.check(given))
  local player = workloads.player(values)
  local books = accounting.new {
    segment_size = values.segment_size, tombstone_size = player.tombstone_size,
  }
  local store = real_store(ramdisk.path(), values)
  local pair = both(books, store)
  local function after(is_sealed)
    if not is_sealed then return end
    merge(policy, store, store.db:segments())
    merge(policy, books, books:description())
  end
  for key = 1, player.fill do
    after(pair:put(key, player.size()))
  end
  for i = 1, values.writes do
    pair:advance(player.time(i))
    after(player.step(pair, i))
  end
  return books, store
end

describe("the simulation agrees with the engine", function()
  before_each(function()
    if not clock then return end
    clock.stop()
    clock.move(0.0005 - clock.now() % 0.001) -- far from where milliseconds change
  end)

  after_each(function()
    if clock then clock.reset() end
    ramdisk.clean()
  end)

  local seed = random.begin(os.getenv "SEED" and 0 or 7)
  local writes = random.effort(10000)

  local cases = {
    uniform = { kind = "uniform", keys = 2000, value_size = 100 },
    zipf = { kind = "zipf", keys = 2000, value_size = { 0, 300 } },
    sequential = { kind = "sequential", keys = 1500, value_size = 60 },
    deletes = { kind = "deletes", keys = 1500, value_size = { 20, 40 } },
    series = { kind = "series", keys = 1500, overwrites = 0.5, ttl = math.huge },
    expiring = { kind = "expiring", keys = 1500, ttl = 1 },
    ["an expiring series"] = { kind = "series", keys = 1500, overwrites = 0.2 },
  }
  local judges = {
    default = policies.default(),
    threshold = policies.threshold { dead_bytes = 4000, trigger_dead_bytes = 8000,
      small_file = 1000 },
    cost_benefit = policies.cost_benefit(),
    size_tiered = policies.size_tiered(),
    ["expiry and size_tiered"] = policies.any(policies.expiry { grace = 1 },
      policies.size_tiered()),
  }

  for case, given in pairs(cases) do
    for name, policy in pairs(judges) do
      it(("on %s with %s"):format(case, name), function()
        if case:find "expiring" and not clock then return pending(missing) end
        given.writes, given.seed, given.segment_size = writes, seed, 8192
        local books, store = play(policy, given)
        local real = assert(store.db:segments())
        assert(books.merges > 0, "nothing was merged")
        agree("merges", books.merges, store.merges)
        agree("bytes written by merges", books.merge_bytes, store.merge_bytes)
        agree("bytes on disk", books.bytes, real.bytes)
        agree("live bytes", books.live_bytes, real.live_bytes)
        agree("dead bytes", books:description().dead_bytes, real.dead_bytes)
        agree("segments", #books.sealed, #real.segments)
        assert(store.db:close())
      end)
    end
  end
end)
