-- Files that are not as they were written: cut, flipped, zeroed, swapped, missing. What is
-- damaged is told and never returned, all else stays, and a store is refused rather than
-- opened with something silently missing.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local forge = require "spec.support.forge"
local history = require "spec.support.history"
local killed = require "spec.support.killed"
local lfs = require "lfs"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local function with(files, name, bytes)
  local changed = {}
  for other, content in pairs(files) do
    changed[other] = content
  end
  changed[name] = bytes
  return changed
end

local function without(files, pattern)
  local rest = {}
  for name, content in pairs(files) do
    if not name:find(pattern) then rest[name] = content end
  end
  return rest
end

local function sorted(files, pattern)
  local names = {}
  for name in pairs(files) do
    if name:find(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- The name and the bytes of the segment that a process that died was writing to.
local function active_of(files)
  local name
  local directory = ramdisk.with(files)
  do
    local db <close> = assert(bitcask.open(directory, { readonly = true }))
    name = ("%06d.seg"):format(db:stat("last").segment)
  end
  scratch.remove(directory)
  return name, files[name]
end

local function open_listening(directory, events, options)
  options = options or {}
  function options.on_event(event)
    events[#events + 1] = event
  end
  return bitcask.open(directory, options)
end

local function count_of(events, kind)
  local count = 0
  for _, event in ipairs(events) do
    if event.kind == kind then count = count + 1 end
  end
  return count
end

local function recovered_event(events)
  for _, event in ipairs(events) do
    if event.kind == "recovered" then return event end
  end
end

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

-- ---- S58 -----------------------------------------------------------------------------

describe("S58 torn tail:", function()
  local files, name, bytes, last, model

  before_each(function()
    local directory = ramdisk.path()
    model = killed.store(directory, 20)
    killed.run([[
      local db = assert(bitcask.open((...)))
      for i = 1, 3 do assert(db:put("late" .. i, ("z"):rep(20))) end
      assert(db:put("last", ("the last value "):rep(4)))
    ]], directory)
    for i = 1, 3 do
      model["late" .. i] = ("z"):rep(20)
    end
    files = ramdisk.load(directory)
    name, bytes = active_of(files)
    local records = forge.records(bytes)
    last = records[#records]
    assert.equals("last", last.key)
  end)

  -- Open what is left, write, and open again.
  local function check(case, active, is_whole)
    local directory = ramdisk.with(with(files, name, active))
    local events = {}
    local db, message = open_listening(directory, events)
    assert(db, message and case .. ": " .. message)
    local expected = history.copy(model)
    if is_whole then expected.last = ("the last value "):rep(4) end
    local found = contents.of(db)
    local difference = history.difference(found, expected)
    assert(not difference, difference and case .. ": " .. difference)
    assert.equals(0, count_of(events, "corruption"), case)
    assert(db:put("after", "the tear"))
    expected.after = "the tear"
    assert(db:close())
    for _ = 1, 2 do
      db = assert(bitcask.open(directory))
      difference = history.difference(contents.of(db), expected)
      assert(not difference, difference and case .. ", restarted: " .. difference)
      assert(db:close())
    end
    scratch.remove(directory)
    return recovered_event(events)
  end

  it("the last record cut at every byte", function()
    for cut = 0, last.size - 1 do
      local event = check("cut at " .. cut, bytes:sub(1, last.offset + cut))
      assert.equals(cut, event.torn_bytes, "cut at " .. cut)
    end
  end)

  it("the last record zero from every byte on", function()
    for cut = 0, last.bare_size - 1 do
      local rest = ("\0"):rep(#bytes - last.offset - cut)
      check("zero from " .. cut, bytes:sub(1, last.offset + cut) .. rest)
    end
    -- What only fills up to the next record is no part of it.
    for cut = last.bare_size, last.size do
      local rest = ("\0"):rep(#bytes - last.offset - cut)
      check("zero from " .. cut, bytes:sub(1, last.offset + cut) .. rest, true)
    end
  end)

  it("1 to 60 bytes of garbage behind the last record, and behind the file", function()
    random.begin(58)
    for size = 1, 60 do
      local garbage = {}
      for i = 1, size do
        garbage[i] = string.char(math.random(1, 255))
      end
      garbage = table.concat(garbage)
      local finish = last.offset + last.size
      local event = check("garbage in the file", forge.patch(bytes, finish, garbage), true)
      assert.is_truthy(event.torn_bytes > 0)
      check("garbage at the end", bytes:sub(1, finish) .. garbage, true)
      check("garbage behind the space", bytes .. garbage, true)
    end
  end)

  it("a batch cut at every byte counts for nothing", function()
    local directory = ramdisk.path()
    killed.run([[
      local db = assert(bitcask.open((...)))
      for i = 1, 6 do assert(db:put("k" .. i, "before")) end
      local batch = db:batch()
      for i = 1, 3 do batch:put("k" .. i, ("in the batch %d "):format(i):rep(i)) end
      batch:delete("k4"):put("last", "in the batch")
      assert(batch:commit())
    ]], directory)
    local dead = ramdisk.load(directory)
    local active, whole = active_of(dead)
    local records = forge.records(whole)
    assert.equals(11, #records)
    local finish = records[11].offset + records[11].size
    for cut = records[7].offset, finish do
      for _, rest in ipairs { "", ("\0"):rep(finish - cut) } do
        local copy = ramdisk.with(with(dead, active, whole:sub(1, cut) .. rest))
        local expected = {}
        for i = 1, 6 do
          expected["k" .. i] = "before"
        end
        local is_whole = cut == finish or rest ~= "" and cut >= records[11].offset +
          records[11].bare_size
        if is_whole then
          for i = 1, 3 do
            expected["k" .. i] = ("in the batch %d "):format(i):rep(i)
          end
          expected.k4, expected.last = nil, "in the batch"
        end
        for _ = 1, 2 do
          local db <close> = assert(bitcask.open(copy))
          local difference = history.difference(contents.of(db), expected)
          assert(not difference, difference and ("cut at %d: %s"):format(cut, difference))
        end
        do
          local db <close> = assert(bitcask.open(copy))
          assert(db:put("after", "it"))
          assert(db:seal())
          assert(db:merge(contents.sealed(db)))
          expected.after = "it"
          assert.is_nil(history.difference(contents.of(db), expected))
        end
        scratch.remove(copy)
      end
    end
  end)

  it("a copy of an earlier record behind the last one is no record", function()
    for _, record in ipairs(forge.records(bytes)) do
      local copy = bytes:sub(record.offset + 1, record.offset + record.size)
      check("copy of " .. record.offset, bytes:sub(1, last.offset + last.size) .. copy, true)
    end
  end)
end)

-- ---- S59 -----------------------------------------------------------------------------

-- Whatever has become of one record: the others are as they were; its key gives its value, or
-- fails as "corrupt", or, where even whose it is cannot be told, was reported, and then its
-- key is missing or older. Returns the keys that can be read.
local function check_victim(case, db, events, model, older)
  local readable, deviating = {}, 0
  for key, value in pairs(model) do
    local found, message, code = db:get(key)
    if found == value then
      readable[key] = value
    else
      deviating = deviating + 1
      if code ~= "corrupt" then
        assert(not code, message)
        assert(found == nil or older[key] and older[key][found],
          case .. ": a wrong value is returned for " .. key)
        local event = recovered_event(events)
        assert(count_of(events, "corruption") > 0 or event and event.torn_bytes > 0,
          case .. ": lost without a word: " .. key)
      end
    end
  end
  assert(deviating <= 1, case .. ": more than one key suffers")
  for key in db:keys { on_damage = "skip" } do
    assert(model[key] or count_of(events, "corruption") > 0 or
      recovered_event(events).torn_bytes > 0, case .. ": a deleted key is back: " .. key)
  end
  return readable
end

describe("S59 any byte flipped:", function()
  local closed, dead, model, older

  -- 18 records in three segments; several keys twice, one deleted.
  local fill = [[
    local db = assert(bitcask.open((...), { segment_size = 512 }))
    for i = 1, 8 do assert(db:put("k" .. i, "old" .. i)) end
    assert(db:seal())
    for i = 1, 6 do assert(db:put("k" .. i, ("new%d "):format(i):rep(3))) end
    assert(db:delete "k8")
    assert(db:seal())
    for i = 9, 11 do assert(db:put("k" .. i, "only" .. i)) end
  ]]

  setup(function()
    local one, other = ramdisk.path(), ramdisk.path()
    child.run(fill .. "assert(db:close())", one)
    closed = ramdisk.load(one)
    killed.run(fill, other)
    -- The hint files are written in the background: have them for sure.
    local reopened = assert(bitcask.open(other))
    assert(reopened:close())
    killed.run([[
      local db = assert(bitcask.open((...), { segment_size = 512 }))
      for i = 9, 11 do assert(db:put("k" .. i, "only" .. i)) end
    ]], other)
    dead = ramdisk.load(other)
    model, older = {}, {}
    for i = 1, 11 do
      model["k" .. i] = i <= 6 and ("new%d "):format(i):rep(3) or i <= 8 and "old" .. i
        or "only" .. i
      older["k" .. i] = { ["old" .. i] = true, ["only" .. i] = true }
    end
    model.k8 = nil
  end)

  -- Try every byte, or every so many. `use` does something with the store and its readable
  -- keys; without it the store is opened for reading only.
  local function each_flip(files, stride, use)
    random.begin(59)
    local directory = ramdisk.with(files)
    local tried, refused, names = 0, 0, sorted(files, "%.seg$")
    local function try(name, offset)
      local case = ("%s byte %d"):format(name, offset)
      local flipped = forge.flip(files[name], offset, math.random(255))
      if use then ramdisk.reset(directory, files) end
      ramdisk.store(directory, { [name] = flipped })
      local events = {}
      local db, message, code = open_listening(directory, events, { readonly = not use })
      if db then
        local readable = check_victim(case, db, events, model, older)
        if use then db = use(case, db, readable, directory) end
        assert(db:close())
      else
        -- Without its header a segment cannot be read at all.
        assert(offset < 64 and code == "corrupt", case .. ": " .. tostring(message))
        assert(message:find(name, 1, true), case .. ": " .. message)
        refused = refused + 1
      end
      tried = tried + 1
      tally.add "damage_in_files"
    end
    for _, name in ipairs(names) do
      for offset = 0, #files[name] - 1, stride do
        try(name, offset)
      end
      ramdisk.store(directory, { [name] = files[name] })
    end
    assert.is_truthy(tried > 800 // stride and refused <= #names * 64)
  end

  it("closed cleanly, with hints", function()
    assert.is_truthy(#sorted(closed, "hint$") >= 2)
    each_flip(closed, 1)
  end)

  it("closed cleanly, without hints", function()
    each_flip(without(closed, "hint$"), 1)
  end)

  it("killed, with hints", function()
    assert.is_truthy(#sorted(dead, "hint$") >= 2)
    each_flip(dead, 1)
  end)

  it("killed, without hints", function()
    each_flip(without(dead, "hint$"), 1)
  end)

  -- Merging and restarting lose nothing that could be read before.
  local function merge_and_restart(case, db, readable, directory)
    assert(db:put("new", "value"))
    readable.new = "value"
    assert(db:seal() ~= nil)
    local function check(when)
      for key, value in pairs(readable) do
        local found, message = db:get(key)
        assert(found == value, ("%s: %s, %s: %s"):format(case, key, when, tostring(message)))
      end
    end
    assert(db:merge(contents.sealed(db)))
    check "merged"
    assert(db:close())
    db = assert(bitcask.open(directory))
    check "restarted"
    return db
  end

  it("written to, merged and restarted: closed cleanly, with hints", function()
    each_flip(closed, 2, merge_and_restart)
  end)

  it("written to, merged and restarted: killed, without hints", function()
    each_flip(without(dead, "hint$"), 3, merge_and_restart)
  end)

  it("an open store whose file changes underneath: the victim fails, the others do not",
    function()
      local directory = ramdisk.with(closed)
      local db <close> = assert(bitcask.open(directory))
      scratch.damage(directory, model.k3)
      assert.equals("corrupt", (select(3, db:get "k3")))
      for key, value in pairs(model) do
        if key ~= "k3" then assert.equals(value, (db:get(key))) end
      end
      assert(db:put("k3", "whole again"))
      assert.equals("whole again", (db:get "k3"))
    end)
end)

-- ---- S60, S61 ------------------------------------------------------------------------

describe("S60 lengths that lie:", function()
  local files, model, name

  setup(function()
    local directory = ramdisk.path()
    do
      local db <close> = assert(bitcask.open(directory))
      model = {}
      for i = 1, 20 do
        model["k" .. i] = ("v%d "):format(i):rep(10)
        assert(db:put("k" .. i, model["k" .. i]))
      end
      assert(db:seal())
    end
    files = ramdisk.load(directory)
    name = sorted(files, "seg$")[1]
  end)

  local lies = {
    { "a value of 4 GiB", 16, "\255\255\255\255" },
    { "a value of 2 GiB", 16, "\0\0\0\128" },
    { "a key of 65535 bytes", 20, "\255\255" },
    { "an empty key and value", 16, "\0\0\0\0\0\0" },
    { "a value one byte longer", 16, nil },
  }

  -- In a process that may not have much memory.
  local reader = [[
    local path, victim = ...
    local wrong, missing, told = 0, 0, 0
    local db = assert(bitcask.open(path, {
      on_event = function(event) if event.kind == "corruption" then told = told + 1 end end,
    }))
    for i = 1, 20 do
      local value, _, code = db:get("k" .. i)
      if value ~= ("v%d "):format(i):rep(10) then
        if value then wrong = wrong + 1 end
        assert("k" .. i == victim, "another key suffers: k" .. i)
        missing = missing + 1
      end
    end
    for _ in db:pairs { on_damage = "skip" } do end
    assert(db:merge())
    assert(db:put("more", "v"))
    assert(db:close())
    print(wrong, missing, told > 0)
  ]]
  for _, lie in ipairs(lies) do
    for _, has_good_check in ipairs { false, true } do
      local title = lie[1] .. (has_good_check and ", under a good check" or "")
      it(title, function()
        for number, record in ipairs(forge.records(files[name])) do
          if number % 5 == 1 then
            local with_lie = lie[3] or ("<I4"):pack(record.value_size + 1)
            local bytes = forge.patch(files[name], record.offset + lie[2], with_lie)
            local is_readable = record.key_at + 65535 < #bytes or not lie[1]:find "key of"
            if has_good_check and is_readable then
              bytes = forge.reseal_record(bytes, record.offset)
            end
            local directory = ramdisk.with(without(with(files, name, bytes), "hint$"))
            local pipe = assert(io.popen("ulimit -v 300000; " ..
              child.command(reader, directory, record.key) .. " 2>&1"))
            local output = pipe:read "a"
            pipe:close()
            assert.equals("0\t1\ttrue\n", output, title .. " " .. number)
          end
        end
      end)
    end
  end
end)

describe("S61 40 KB of zeros", function()
  for _, state in ipairs { "closed", "killed" } do
    for _, has_hints in ipairs { true, false } do
      local title = ("in the middle of a file: %s, %s hints"):format(state,
        has_hints and "with" or "without")
      it(title, function()
        local directory = ramdisk.path()
        local code = [[
          local db = assert(bitcask.open((...), { segment_size = 200000 }))
          for i = 1, 120 do assert(db:put("k" .. i, ("v%d "):format(i):rep(200))) end
        ]]
        if state == "killed" then
          killed.run(code, directory)
        else
          child.run(code .. "assert(db:seal()) assert(db:close())", directory)
        end
        local names = scratch.files(directory, "seg$")
        assert.equals(1, #names)
        local file = directory .. "/" .. names[1]
        local bytes = scratch.read(file)
        scratch.write(file, forge.patch(bytes, 30000, ("\0"):rep(40960)))
        if not has_hints then os.remove(directory .. "/000001.hint") end
        local victims = {}
        for _, record in ipairs(forge.records(bytes)) do
          if record.offset + record.size > 30000 and record.offset < 70960 then
            victims[record.key] = true
          end
        end
        local events = {}
        local db = assert(open_listening(directory, events))
        for round = 1, 3 do
          for i = 1, 120 do
            local value, _, failure = db:get("k" .. i)
            if victims["k" .. i] then
              assert.is_nil(value)
              assert.is_truthy(failure == "corrupt" or
                failure == nil and (not has_hints or state == "killed"))
            else
              assert.equals(("v%d "):format(i):rep(200), value, "k" .. i .. " in " .. round)
            end
          end
          assert(count_of(events, "corruption") > 0, "not a word of it")
          if round == 1 then
            assert(db:put("after", "it"))
            assert(db:seal())
            assert(db:merge(contents.sealed(db)))
          elseif round == 2 then
            assert(db:close())
            events = {}
            db = assert(open_listening(directory, events))
          end
        end
        assert.equals("it", (db:get "after"))
        assert.is_not_nil(lfs.attributes(file), "the damaged file is gone")
        assert(db:close())
      end)
    end
  end
end)

-- ---- S62, S63 ------------------------------------------------------------------------

describe("S62 hints:", function()
  local files, model, names

  setup(function()
    local directory = ramdisk.path()
    model = {}
    do
      local db <close> = assert(bitcask.open(directory, { segment_size = 512 }))
      for i = 1, 24 do
        local key = "key" .. i % 16
        model[key] = ("value %d "):format(i):rep(2)
        assert(db:put(key, model[key]))
      end
      assert(db:delete "key3")
      model.key3 = nil
      assert(db:seal())
    end
    files = without(ramdisk.load(directory), "^KEYDIR$") -- else no hint is looked into
    names = sorted(files, "hint$")
    assert(#names >= 3)
  end)

  -- S63: after one opening and closing everything is as it was.
  local function check(case, changed)
    local directory = ramdisk.with(changed)
    for _, options in ipairs { { readonly = true }, {} } do
      local events = {}
      local db = assert(open_listening(directory, events, options))
      local difference = history.difference(contents.of(db), model)
      assert(not difference, difference and case .. ": " .. difference)
      assert.equals(0, count_of(events, "corruption"), case)
      assert(db:close())
    end
    for _, name in ipairs(names) do
      local healed = scratch.read(directory .. "/" .. name)
      assert(healed:sub(113) == files[name]:sub(113), case .. ": not healed: " .. name)
      assert(forge.reseal_hint(healed) == healed, case .. ": its checks are wrong: " .. name)
    end
    scratch.remove(directory)
  end

  it("deleted", function()
    for _, name in ipairs(names) do
      check("without " .. name, with(files, name, nil))
    end
    check("without any", without(files, "hint$"))
  end)

  it("cut at every length", function()
    local bytes = files[names[2]]
    for length = 0, #bytes - 1 do
      check("cut at " .. length, with(files, names[2], bytes:sub(1, length)))
    end
  end)

  it("every byte flipped", function()
    random.begin(62)
    local bytes = files[names[1]]
    for offset = 0, #bytes - 1 do
      local flipped = forge.flip(bytes, offset, math.random(255))
      check("flipped at " .. offset, with(files, names[1], flipped))
    end
  end)

  it("junk behind it", function()
    for _, junk in ipairs { "\0", "x", ("junk"):rep(30), ("\0"):rep(4096) } do
      check("junk", with(files, names[1], files[names[1]] .. junk))
    end
  end)

  it("swapped with another segment's, also under a good number", function()
    local one, other = files[names[1]], files[names[2]]
    check("swapped", with(with(files, names[1], other), names[2], one))
    local renumbered = forge.patch(other, 32, one:sub(33, 40))
    check("renumbered", with(files, names[1], forge.reseal_hint(renumbered)))
    -- And now with the facts of the right segment: only the entries are another's.
    local bound = forge.patch(renumbered, 64, one:sub(65, 80))
    check("bound", with(files, names[1], forge.reseal_hint(bound)))
  end)

  it("entries that lead past the end of the segment, and sizes that lie", function()
    local bytes = files[names[1]]
    for _, lie in ipairs {
      { 120, "\255\255\255\255" }, -- the place of the first record
      { 120, "\0\0\0\0" },
      { 124, "\255\255\255\255" }, -- its size
      { 124, "\0\0\0\0" },
      { 128, "\255\255" },         -- the size of its key
      { 80, "\255\255\255\255\255\255\255\127" }, -- how many there are
      { 80, "\0\0\0\0\0\0\0\0" },
      { 88, "\255\255\255\255\255\255\255\255" }, -- bytes of entries
      { 88, "\0\0\0\0\0\0\0\0" },
      { 64, "\255\255\255\255\255\255\255\255" }, -- length of the segment
    } do
      local changed = forge.reseal_hint(forge.patch(bytes, lie[1], lie[2]))
      check("lie at " .. lie[1], with(files, names[1], changed))
    end
  end)

  it("a directory, a link or a pipe in its place stops nothing", function()
    for _, command in ipairs { "mkdir %s", "ln -s /etc/passwd %s", "mkfifo %s" } do
      local directory = ramdisk.with(without(files, "^" .. names[1]))
      assert(os.execute(command:format(directory .. "/" .. names[1])))
      for _ = 1, 2 do
        local db = assert(bitcask.open(directory))
        assert.is_nil(history.difference(contents.of(db), model))
        assert(db:close())
      end
    end
  end)
end)

-- ---- S35 -----------------------------------------------------------------------------

describe("S35 a merge that meets", function()
  local directory, db, events

  before_each(function()
    directory, events = ramdisk.path(), {}
    local writer <close> = assert(bitcask.open(directory, { segment_size = 8192 }))
    for i = 1, 200 do
      assert(writer:put("k" .. i, ("value %d;"):format(i):rep(10)))
    end
    for i = 1, 200, 3 do
      assert(writer:put("k" .. i, ("newer %d;"):format(i):rep(10)))
    end
  end)

  after_each(function()
    if db then db:close() end
  end)

  local function value_of(i)
    return ((i % 3 == 1 and "newer %d;" or "value %d;"):format(i)):rep(10)
  end

  local function readable()
    local found = {}
    for i = 1, 200 do
      local value, _, code = db:get("k" .. i)
      if value then
        assert.equals(value_of(i), value)
        found[#found + 1] = "k" .. i
      else
        assert.is_truthy(code == nil or code == "corrupt")
      end
    end
    return found
  end

  local function check(least)
    db = assert(open_listening(directory, events, { segment_size = 8192 }))
    assert(db:seal() ~= nil)
    local before = readable()
    assert.is_truthy(#before >= least and #before < 200)
    local damaged = {}
    for _, name in ipairs(scratch.files(directory, "seg$")) do
      damaged[name] = scratch.read(directory .. "/" .. name)
    end
    local report = assert(db:merge(contents.sealed(db)))
    assert.is_truthy(report.segments_damaged >= 1)
    assert.is_truthy(report.segments_out >= 1, "the whole ones are merged all the same")
    assert.is_truthy(count_of(events, "corruption") >= 1)
    assert.same(before, readable())
    -- The damaged files are kept, byte for byte.
    local kept = 0
    for _, name in ipairs(scratch.files(directory, "seg$")) do
      if damaged[name] then
        assert.is_true(damaged[name] == scratch.read(directory .. "/" .. name))
        kept = kept + 1
      end
    end
    assert.is_truthy(kept >= report.segments_damaged)
    for _ = 1, 2 do
      assert(db:close())
      db = assert(bitcask.open(directory))
      assert.same(before, readable())
      assert(db:merge())
      assert.same(before, readable())
    end
  end

  local function damage(text, at)
    for _, name in ipairs(scratch.files(directory, "seg$")) do
      local path = directory .. "/" .. name
      local bytes = scratch.read(path)
      for _, record in ipairs(forge.records(bytes)) do
        if bytes:find(text, record.value_at + 1, true) == record.value_at + 1 then
          scratch.write(path, forge.flip(bytes, record[at] + 1, 0x21))
          return
        end
      end
    end
    error("it stands nowhere: " .. text)
  end

  it("one bad header", function()
    damage("value 50;", "offset")
    check(199)
  end)

  it("one bad header, and no hints", function()
    damage("value 50;", "offset")
    for _, name in ipairs(scratch.files(directory, "hint$")) do
      os.remove(directory .. "/" .. name)
    end
    check(199)
  end)

  it("one bad value", function()
    damage("value 51;", "value_at")
    check(199)
  end)

  it("one bad key", function()
    damage("value 51;", "key_at")
    check(199)
  end)

  it("25 bad values", function()
    for i = 2, 74, 3 do
      damage(("value %d;"):format(i), "value_at")
    end
    check(175)
  end)
end)

-- ---- S68, missing and short files -----------------------------------------------------

describe("a data file that", function()
  local files, model, names

  setup(function()
    local directory = ramdisk.path()
    model = killed.store(directory, 60)
    files = ramdisk.load(directory)
    names = sorted(files, "seg$")
    assert(#names >= 5)
  end)

  -- Refused by every way of opening, naming the file; nothing in the directory changes.
  local function check_refused(directory, ...)
    local before = ramdisk.load(directory)
    for _, options in ipairs { {}, { readonly = true }, { create = false } } do
      local db, message, code = bitcask.open(directory, options)
      assert.is_nil(db)
      assert.equals("corrupt", code, message)
      for _, name in ipairs { ... } do
        assert.matches(name, message, 1, true)
      end
      local after = ramdisk.load(directory)
      after.LOCK, before.LOCK = nil, nil
      assert.same(before, after)
    end
  end

  -- What salvage gives is true, and is at least what stands in the other files.
  local function check_salvage(directory, least)
    local db <close> = assert(bitcask.open(directory, { salvage = true }))
    local seen = 0
    for key, value in db:pairs { on_damage = "skip" } do
      -- Where what hid it is missing, something older may come.
      assert.is_truthy(value == model[key] or value:find "^old " or value:find "^new ", key)
      if value == model[key] then seen = seen + 1 end
    end
    assert.is_truthy(seen >= least, ("%d of at least %d"):format(seen, least))
    assert.equals("readonly", (select(3, db:put("a", "b"))))
    assert.equals("readonly", (select(3, db:delete "k2")))
    assert.equals("readonly", (select(3, db:merge())))
  end

  local function count(of)
    return #contents.keys(of)
  end

  it("is missing is named, the store refused, and the rest salvaged", function()
    for _, name in ipairs(names) do
      local directory = ramdisk.with(with(files, name, nil))
      check_refused(directory, name)
      check_salvage(directory, count(model) - 25)
    end
  end)

  it("is missing is named, each of several", function()
    local rest = with(with(files, names[1], nil), names[3], nil)
    check_refused(ramdisk.with(rest), names[1], names[3])
    check_salvage(ramdisk.with(rest), 1)
    local none = without(files, "seg$")
    check_refused(ramdisk.with(none), names[1], names[2], names[3])
  end)

  it("is too short is named, whatever its length", function()
    for _, name in ipairs { names[1], names[3] } do
      local bytes = files[name]
      for length = 0, #bytes - 1, 13 do
        local directory = ramdisk.with(with(files, name, bytes:sub(1, length)))
        local db, message, code = bitcask.open(directory, { readonly = true })
        assert.is_nil(db, length)
        assert.equals("corrupt", code)
        assert.matches(name, message, 1, true)
        scratch.remove(directory)
      end
      local directory = ramdisk.with(with(files, name, bytes:sub(1, #bytes // 2)))
      check_refused(directory, name)
      check_salvage(directory, count(model) - 25)
    end
  end)

  it("is longer than it was is read to where it ends", function()
    for _, name in ipairs(names) do
      for _, more in ipairs { "x", ("\0"):rep(5000), files[names[1]] } do
        local directory = ramdisk.with(with(files, name, files[name] .. more))
        local db = assert(bitcask.open(directory))
        assert.is_nil(history.difference(contents.of(db), model))
        assert(db:put("k1", "changed"))
        assert(db:seal())
        assert(db:merge(contents.sealed(db)))
        assert.equals("changed", (db:get "k1"))
        assert(db:close())
        scratch.remove(directory)
      end
    end
  end)

  it("stands in another's place is refused", function()
    local swapped = with(with(files, names[1], files[names[2]]), names[2], files[names[1]])
    check_refused(ramdisk.with(swapped), names[1], names[2])
    local other = ramdisk.path()
    killed.store(other, 60)
    check_refused(ramdisk.with(with(files, names[2], scratch.read(other .. "/" .. names[2]))),
      names[2])
  end)

  it("is a directory, a link or a pipe now is refused, without waiting", function()
    for _, command in ipairs { "mkdir %s", "ln -s /etc/passwd %s", "mkfifo %s" } do
      local directory = ramdisk.with(with(files, names[2], nil))
      assert(os.execute(command:format(directory .. "/" .. names[2])))
      for _, options in ipairs { {}, { readonly = true } } do
        local db, message, code = bitcask.open(directory, options)
        assert.is_nil(db)
        assert.is_truthy(code == "corrupt" or code == "io")
        assert.matches(names[2], message, 1, true)
      end
    end
  end)

  it("S68 is deleted while the store is open: reads, walks and merges tell or succeed", function()
    for _, name in ipairs(names) do
      local directory = ramdisk.with(files)
      local db = assert(bitcask.open(directory, { segment_size = 1024 }))
      os.remove(directory .. "/" .. name)
      for key, value in pairs(model) do
        local found, message, code = db:get(key)
        assert.is_truthy(found == value or code ~= nil, message)
      end
      local ok, all = pcall(contents.of, db)
      assert.is_truthy(not ok or history.difference(all, model) == nil)
      assert(db:put("more", "v"))
      db:merge(contents.sealed(db)) -- may succeed or tell
      for key, value in pairs(model) do
        local found, message, code = db:get(key)
        assert.is_truthy(found == value or code ~= nil, message)
      end
      db:close()
      -- Either the merge has saved what was in it, or the store is refused.
      local again, _, code = bitcask.open(directory)
      if again then
        model.more = "v"
        assert.is_nil(history.difference(contents.of(again), model))
        model.more = nil
        assert(again:close())
      else
        assert.equals("corrupt", code)
      end
    end
  end)
end)

-- ---- CURRENT and the manifest ------------------------------------------------------------

describe("the manifest:", function()
  local stores, model = {}, nil

  setup(function()
    -- One that was killed, one that was closed, and one that was closed after a merge.
    local dead, closed, merged = ramdisk.path(), ramdisk.path(), ramdisk.path()
    model = killed.store(dead, 40)
    for _, path in ipairs { closed, merged } do
      killed.store(path, 40)
      local db <close> = assert(bitcask.open(path, { segment_size = 1024 }))
      if path == merged then assert(db:merge()) end
      for i = 1, 12 do
        assert(db:put("k" .. i * 5, model["k" .. i * 5] or "x"))
      end
    end
    stores = { killed = ramdisk.load(dead), closed = ramdisk.load(closed),
      merged = ramdisk.load(merged) }
    for _, files in pairs(stores) do
      local db <close> = assert(bitcask.open(ramdisk.with(files), { readonly = true }))
      files.model = contents.of(db)
    end
  end)

  local function take_model(files)
    return files.model, without(files, "^model$")
  end

  -- Whatever is done to it: the store is refused as it is, or everything is there.
  local function check(case, files, expected)
    local directory = ramdisk.with(files)
    local result, told
    for _, options in ipairs { {}, { create = false } } do
      local db, message, code = bitcask.open(directory, options)
      if db then
        local difference = history.difference(contents.of(db), expected)
        assert(not difference, difference and case .. ": " .. difference)
        assert(db:close())
        result = "opened"
      else
        assert(code == "corrupt" or code == "incompatible" or code == "io", case .. ": " .. message)
        local after = ramdisk.load(directory)
        after.LOCK, files.LOCK = nil, nil
        for name, bytes in pairs(files) do
          assert(after[name] == bytes, case .. ": refused, but touched: " .. name)
        end
        result, told = "refused", message
      end
    end
    scratch.remove(directory)
    return result, told
  end

  local function each(body)
    for _, state in ipairs { "killed", "closed", "merged" } do
      body(state, take_model(stores[state]))
    end
  end

  it("CURRENT missing: refused, never an empty store", function()
    each(function(state, expected, files)
      local without_it = with(files, "CURRENT", nil)
      assert.equals("refused", (check(state, without_it, expected)))
      local directory = ramdisk.with(without_it)
      local _, message = bitcask.open(directory)
      assert.matches("CURRENT", message, 1, true)
      for _, options in ipairs { { create = false }, { readonly = true } } do
        assert.equals("corrupt", (select(3, bitcask.open(directory, options))))
      end
    end)
  end)

  it("CURRENT cut at every length: refused", function()
    each(function(state, expected, files)
      for length = 0, #files.CURRENT - 1 do
        local cut = with(files, "CURRENT", files.CURRENT:sub(1, length))
        assert.equals("refused", (check(state .. " " .. length, cut, expected)))
      end
    end)
  end)

  it("CURRENT with any byte flipped, or more behind it: refused", function()
    random.begin(68)
    local expected, files = take_model(stores.killed)
    for offset = 0, #files.CURRENT - 1 do
      local flipped = forge.flip(files.CURRENT, offset, math.random(255))
      assert.equals("refused", (check(offset, with(files, "CURRENT", flipped), expected)))
    end
    for _, more in ipairs { "\n", "x", files.CURRENT, ("\0"):rep(100), ("y"):rep(10000) } do
      assert.equals("refused", (check("more", with(files, "CURRENT", files.CURRENT .. more),
        expected)))
    end
  end)

  it("CURRENT of another store: refused", function()
    local expected, files = take_model(stores.killed)
    local other = stores.closed.CURRENT
    assert.equals("refused", (check("other", with(files, "CURRENT", other), expected)))
  end)

  it("missing: refused", function()
    each(function(state, expected, files)
      assert.equals("refused", (check(state, without(files, "^MANIFEST"), expected)))
    end)
  end)

  it("cut at every length: refused, or everything is there", function()
    each(function(state, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      local opened = 0
      for length = 0, #files[name] - 1 do
        local cut = with(files, name, files[name]:sub(1, length))
        local result = check(("%s, cut at %d"):format(state, length), cut, expected)
        if result == "opened" then opened = opened + 1 end
      end
      -- The last edit of a closed store only says that it was closed.
      assert.is_truthy(opened < #files[name] / 2)
    end)
  end)

  it("any byte flipped: refused, or everything is there", function()
    random.begin(69)
    each(function(state, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      for offset = 0, #files[name] - 1 do
        local flipped = forge.flip(files[name], offset, math.random(255))
        check(("%s, byte %d"):format(state, offset), with(files, name, flipped), expected)
      end
    end)
  end)

  it("a torn edit at its end is dropped: it never counted", function()
    random.begin(70)
    each(function(state, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      local edits = forge.edits(files[name])
      local last = edits[#edits]
      local edit = files[name]:sub(last.begin + 1, last.finish)
      local renumbered = forge.patch(edit, 8, ("<i8"):pack(#edits + 1))
      for length = 1, #edit - 1, 3 do
        local torn = files[name] .. renumbered:sub(1, length)
        assert.equals("opened", (check(state .. length, with(files, name, torn), expected)))
      end
      for _, tail in ipairs { ("\0"):rep(30), ("\0"):rep(4096), random.bytes(200) .. "!" } do
        local torn = with(files, name, files[name] .. tail)
        assert.equals("opened", (check(state, torn, expected)))
      end
    end)
  end)

  it("damage before a whole edit is no torn end: refused", function()
    each(function(state, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      local edits = forge.edits(files[name])
      for i = 1, #edits - 1 do
        local lacking = files[name]:sub(1, edits[i].begin) ..
          files[name]:sub(edits[i].finish + 1)
        for _, bytes in ipairs { forge.flip(files[name], edits[i].begin + 30, 0x40), lacking } do
          local result, message = check(state, with(files, name, bytes), expected)
          assert.equals("refused", result)
          assert.matches(name, message, 1, true)
        end
      end
    end)
  end)

  it("an older one put back: refused, or everything is there", function()
    local directory = ramdisk.path()
    local db = assert(bitcask.open(directory, { segment_size = 512 }))
    local older, expected = {}, {}
    for i = 1, 40 do
      expected["k" .. i % 15] = ("v%d "):format(i):rep(10)
      assert(db:put("k" .. i % 15, expected["k" .. i % 15]))
      older[i] = ramdisk.load(directory, "^MANIFEST") -- between two edits, too
      older[i].CURRENT = scratch.read(directory .. "/CURRENT")
      if i % 16 == 0 then assert(db:merge()) end
    end
    assert(db:close())
    local now = ramdisk.load(directory)
    for i, then_ in ipairs(older) do
      local mixed = without(now, "^MANIFEST")
      for name, bytes in pairs(then_) do
        mixed[name] = bytes
      end
      check("the manifest of write " .. i, mixed, expected)
    end
  end)

  it("of a format that is not known: refused as such", function()
    local expected, files = take_model(stores.killed)
    local name = sorted(files, "^MANIFEST")[1]
    for _, file in ipairs { name, sorted(files, "seg$")[1] } do
      local newer = forge.reseal_header(forge.patch(files[file], 8, "\2\0\0\0"))
      local directory = ramdisk.with(with(files, file, newer))
      local db, message, code = bitcask.open(directory)
      assert.is_nil(db)
      assert.equals("incompatible", code, message)
      assert.equals("refused", (check("newer", with(files, file, newer), expected)))
    end
  end)

  it("salvage gives what stands in the data files when nothing tells which count", function()
    each(function(_, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      for _, broken in ipairs {
        with(files, "CURRENT", nil), with(files, "CURRENT", "nonsense"), with(files, name, nil),
        with(files, name, files[name]:sub(1, 70)),
      } do
        local directory = ramdisk.with(broken)
        do
          local db <close> = assert(bitcask.open(directory, { salvage = true }))
          for key, value in pairs(expected) do
            assert.equals(value, (db:get(key)))
          end
          assert.equals("readonly", (select(3, db:put("a", "b"))))
        end
        assert.same(broken, ramdisk.load(directory))
      end
    end)
  end)

  it("salvage of a whole store is a read-only store", function()
    each(function(_, expected, files)
      local db <close> = assert(bitcask.open(ramdisk.with(files), { salvage = true }))
      assert.is_nil(history.difference(contents.of(db), expected))
    end)
  end)
end)
