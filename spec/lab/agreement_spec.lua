-- The simulation and the engine: the same writes, the same policy in charge of both, asked by
-- their own rules; what merges wrote, what is on disk and how often was merged are held against
-- each other. The engine is on a simulated disk, where merges take no time, as in the simulation.

local bitcask = require "bitcask"
local random = require "spec.support.random"
local shipped = require "spec.support.shipped"
local workloads = require "bitcask.lab.workload"

-- The real store, as a workload sees it.
local function real_store(disk, values, policy)
  local db = assert(bitcask.open("store", {
    disk = disk, segment_size = values.segment_size, policy = policy,
  }))
  local store = { db = db, now = 0 }

  local function name(key)
    return ("%0" .. values.key_size .. "d"):format(key)
  end

  -- Values are as long as the record in the books says.
  function store:put(key, size, expires)
    local bytes = size - 28 - values.key_size - (expires and 8 or 0)
    local ttl = expires and ((expires - self.now) * 1000 + 0.5) // 1 / 1000
    assert(self.db:put(name(key), ("v"):rep(bytes), { ttl = ttl }))
  end

  function store:advance(now)
    local step = (now * 1000 + 0.5) // 1 - (self.now * 1000 + 0.5) // 1
    if step > 0 then disk:advance(step / 1000) end
    self.now = now
  end

  function store:delete(key)
    assert(self.db:delete(name(key)) ~= nil)
  end

  return store
end

local function play(values, policy)
  local player = workloads.player(values)
  local disk = bitcask.sim.disk { seed = 1 }
  local store = real_store(disk, values, policy)
  for key = 1, player.fill do
    store:put(key, player.size())
  end
  local before = store.db:stats()
  for i = 1, values.writes do
    store:advance(player.time(i))
    player.step(store, i)
  end
  return store, before
end

local function agree(what, booked, real)
  local difference = math.abs(booked - real) / math.max(1, real)
  assert(difference <= 0.02, ("%s: %s in the books, %s on disk"):format(what, booked, real))
end

describe("the simulation agrees with the engine", function()
  local seed = random.begin(os.getenv "SEED" and 0 or 7)
  local writes = random.effort(5000)

  local cases = {
    uniform = { kind = "uniform", keys = 1000, value_size = 100 },
    zipf = { kind = "zipf", keys = 1000, value_size = { 0, 300 } },
    sequential = { kind = "sequential", keys = 900, value_size = 60 },
    deletes = { kind = "deletes", keys = 1000, value_size = { 20, 40 } },
    series = { kind = "series", keys = 1500, overwrites = 0.5, ttl = math.huge },
    expiring = { kind = "expiring", keys = 1500, ttl = 1 },
    ["an expiring series"] = { kind = "series", keys = 1500, overwrites = 0.2 },
    ["large segments"] = {
      kind = "uniform", keys = 500, value_size = 4000, segment_size = 4 << 20,
    },
  }

  for case, given in pairs(cases) do
    for name, policy in pairs(shipped) do
      it(("on %s with %s"):format(case, name), function()
        given.writes, given.seed = case:find "large" and writes // 2 or writes, seed
        given.segment_size = given.segment_size or 8192
        local values = assert(workloads.check(given))
        local booked = assert(bitcask.policy.simulate(policy, given))
        local store, before = play(values, policy)
        local real, stats = assert(store.db:segments()), store.db:stats()
        assert(name ~= "default" or booked.merges > 0, "nothing was merged")
        agree("merges", booked.merges, stats.merges - before.merges)
        agree("bytes written by merges", booked.merge_bytes,
          stats.merge_bytes_written - before.merge_bytes_written)
        agree("bytes on disk", booked.bytes, real.bytes)
        agree("live bytes", booked.live_bytes, real.live_bytes)
        agree("dead bytes", booked.description.dead_bytes, real.dead_bytes)
        agree("segments", #booked.description.segments, #real.segments)
        assert(store.db:close())
      end)
    end
  end
end)
