-- The simulated disk, as Lua programs have it: what it does, how it fails, and that all of it is
-- the same each time.

local bitcask = require "bitcask"

local sim = bitcask.sim

local function open(disk, options)
  local all = { disk = disk, policy = false, segment_size = 512 }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return assert(bitcask.open("store", all))
end

-- A disk on which a store is open, with durable writes and others.
local function used(options)
  local disk = sim.disk(options)
  local db = open(disk)
  assert(db:put("ada", "1815"))
  assert(db:sync())
  assert(db:put("alan", "1912"))
  assert(db:put("grace", ("1906 "):rep(30)))
  return disk, db
end

-- The names of the crash states, and the fingerprint behind each.
local function states_of(disk, options)
  local names, prints = {}, {}
  for survivor, name in disk:crash_states(options) do
    names[#names + 1] = name
    prints[name] = survivor:fingerprint()
  end
  return names, prints
end

local function raised(...) return (select(2, pcall(...))) end

describe("the options of a simulated disk", function()
  it("are checked, and a wrong one is named", function()
    assert.matches("'colour'", raised(sim.disk, { colour = "red" }))
    assert.matches("'sector'.*a whole number above 0", raised(sim.disk, { sector = 0 }))
    assert.matches("'seed'", raised(sim.disk, { seed = "x" }))
    assert.matches("'space'", raised(sim.disk, { space = -1 }))
    assert.matches("'allocation'", raised(sim.disk, { allocation = 1.5 }))
    assert.matches("'mapped'.*true or false", raised(sim.disk, { mapped = 1 }))
  end)

  it("of a fault and of crash states are, too", function()
    local disk = sim.disk()
    assert.matches("'op'", raised(disk.fail, disk, { op = "write" }))
    assert.matches("'at'", raised(disk.fail, disk, { at = 0 }))
    assert.matches("'times'.*math.huge", raised(disk.fail, disk, { times = -1 }))
    assert.matches("'error'", raised(disk.fail, disk, { error = "corrupt" }))
    assert.matches("'when'", raised(disk.fail, disk, { when = 3 }))
    assert.matches("'limit'", raised(disk.crash_states, disk, { limit = 0 }))
    assert.matches("seconds", raised(disk.advance, disk, "3"))
    assert.matches("seconds", raised(disk.advance, disk, 0 / 0))
    assert.has_error(function() disk.trace(io.stdout) end)
  end)

  it("space: what fits on it, and no more; what is removed and not open is free", function()
    local small = sim.disk { space = 100 }
    local directory = assert(small:directory "store")
    local file = assert(directory:create "a")
    assert(file:append(("x"):rep(60)))
    assert(directory:sync())
    local other = assert(directory:create "b")
    assert.equal("nospace", (select(3, other:append(("y"):rep(60)))))
    assert(directory:remove "a")
    assert.equal("nospace", (select(3, other:append(("y"):rep(60)))))
    file:close()
    assert(other:append(("y"):rep(60)))
  end)

  it("space: a store that has filled it goes on when there is room again", function()
    local disk = sim.disk { space = 200000 } -- enough for the reserves
    local db = open(disk)
    local code
    for i = 1, 1000 do
      local version, _, failure = db:put("k" .. i % 3, ("x"):rep(300))
      if not version then code = failure break end
    end
    assert.equal("nospace", code)
    assert(db:delete "k1")
    assert(db:seal() ~= nil)
    assert(db:merge())
    assert(db:put("k1", ("x"):rep(300)))
    assert(db:close())
  end)

  it("allocation: what a growing file is given ahead", function()
    -- A put wants 16 KiB of room behind it in any case.
    for ahead, expected in pairs { [64] = 17000, [2 ^ 17] = 2 ^ 17 } do
      local disk = sim.disk { allocation = ahead }
      local db = open(disk, { segment_size = 2 ^ 20 })
      assert(db:put("ada", "1815"))
      local grown = #disk:read("store", "000001.seg")
      assert.is_true(grown > expected * 0.9 and grown <= expected, grown)
      assert(db:close())
      assert.is_true(#disk:read("store", "000001.seg") < 256)
    end
  end)

  it("mapped: reads are operations where nothing is mapped", function()
    for _, mapped in ipairs { true, false } do
      local disk, db = used { mapped = mapped }
      local before = disk:ops()
      assert.equal("1815", (db:get "ada"))
      assert.equal(mapped, disk:ops() == before)
      assert(db:close())
    end
  end)

  it("sector: what a power cut writes as one", function()
    local function count(sector)
      local disk = sim.disk { sector = sector }
      local file = assert(disk:directory("store"):create "a")
      assert(file:append(("x"):rep(1024)))
      return disk:crash_state_count()
    end
    assert.equal(2 * 2 * 3 ^ 2, count(512))
    assert.equal(2 * 2 * 3 ^ 4, count(256))
  end)
end)

describe("a fault of a simulated disk", function()
  local disk, file

  before_each(function()
    disk = sim.disk()
    file = assert(disk:directory("store"):create "data")
  end)

  local function append() return (select(3, file:append "x")) end

  it("happens at the n-th operation of its kind, so many times", function()
    disk:fail { op = "append", at = 3, times = 2, error = "nospace" }
    local seen = {}
    for i = 1, 6 do
      file:sync() -- is not counted
      seen[i] = append() or "-"
    end
    assert.same({ "-", "-", "nospace", "nospace", "-", "-" }, seen)
    assert.equal(4, file:size())
  end)

  it("lasts until the disk is healed", function()
    disk:fail { times = math.huge }
    assert.equal("io", append())
    assert.equal("io", (select(3, file:sync())))
    assert.equal("io", (select(3, disk:directory "other")))
    disk:heal()
    assert.is_nil(append())
  end)

  it("may be of one file only", function()
    local other = assert(disk:directory("store"):create "other")
    disk:fail { op = "append", file = "ata", times = math.huge }
    assert.equal(0, other:append "x")
    assert.equal("io", append())
  end)

  it("counts by itself, beside others", function()
    disk:fail { op = "append", at = 1 }
    disk:fail { op = "append", at = 2, error = "nospace" }
    assert.same({ "io", "nospace" }, { append(), append() })
    assert.is_nil(append())
    -- Of two that are due the first happens; the other waits.
    disk:fail { op = "append" }
    disk:fail { op = "append", error = "nospace" }
    assert.same({ "io", "nospace" }, { append(), append() })
    assert.is_nil(append())
  end)

  it("may shorten a read instead", function()
    assert(file:append "0123456789")
    disk:fail { op = "read", short = 4 }
    assert.equal("0123", file:read())
    assert.equal("0123456789", file:read())
  end)

  it("of a flush loses the data for good, whatever later flushes say", function()
    assert(disk:directory("store"):sync())
    disk:fail { op = "sync" }
    assert(file:append "lost")
    assert.equal("io", (select(3, file:sync())))
    assert.is_true(file:sync())
    assert.equal("lost", file:read())
    assert(file:append "!")
    assert.is_true(file:sync())
    local seen = {}
    for survivor in disk:crash_states() do
      seen[survivor:read("store", "data")] = true
    end
    assert.is_true(seen["lost!"])
    assert.is_true(seen["\0\0\0\0!"])
  end)

  it("may be a lost answer: it was done all the same", function()
    assert(disk:directory("store"):sync())
    disk:fail { op = "sync", done = true }
    assert(file:append "there")
    assert.equal("io", (select(3, file:sync())))
    for survivor in disk:crash_states() do
      assert.equal("there", survivor:read("store", "data"))
    end
    disk:fail { op = "remove", done = true }
    assert.equal("io", (select(3, disk:directory("store"):remove "data")))
    assert.same({}, disk:files "store")
  end)

  it("is not in a copy", function()
    disk:fail { times = math.huge }
    assert(disk:copy():directory "store")
  end)
end)

describe("the trace of a simulated disk", function()
  it("has a line for each operation, numbered, with what failed", function()
    local disk, db = used()
    assert(db:close())
    disk:fail { op = "open_directory" }
    disk:directory "store"
    local count = 0
    for line in disk:trace():gmatch "[^\n]+" do
      count = count + 1
      local number, op = line:match "^ *(%d+)  ([%l_]+)"
      assert.equal(count, tonumber(number))
      local is_known = false
      for _, name in ipairs(sim.operations) do
        is_known = is_known or name == op
      end
      assert.is_true(is_known, op)
    end
    assert.equal(disk:ops(), count)
    assert.matches("append +000001.seg %d+ bytes at 64\n", disk:trace())
    assert.matches("open_directory store: io\n$", disk:trace())
    assert.matches("%(" .. count .. " operations%)", tostring(disk))
  end)
end)

describe("the crash states of a simulated disk", function()
  it("have names, each its own, that make them again", function()
    local disk, db = used()
    local names, prints = states_of(disk)
    assert.is_true(#names > 20)
    local seen = {}
    for _, name in ipairs(names) do
      assert.is_nil(seen[name])
      seen[name] = true
      assert.equal(prints[name], disk:crash_state(name):fingerprint(), name)
    end
    assert.same({ names, prints }, { states_of(disk) })
    assert(db:close())
  end)

  it("are the same when the same program runs again, and others by another seed", function()
    local first, db1 = used()
    local second, db2 = used()
    assert.same({ states_of(first) }, { states_of(second) })
    assert.equal(first:trace(), second:trace())
    local few = { limit = 30, seed = 2 }
    assert.same({ states_of(first, few) }, { states_of(second, few) })
    local other = { limit = 30, seed = 3 }
    assert.not_same((states_of(first, few)), (states_of(first, other)))
    assert(db1:close())
    assert(db2:close())
  end)

  it("are counted, all made where they are few, else about as many as wanted", function()
    local disk = sim.disk()
    local file = assert(disk:directory("store"):create "a")
    assert.equal(2, disk:crash_state_count())
    assert.equal(2, #states_of(disk))
    assert(file:append "0123456789")
    -- A name, a length, and a sector: as it was, written, garbage; and torn at each byte.
    assert.equal(2 * 2 * 3, disk:crash_state_count())
    assert.equal(2 * 2 * 3 + 10, #states_of(disk))
    for _ = 1, 40 do
      assert(file:append(("x"):rep(512)))
    end
    assert.is_true(disk:crash_state_count() > 1e9)
    for _, limit in ipairs { 10, 100, 1000 } do
      local count = #states_of(disk, { limit = limit })
      assert.is_true(count >= limit * 0.7 and count <= limit * 1.5 + 20, limit .. ": " .. count)
    end
  end)

  it("do not change the disk, nor each other, nor follow it", function()
    local disk, db = used()
    local before = disk:fingerprint()
    local next_state = disk:crash_states()
    local survivor = next_state()
    local print_of_survivor = survivor:fingerprint()
    local after = open(survivor)
    assert(after:put("new", "1"))
    assert(after:close())
    assert.equal(before, disk:fingerprint())
    local _, name = disk:crash_states()()
    assert.equal(print_of_survivor, disk:crash_state(name):fingerprint())
    assert(db:put("more", "1"))
    assert(next_state())
    assert(db:close())
  end)

  it("of a disk on which all is durable are one", function()
    local disk, db = used()
    assert(db:close())
    -- Names of what was removed and renamed since may come back; the contents may not.
    for survivor in disk:crash_states() do
      local after <close> = open(survivor)
      assert.equal("1912", (after:get "alan"))
    end
    local empty = sim.disk()
    assert.same({ "-" }, (states_of(empty)))
  end)

  it("that there are none of raise", function()
    local disk, db = used()
    for _, name in ipairs { "", "nonsense", "~", "zzzzzzzzzzz", "00000000000" } do
      assert.matches("state '" .. name .. "'", raised(disk.crash_state, disk, name), 1, true)
    end
    assert.matches("torn after 99999", raised(disk.crash_state, disk, "~99999"))
    assert(db:close())
  end)
end)

describe("a copy of a simulated disk, and its fingerprint", function()
  it("are equal until something differs", function()
    local disk, db = used()
    assert(db:close())
    local copy = disk:copy()
    assert.equal(disk:fingerprint(), copy:fingerprint())
    copy:put("store", "000001.seg", disk:read("store", "000001.seg"))
    assert.equal(disk:fingerprint(), copy:fingerprint())
    local changes = {
      function(other)
        other:put("store", "000001.seg", disk:read("store", "000001.seg") .. "\0")
      end,
      function(other) other:put("store", "new", "") end,
      function(other) other:put("elsewhere", "new", "") end,
      function(other) assert(other:take("store", "KEYDIR")) end,
      function(other) assert(other:directory("store"):rename("KEYDIR", "KEYDIS")) end,
    }
    local seen = { [disk:fingerprint()] = true }
    for _, change in ipairs(changes) do
      local other = disk:copy()
      change(other)
      assert.is_nil(seen[other:fingerprint()])
      seen[other:fingerprint()] = true
    end
    assert.equal(disk:fingerprint(), copy:fingerprint())
  end)

  it("what is not durable is not in the copy either", function()
    local disk, db = used()
    assert.same((states_of(disk)), (states_of(disk:copy())))
    assert(db:close())
  end)
end)

describe("looking at a simulated disk, and damaging it", function()
  it("shows files, puts them there durably, and takes them away", function()
    local disk = sim.disk()
    disk:put("store", "a", "text")
    assert.equal("text", disk:read("store", "a"))
    assert.same({ "a" }, disk:files "store")
    for survivor in disk:crash_states() do
      assert.equal("text", survivor:read("store", "a"))
    end
    assert.is_true(disk:take("store", "a"))
    assert.equal("notfound", (select(3, disk:take("store", "a"))))
    assert.equal("notfound", (select(3, disk:read("store", "a"))))
    assert.equal("notfound", (select(3, disk:files "elsewhere")))
    assert.equal(0, disk:ops())
    assert.has_error(function() disk:put("store", ("n"):rep(64), "") end)
  end)

  it("moves its clock, which stands still otherwise", function()
    local disk, db = used()
    assert(db:put("short", "1", { ttl = 10 }))
    local before = disk:now()
    assert.equal("1", (db:get "short"))
    assert.equal(before, disk:now())
    disk:advance(10.5)
    assert.equal(before + 10500, disk:now())
    assert.is_nil((db:get "short"))
    disk:advance(-5)
    assert.equal(before + 5500, disk:copy():now())
    assert(db:close())
  end)
end)

describe("a recorded simulated disk", function()
  it("makes its changes again, one by one", function()
    local disk = sim.disk()
    assert.has_error(function() disk:replay() end)
    assert(disk:record())
    local db = open(disk)
    assert(db:put("ada", "1815"))
    assert(db:close())
    local replay, ops, last = disk:replay(), {}, 0
    for op in function() return replay:step() end do
      assert.is_true(op >= last)
      last, ops[#ops + 1] = op, op
    end
    assert.equal(disk:recorded(), #ops)
    assert.equal(disk:fingerprint(), replay:fingerprint())
    assert.is_true(last <= disk:ops())
  end)

  it("dies at any moment with all that was written, and part of the next write", function()
    local disk = sim.disk()
    local file = assert(disk:directory("store"):create "a")
    assert(disk:record())
    assert(file:append "0123456789")
    local replay = disk:replay()
    replay:step() -- it is longer
    assert.equal(("\0"):rep(10), replay:kill():read("store", "a"))
    assert.equal("0123" .. ("\0"):rep(6), replay:kill(4):read("store", "a"))
    assert.is_nil(replay:kill(10))
    replay:step()
    assert.equal("0123456789", replay:kill():read("store", "a"))
    assert.is_nil(replay:kill(1))
    assert.is_nil(replay:step())
  end)
end)
