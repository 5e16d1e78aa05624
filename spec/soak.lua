-- What takes as long as there is time: whatever chance decides in the specs, over and over with
-- other seeds. `make soak SOAK_SECONDS=28800`, or
--
--   lua5.4 spec/soak.lua SECONDS [SEED]
--
-- The first thing that fails ends it, with the command that does the same again.

-- Each: a command, in which %d is a seed, and what it is called.
local tasks = {
  { "model", "SEED=%d EFFORT=5 lua5.4 spec/run.lua spec/model/model_spec.lua" },
  { "threads", "SEED=%d EFFORT=5 lua5.4 spec/run.lua spec/model/linearizability_spec.lua" },
  { "turns", "SEED=%d EFFORT=3 lua5.4 spec/run.lua spec/model/interleavings_spec.lua" },
  { "kills", "SEED=%d EFFORT=1 lua5.4 spec/run.lua spec/crash/kill_spec.lua" },
  { "damage", "SEED=%d lua5.4 spec/run.lua spec/crash/bits_spec.lua spec/crash/damage" },
  { "crashes", "SEED=%d EFFORT=5 lua5.4 spec/run.lua spec/crash/writing_spec.lua" },
  { "merges", "SEED=%d EFFORT=5 lua5.4 spec/run.lua spec/crash/merging_spec.lua" },
  { "lives", "SEED=%d EFFORT=5 lua5.4 spec/run.lua spec/crash/lives_spec.lua" },
  { "stress", "STRESS_SEED=%d STRESS_SECONDS=60 make stress" },
  { "limits", "SEED=%d EFFORT=5 lua5.4 spec/run.lua spec/crash/processes/descriptors_spec.lua" },
}

local function said_by(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local output = pipe:read "a"
  return pipe:close() == true, output
end

local function tell_counts(output, sums)
  for name, number in output:gmatch "count (%S+) (%d+)" do
    sums[name] = (sums[name] or 0) + tonumber(number)
  end
end

local function report(sums, rounds, seconds)
  local names = {}
  for name in pairs(sums) do
    names[#names + 1] = name
  end
  table.sort(names)
  print(("soak: %d rounds in %d s, nothing failed"):format(rounds, seconds))
  for _, name in ipairs(names) do
    print(("count soak_%s %d"):format(name, sums[name]))
  end
end

local function run(seconds, seed)
  local began, sums, rounds = os.time(), {}, 0
  while os.time() - began < seconds do
    local name, command = table.unpack(tasks[rounds % #tasks + 1])
    command = command:format(seed + rounds)
    print(("soak: %s, %s"):format(name, command))
    io.stdout:flush()
    local ok, output = said_by(command)
    if not ok then
      print(output)
      print(("soak: %s FAILED; again with\n  %s"):format(name, command))
      return false
    end
    tell_counts(output, sums)
    rounds = rounds + 1
  end
  report(sums, rounds, os.time() - began)
  return true
end

local seconds = assert(tonumber(arg[1]), "spec/soak.lua SECONDS [SEED]")
os.exit(run(seconds, math.tointeger(tonumber(arg[2])) or os.time()))
