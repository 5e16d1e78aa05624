--- Three policies for three kinds of data: simulated, and then in charge of a store.
--
--   lua5.4 examples/policies.lua
--
-- Each file in examples/policies returns a policy and a workload to judge it by. The workload is
-- played with it and with the default policy; then a store is opened with it and written to in
-- the same way. Exit status: 0, or 1 when anything failed.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/../lua/?.lua;%s/../lua/?/init.lua;"):format(here, here) .. package.path
package.cpath = ("%s/../build/?.so;"):format(here) .. package.cpath

local bitcask = require "bitcask"

local function say(...)
  print(string.format(...))
end

-- ---- In a simulation -------------------------------------------------------------------

local function simulate(name, policy, workload)
  local report = assert(bitcask.policy.simulate(policy, workload))
  say("  %-14s %.2f bytes written for each of a user's, at most %.2f on disk for each live one",
    name, report.write_amplification, report.space_amplification)
end

-- ---- With a store ----------------------------------------------------------------------

local writes = 5000

local function write(db, workload)
  local value = ("v"):rep(100)
  for i = 1, writes do
    local key = "key" .. (workload.kind == "series" and i or math.random(math.min(300, i)))
    assert(db:put(key, value, { ttl = workload.ttl }))
  end
end

local function count_live(db)
  local count = 0
  for _ in db:keys() do count = count + 1 end
  return count
end

local function serve(directory, policy, workload)
  local events = {}
  local db <close> = assert(bitcask.open(directory, {
    segment_size = 16384, policy = policy,
    on_event = function(event) events[event.kind] = (events[event.kind] or 0) + 1 end,
  }))
  write(db, workload)
  local reports = assert(db:maintain()) -- what is left to do, now
  local store = assert(db:segments())
  say("  a store        %d keys, %d bytes, %d of them live; %d segments sealed, %d merges",
    #db, store.bytes, store.live_bytes, events.sealed or 0, (events.merged or 0) + #reports)
  assert(count_live(db) == #db)
  assert(not events.error, "the policy failed")
end

local function remove(directory)
  assert(bitcask.open(directory)):close()
  os.execute(("rm -rf -- '%s'"):format(directory:gsub("'", "'\\''")))
end

-- ---- All of them ------------------------------------------------------------------------

for _, name in ipairs { "cache", "event_log", "hot_counters" } do
  local example = dofile(("%s/policies/%s.lua"):format(here, name))
  say("%s", name)
  simulate(name, example[name], example.workload)
  simulate("default", bitcask.policy.default(), example.workload)
  local directory = os.tmpname()
  os.remove(directory)
  serve(directory, example[name], example.workload)
  remove(directory)
end
