-- The death of the process, at any moment: every write that returned is there afterwards, the
-- one that was under way is there wholly or not at all, and nothing is left lying about.

local child = require "spec.support.child"
local history = require "spec.support.history"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local recovered = require "spec.support.recovered"
local scratch = require "spec.support.scratch"
local shimmed = require "spec.support.shimmed"
local tally = require "spec.support.tally"
local tools = require "spec.support.tools"

-- Tells its process id, then "open", then "done <operation> <version>" after each.
local writer = [[
  local history = require "spec.support.history"
  local path, seed, count, segment_size, sync, base = ...
  local process <close> = assert(io.open("/proc/self/stat"))
  local model = assert(loadfile(base))()
  io.stdout:setvbuf "no"
  io.stdout:write(("%d\n"):format(process:read "n"))
  local db = assert(bitcask.open(path, {
    segment_size = math.tointeger(segment_size), sync = tonumber(sync) or sync,
  }))
  io.stdout:write "open\n"
  local state = { model = model }
  for i, operation in ipairs(history.random(math.tointeger(seed), math.tointeger(count))) do
    local version = history.perform(db, operation, state)
    history.follow(model, operation)
    io.stdout:write(("done %d %d\n"):format(i, version))
  end
  io.stdout:write "end\n"
  while true do end -- until killed
]]

teardown(tally.report)

local function save(model, path)
  local lines = {}
  for key, value in pairs(model) do
    lines[#lines + 1] = ("[%q] = %q,"):format(key, value)
  end
  scratch.write(path, "return {\n" .. table.concat(lines, "\n") .. "\n}\n")
end

-- Start a writer, kill it after `patience` lines of its own, and tell how far it got: the
-- number of the last operation, and the highest version.
local function kill_a_writer(round)
  local base = scratch.path()
  save(round.model, base)
  local command = child.command(writer, round.path, round.seed, round.count,
    round.segment_size, round.sync, base)
  local pipe = assert(io.popen("exec " .. command .. " 2>&1"))
  local id = assert(pipe:read "n")
  pipe:read "l"
  local last, highest, line = 0, 0, nil
  local function note()
    local number, version = line:match "^done (%d+) (%d+)$"
    assert(number or line == "open" or line == "end", line)
    if number then last, highest = tonumber(number), math.max(highest, tonumber(version)) end
  end
  for _ = 1, round.patience do
    line = pipe:read "l"
    if not line or line == "end" then break end
    note()
  end
  for _ = 1, round.dawdle do end
  os.execute("kill -9 " .. id)
  for rest in pipe:lines() do
    line = rest
    note()
  end
  pipe:close()
  os.remove(base)
  return last, highest
end

describe("kill -9 of a process that writes, deletes, seals and merges", function()
  after_each(function()
    ramdisk.clean()
    scratch.clean()
  end)

  local settings = {
    { sync = "none", segment_size = 1024, rounds = 25, patience = 600 },
    { sync = "none", segment_size = 16384, rounds = 20, patience = 1500 },
    { sync = "none", segment_size = 256, rounds = 20, patience = 300 },
    { sync = "always", segment_size = 1024, rounds = 25, patience = 600 },
    { sync = "always", segment_size = 8192, rounds = 20, patience = 600 },
    { sync = 0.001, segment_size = 2048, rounds = 20, patience = 600 },
    { sync = "none", segment_size = 4096, rounds = 4, patience = 60, on_disk = true },
    { sync = "always", segment_size = 4096, rounds = 4, patience = 60, on_disk = true },
  }

  for number, setting in ipairs(settings) do
    local rounds = random.effort(setting.rounds)
    local title = ("loses nothing: %d times, sync %s, segments of %d bytes%s"):format(rounds,
      setting.sync, setting.segment_size, setting.on_disk and ", on a disk" or "")
    it(title, function()
      local path = (setting.on_disk and scratch or ramdisk).path()
      local seed = random.begin(7000 + number)
      local model, newest = {}, 0
      for round = 1, rounds do
        math.randomseed(seed, round)
        local case = {
          path = path, model = model, seed = seed * 1000 + round, count = 3000,
          segment_size = setting.segment_size, sync = setting.sync,
          -- Some die while they open, some at their first writes.
          patience = round % 5 == 0 and math.random(0, 3) or math.random(setting.patience),
          dawdle = math.random(0, 30000),
        }
        local last, highest = kill_a_writer(case)
        local operations = history.random(case.seed, case.count)
        local ok, result, version = pcall(recovered.check, path, {
          history.after(operations, last, model),
          history.after(operations, last + 1, model),
        }, { segment_size = setting.segment_size })
        if not ok then
          error(("SEED=%d, round %d, killed after operation %d: %s"):format(seed, round, last,
            tostring(result)), 0)
        end
        assert.is_truthy(version > math.max(highest, newest), "a version was given out twice")
        model, newest = result, version
        tally.add "kills_random"
      end
    end)
  end
end)

-- ---- At every call -------------------------------------------------------------------

local scripted = [[
  local history = require "spec.support.history"
  local path, results = ...
  history.play(path, { segment_size = 512, sync = "none" }, results)
]]

local function last_line(path)
  local file <close> = io.open(path, "rb")
  local last = "0"
  if file then
    for line in file:lines() do
      last = line
    end
  end
  return last
end

describe("a process that is killed at a system call", function()
  after_each(function()
    ramdisk.clean()
    scratch.clean()
  end)

  -- The n-th call of each thread kills the process before it is made.
  local function run_until(call, n)
    local path, acknowledged = ramdisk.path(), ramdisk.path()
    os.execute(("strace -f -q -o /dev/null -e trace=%s" ..
      " -e inject=%s:signal=KILL:when=%d %s >/dev/null 2>&1"):format(call, call, n,
      child.command(scripted, path, acknowledged)))
    return path, last_line(acknowledged)
  end

  -- What the interpreter opens before it comes to the store needs no trial.
  local function first_open()
    local log = ramdisk.path()
    local path = ramdisk.path()
    os.execute(("strace -f -q -o %s -e trace=openat %s >/dev/null 2>&1"):format(log,
      child.command(scripted, path, ramdisk.path())))
    local number = 0
    for line in scratch.read(log):gmatch "[^\n]+" do
      number = number + 1
      if line:find(path, 1, true) then return number end
    end
    error "the store is not opened"
  end

  local calls = {
    "pwritev", "fdatasync", "msync", "fsync", "renameat", "unlinkat", "openat", "ftruncate",
    "fallocate",
  }
  for _, call in ipairs(calls) do
    it("leaves all that returned: at every " .. call, function()
      if not tools.has_strace() then
        pending "strace is missing or may not trace here"
        return
      end
      local operations = history.script()
      local n = call == "openat" and first_open() or 1
      local kills = 0
      repeat
        local path, last = run_until(call, n)
        local done = tonumber(last) or #operations
        local ok, message = pcall(recovered.check, path, {
          history.after(operations, done), history.after(operations, done + 1),
        }, { segment_size = 512 })
        assert.is_true(ok, ("%s %d, after operation %s: %s"):format(call, n, last,
          tostring(message)))
        kills = kills + (last == "end" and 0 or 1)
        tally.add("kills_by_strace", last == "end" and 0 or 1)
        n = n + 1
        assert.is_truthy(n < 500, "it does not end")
        ramdisk.clean()
      until last == "end"
      assert.is_truthy(kills >= 3, "the call is hardly made: " .. kills)
    end)
  end
end)

-- A spec in a process that has the shim; what that says is given to `check`.
local function shimmed_it(name, code, check)
  it(name, function()
    local output, message = shimmed.output(code)
    if not output then
      pending(message)
      return
    end
    check(output)
  end)
end

describe("a process that is killed", function()
  after_each(function()
    ramdisk.clean()
    scratch.clean()
  end)

  local function kills(name, when, calls, sync, least)
    local code = ([[
      require("spec.support.trial").kills { kill = %q, calls = %s, sync = %q }
    ]]):format(when, calls and ("%q"):format(calls) or "nil", sync)
    shimmed_it(name, code, function(output)
      local made = output:match "^(%d+)\n$"
      assert(made, output)
      assert.is_truthy(tonumber(made) >= least, "hardly any: " .. output)
      tally.add("kills_at_calls", tonumber(made))
    end)
  end

  for _, sync in ipairs { "none", "always" } do
    kills("before any call, sync " .. sync, "before", nil, sync, 150)
    kills("after any call, sync " .. sync, "after", nil, sync, 150)
    kills("halfway through any write, sync " .. sync, "half", "pwrite", sync, 35)
  end
end)
