-- The ten faults that stores of this kind are known for. Each is set up for real, as far as it
-- can be: processes killed in the middle, files laid beside others, readers held across merges.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local history = require "spec.support.history"
local killed = require "spec.support.killed"
local lfs = require "lfs"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local steps = require "spec.support.steps"
local tidy = require "spec.support.tidy"

local path, db, model

local function open(options)
  db = assert(bitcask.open(path, options or { segment_size = 1024 }))
  return db
end

local function put(key, value)
  assert(db:put(key, value))
  model[key] = value
end

local function delete(key)
  assert(db:delete(key) ~= nil)
  model[key] = nil
end

local function difference()
  return history.difference(contents.of(db), model)
end

local function check(when)
  local differs = difference()
  assert(not differs, differs and ("%s: %s"):format(when or "now", differs))
end

-- Several sealed segments in which much is dead, deletions among it, and an active one.
local function fill(round)
  for i = 1, 60 do
    put("k" .. i % 25, ("value %d of %d, "):format(i, round or 0):rep(3))
  end
  for i = 2, 20, 3 do
    delete("k" .. i)
  end
  assert(db:seal())
  put("active", "as it is")
end

local function segment_files()
  return scratch.files(path, "%.seg$")
end

-- The ids of the segments of a store, the active one's last.
local function ids(store)
  local description = assert(store:segments())
  local all = {}
  for i, segment in ipairs(description.segments) do
    all[i] = segment.id
  end
  table.sort(all)
  return all, description.active and description.active.id
end

local function file_of(id)
  return ("%06d.seg"):format(id)
end

before_each(function()
  path, model = ramdisk.path(), {}
end)

after_each(function()
  if db then db:close() end
  db = nil
  ramdisk.clean()
  scratch.clean()
end)

-- Recovery meets old and merged files side by side after a crash in mid-merge, and builds a
-- wrong keydir.
describe("fault 1: old and merged files side by side after a crash in mid-merge", function()
  -- What a kill at this moment would leave: the files as they are, the process's memory lost.
  local function check_snapshot(when)
    local copy = ramdisk.copy(path)
    for _ = 1, 2 do
      local other <close> = assert(bitcask.open(copy))
      local differs = history.difference(contents.of(other), model)
      assert(not differs, differs and when .. ": " .. differs)
    end
    local other = assert(bitcask.open(copy, { segment_size = 1024 }))
    assert(other:merge())
    tidy.close(other, copy)
    scratch.remove(copy)
  end

  it("at every step of a merge the files alone give the right contents", function()
    open()
    fill()
    local count = 0
    steps.merge(db, nil, 100, function()
      count = count + 1
      check_snapshot("step " .. count)
    end)
    assert.is_truthy(count > 20)
  end)

  it("kill -9 in the middle of a merge, at any step, twice in a row", function()
    for step = 1, 34, 3 do
      path, model = ramdisk.path(), {}
      for round = 1, 2 do
        killed.run([[
          local steps = require "spec.support.steps"
          local path, round, step = ...
          local db = assert(bitcask.open(path, { segment_size = 1024 }))
          for i = 1, 60 do
            assert(db:put("k" .. i % 25, ("value %d of %d, "):format(i, round):rep(3)))
          end
          for i = 2, 20, 3 do assert(db:delete("k" .. i) ~= nil) end
          assert(db:seal())
          assert(db:put("active", "as it is"))
          local count = 0
          steps.merge(db, nil, 100, function()
            count = count + 1
            if count == math.tointeger(step) then die() end
          end)
        ]], path, round, step)
        -- The same, in the model.
        for i = 1, 60 do
          model["k" .. i % 25] = ("value %d of %d, "):format(i, round):rep(3)
        end
        for i = 2, 20, 3 do
          model["k" .. i] = nil
        end
        model.active = "as it is"
      end
      open()
      check("killed at step " .. step)
      assert(db:merge())
      check("merged after it")
      tidy.close(db, path)
    end
  end)

  it("old inputs put back beside the merged files count for nothing, and are swept", function()
    open()
    fill()
    assert(db:close())
    local before = ramdisk.load(path)
    open()
    assert(db:merge())
    delete "k1"
    put("k3", "newer than all of them")
    assert(db:close())
    -- All that there was: data, hints, the older manifest, but not what says which counts.
    for name, bytes in pairs(before) do
      if name ~= "CURRENT" and not lfs.attributes(path .. "/" .. name) then
        scratch.write(path .. "/" .. name, bytes)
      end
    end
    do
      local reader <close> = assert(bitcask.open(path, { readonly = true }))
      assert.is_nil(history.difference(contents.of(reader), model))
    end
    open()
    check "with the old files beside"
    put("k5", "written after it")
    assert(db:merge())
    check "merged once more"
    tidy.close(db, path)
  end)

  it("merged files that were never committed count for nothing, and are swept", function()
    open()
    fill()
    assert(db:close())
    local copy = ramdisk.copy(path)
    do
      local other <close> = assert(bitcask.open(copy, { segment_size = 1024 }))
      assert(other:merge())
    end
    for _, name in ipairs(scratch.files(copy, "[gt]$")) do
      if not lfs.attributes(path .. "/" .. name) then
        scratch.write(path .. "/" .. name, scratch.read(copy .. "/" .. name))
      end
    end
    local events = {}
    open { segment_size = 1024, on_event = function(event) events[#events + 1] = event end }
    check "with merged files beside"
    assert.is_truthy(events[1].kind == "recovered" and events[1].orphans >= 1)
    assert(db:merge())
    check "merged for good"
    tidy.close(db, path)
  end)
end)

-- Recovery meets the active segment under the wrong id after a crash between two phases.
describe("fault 2: the active segment under the wrong id", function()
  it("a merge that began later has higher ids: what was written meanwhile still wins", function()
    open { segment_size = 2 ^ 20 }
    for i = 1, 50 do
      put("k" .. i, "old")
    end
    for i = 1, 50, 2 do
      put("k" .. i, "older than the rest")
    end
    assert(db:seal())
    put("k1", "in the active segment, before")
    local count = 0
    steps.merge(db, nil, 300, function()
      count = count + 1
      put("k" .. count, "in the active segment, during")
    end)
    local sealed, active = ids(db)
    assert.is_truthy(active < sealed[#sealed], "the output has the higher id")
    -- As a kill leaves it, with and without hints.
    for _, pattern in ipairs { "^$", "hint$" } do
      local copy = ramdisk.copy(path)
      for _, name in ipairs(scratch.files(copy, pattern)) do
        os.remove(copy .. "/" .. name)
      end
      local other <close> = assert(bitcask.open(copy))
      assert.is_nil(history.difference(contents.of(other), model))
    end
    assert(db:close())
    open()
    check "after a restart"
  end)

  it("a rotation that is killed before the manifest names the new segment", function()
    -- The new segment is there already, under the next id; the active one is the old one.
    killed.run([[
      local db = assert(bitcask.open((...), { segment_size = 1024 }))
      for i = 1, 30 do assert(db:put("k" .. i, ("v"):rep(40))) end
    ]], path)
    for i = 1, 30 do
      model["k" .. i] = ("v"):rep(40)
    end
    local names = segment_files()
    local next_id = tonumber(names[#names]:match "%d+") + 1
    local header = scratch.read(path .. "/" .. names[#names]):sub(1, 64)
    scratch.write(path .. "/" .. file_of(next_id), "")
    scratch.write(path .. "/" .. file_of(next_id + 1), header)
    scratch.write(path .. "/" .. file_of(next_id + 2), ("\0"):rep(1024))
    open()
    check "with segments begun"
    put("k1", "after it")
    local _, active = ids(db)
    assert.is_truthy(active > next_id + 2, "an id is given out twice")
    assert(db:close())
    open()
    check "after a restart"
    tidy.close(db, path)
  end)

  it("files with the highest numbers there can be do not use the ids up", function()
    open()
    put("k1", "before")
    assert(db:close())
    local strangers = { "18446744073709551615.seg", "18446744073709551615.hint",
      "MANIFEST-18446744073709551615", "9223372036854775808.seg" }
    for _, name in ipairs(strangers) do
      scratch.write(path .. "/" .. name, "")
    end
    for i = 1, 3 do
      open()
      check "beside them"
      put("k" .. i, "after " .. i)
      assert(db:seal())
      put("k1", "later " .. i)
      assert(db:close())
    end
    open()
    check "at the end"
    for _, name in ipairs(strangers) do
      assert.equals("", scratch.read(path .. "/" .. name), "not ours to remove")
    end
  end)

  it("an active segment that was renamed is missed by name, not guessed", function()
    killed.run([[
      local db = assert(bitcask.open((...), { segment_size = 1024 }))
      for i = 1, 30 do assert(db:put("k" .. i, ("v"):rep(40))) end
    ]], path)
    local names = segment_files()
    local last = names[#names]
    for _, other in ipairs { file_of(900), "data.seg" } do
      assert(os.rename(path .. "/" .. last, path .. "/" .. other))
      local found, message, code = bitcask.open(path)
      assert.is_nil(found)
      assert.equals("corrupt", code)
      assert.matches(last, message, 1, true)
      assert.is_not_nil(lfs.attributes(path .. "/" .. other), "it was swept")
      assert(os.rename(path .. "/" .. other, path .. "/" .. last))
    end
    open()
    assert.equals(30, db:count())
  end)
end)

-- There is no manifest: no single durable fact says which files make up the store, so a swap
-- of old for new cannot be atomic.
describe("fault 3: nothing that says which files make up the store", function()
  it("at every step of a merge a crash leaves all of the old or all of the new", function()
    open()
    fill()
    local sealed, active = ids(db)
    local before, seen = table.concat(sealed, " "), {}
    steps.merge(db, nil, 100, function()
      local copy = ramdisk.copy(path)
      local other <close> = assert(bitcask.open(copy, { readonly = true }))
      local set = ids(other)
      -- What was active is sealed by a recovery.
      for i, id in ipairs(set) do
        if id == active then table.remove(set, i) end
      end
      seen[#seen + 1] = table.concat(set, " ")
    end)
    local after = table.concat(ids(db), " ")
    local is_new = 0
    for _, set in ipairs(seen) do
      if set == after then is_new = is_new + 1 end
      assert.is_truthy(set == after or set == before and is_new == 0, set)
    end
    assert.is_truthy(is_new >= 1 and is_new < #seen)
  end)

  it("times, modes and the order of the directory mean nothing", function()
    open()
    fill()
    assert(db:merge(contents.sealed(db)))
    fill(1)
    assert(db:close())
    local names = random.shuffled(scratch.files(path))
    -- Written anew in another order, with times that run backwards.
    local files = ramdisk.load(path)
    for _, name in ipairs(scratch.files(path)) do
      os.remove(path .. "/" .. name)
    end
    for i, name in ipairs(names) do
      if files[name] then
        scratch.write(path .. "/" .. name, files[name])
        assert(lfs.touch(path .. "/" .. name, 2000000000 - i * 1000, 1000000000 - i * 1000))
        assert(os.execute(("chmod %s %s/%s"):format(i % 2 == 0 and "600" or "755", path, name)))
      end
    end
    open()
    check "shuffled"
    assert(db:merge(contents.sealed(db)))
    check "merged"
    tidy.close(db, path)
  end)

  it("files of other names, and of other stores, are neither read nor removed", function()
    open()
    fill()
    assert(db:close())
    local other = ramdisk.path()
    killed.store(other, 40)
    local foreign = { "notes.txt", "1.seg", "000001.seg.bak", "0000001.seg", "000900.seg~",
      "MANIFEST-1", "MANIFEST", "CURRENT.old", "x000901.seg", "000902.hint.tmp2" }
    for _, name in ipairs(foreign) do
      scratch.write(path .. "/" .. name, "whatever " .. name)
    end
    foreign[#foreign + 1] = "000950.seg"
    local theirs = scratch.files(other, "seg$")[1]
    scratch.write(path .. "/000950.seg", scratch.read(other .. "/" .. theirs))
    assert(lfs.mkdir(path .. "/000951.seg"))
    open()
    check "beside foreign files"
    assert(db:merge())
    put("k1", "after it")
    assert(db:close())
    open()
    check "after a restart"
    for _, name in ipairs(foreign) do
      assert.is_not_nil(lfs.attributes(path .. "/" .. name), name .. " was removed")
    end
    assert.is_not_nil(lfs.attributes(path .. "/000951.seg"))
  end)
end)

-- A read finds a missing handle or a missing file, and fails or answers wrongly.
describe("fault 4: a read that finds no handle or no file", function()
  it("every key can be read at every step of a merge", function()
    open()
    fill()
    steps.merge(db, nil, 60, function()
      for key, value in pairs(model) do
        local found, message = db:get(key)
        assert(found == value, message or key)
      end
      assert.is_nil(db:get "k2")
    end)
  end)

  it("reads in a loop beside merges on a thread of their own never miss", function()
    open { segment_size = 65536 }
    for i = 1, 3000 do
      put("k" .. i % 1000, ("value %d "):format(i):rep(20))
    end
    local reads, merges = 0, 0
    for round = 1, 15 do
      assert(db:seal() ~= nil)
      local job = assert(db:merge_async(contents.sealed(db)))
      repeat
        local key = "k" .. (reads * 7 + round) % 1000
        local found, message = db:get(key)
        assert(found == model[key], message or key)
        reads = reads + 1
      until job:progress().finished
      assert(job:wait())
      merges = merges + 1
      put("k" .. round, "changed")
    end
    assert.is_truthy(reads > 15 and merges == 15)
    check "in the end"
  end)

  it("a file taken away behind the store: a read tells, or is right", function()
    open()
    fill()
    for _, name in ipairs(segment_files()) do
      os.remove(path .. "/" .. name)
    end
    for key, value in pairs(model) do
      local found, _, code = db:get(key)
      assert.is_truthy(found == value or found == nil and code ~= nil)
    end
  end)
end)

-- Files are not reference-counted: a reader loses its file under its hands.
describe("fault 5: a reader that loses its file", function()
  it("iterators keep what they walk over through merges, and give it back", function()
    open()
    fill()
    local old = history.copy(model)
    local walks = {}
    for i = 1, 4 do
      local next, iterator = db:pairs()
      walks[i] = { next = next, iterator = iterator, seen = {} }
    end
    local function step(walk)
      local key, value = walk.next(walk.iterator)
      if not key then return false end
      assert.equals(old[key], value)
      walk.seen[key] = value
      return true
    end
    for round = 1, 3 do
      for i = 1, 4 do
        step(walks[i])
      end
      fill(round)
      assert(db:merge(contents.sealed(db)))
    end
    assert.is_truthy(db:stats().pinned_segments > 0)
    for i = 1, 4 do
      while step(walks[i]) do end
      assert.is_nil(history.difference(walks[i].seen, old))
      walks[i].iterator:close()
    end
    eventually(function() return db:stats().pinned_segments == 0 end, "the pins to go")
    check "in the end"
    tidy.close(db, path)
  end)

  it("a walk in another process goes on while its files are merged away", function()
    open()
    fill()
    local go, went = scratch.path(), scratch.path()
    assert(os.execute("mkfifo " .. went))
    local reader = child.start([[
      local path, went = ...
      local db <close> = assert(bitcask.open(path, { readonly = true }))
      local next, iterator = db:pairs()
      local count = 0
      if next(iterator) then count = 1 end
      local out = assert(io.open(went, "w"))
      out:write "begun\n"
      out:close()
      io.read() -- until told
      while next(iterator) do count = count + 1 end
      out = assert(io.open(went, "w"))
      out:write(count, "\n")
      out:close()
    ]], path, went, go)
    assert.equals("begun\n", scratch.read(went))
    local expected = db:count()
    fill(1)
    assert(db:merge(contents.sealed(db)))
    reader:write "go\n"
    reader:flush()
    assert.equals(expected .. "\n", scratch.read(went))
    reader:close()
  end)
end)

-- Cached handles are closed before the keydir points at the new places.
describe("fault 6: handles closed before the keydir points elsewhere", function()
  it("at every step of the switch each key's file is open, and there to read", function()
    open()
    for round = 1, 4 do
      fill(round)
    end
    local places = {}
    local switched = 0
    steps.merge(db, contents.sealed(db), 64, function()
      for key in pairs(model) do
        local stat = assert(db:stat(key))
        if places[key] and places[key] ~= stat.segment then switched = switched + 1 end
        places[key] = stat.segment
        assert.equals(model[key], (db:get(key)))
      end
    end)
    assert.is_truthy(switched > 10, "nothing was moved")
    -- And no more is open than before.
    local description = db:segments()
    assert.is_truthy(db:stats().open_files <= 4 + #description.segments)
  end)
end)

-- Merge closes the active segment, so reads and writes stop.
describe("fault 7: a merge that closes the active segment", function()
  it("the active segment stays what it is, and is written to throughout", function()
    open { segment_size = 2 ^ 20 }
    for i = 1, 100 do
      put("k" .. i % 30, ("value %d "):format(i):rep(5))
      if i % 20 == 0 then assert(db:seal()) end
    end
    put("first", "in the active segment")
    local _, active = ids(db)
    local count = 0
    steps.merge(db, contents.sealed(db), 200, function()
      count = count + 1
      put("during " .. count, "a write")
      put("k" .. count % 30, "another")
      assert.equals(active, db:stat("during " .. count).segment)
      check("step " .. count)
    end)
    assert.is_truthy(count > 10)
    assert.equals(active, (select(2, ids(db))))
    assert.equals(active, db:stat("first").segment)
    assert.equals("in the active segment", (db:get "first"))
  end)

  it("it cannot be named in a plan, and no plan takes it", function()
    open { segment_size = 2 ^ 20 }
    fill()
    local sealed, active = ids(db)
    assert.has_error(function() db:merge { active } end)
    sealed[#sealed + 1] = active
    assert.has_error(function() db:merge(sealed) end)
    local report = assert(db:merge())
    assert.equals(#sealed - 1, report.segments_in)
    assert.equals(active, (select(2, ids(db))))
    check "in the end"
  end)
end)

-- Old files are deleted before the keydir is fully switched over.
describe("fault 8: old files deleted before the switch is complete", function()
  it("at every step every key's file has its name in the directory", function()
    open()
    for round = 1, 4 do
      fill(round)
    end
    local inputs = {}
    for _, id in ipairs(contents.sealed(db)) do
      inputs[file_of(id)] = true
    end
    local partly = 0
    steps.merge(db, contents.sealed(db), 64, function(is_finished)
      local in_old, in_new = 0, 0
      for key in pairs(model) do
        local name = file_of(db:stat(key).segment)
        assert.is_not_nil(lfs.attributes(path .. "/" .. name), name .. " is gone too early")
        if inputs[name] then in_old = in_old + 1 else in_new = in_new + 1 end
      end
      if in_old > 0 and in_new > 1 then partly = partly + 1 end
      local function is_left()
        for name in pairs(inputs) do
          if lfs.attributes(path .. "/" .. name) then return true end
        end
        return false
      end
      if in_old > 0 then assert.is_true(is_left()) end
      if is_finished then eventually(function() return not is_left() end, "the inputs to go") end
    end)
    assert.is_truthy(partly > 3, "no step fell into the switch")
  end)
end)

-- A crash between delete and rename loses committed data for good.
describe("fault 9: a crash between delete and rename", function()
  it("any of the inputs may be left: none hides or brings back anything", function()
    open { segment_size = 2 ^ 20 }
    for round = 1, 5 do
      for i = 1, 12 do
        if (i + round) % 3 == 0 then put("k" .. i, ("value %d "):format(round):rep(3)) end
        if (i * round) % 5 == 1 then delete("k" .. i) end
      end
      put("mark" .. round, "there")
      assert(db:seal())
    end
    assert(db:close())
    local inputs = ramdisk.load(path, "%.seg$")
    local hints = ramdisk.load(path, "%.hint$")
    open()
    assert(db:merge(contents.sealed(db)))
    assert(db:close())
    local merged = ramdisk.load(path)
    local names = contents.keys(inputs)
    assert.equals(5, #names)
    local base = model
    for subset = 1, 2 ^ #names - 1 do
      local files = history.copy(merged)
      for i, name in ipairs(names) do
        if subset & 1 << (i - 1) ~= 0 then
          files[name] = inputs[name]
          local hint = name:gsub("seg$", "hint")
          files[hint] = subset % 2 == 0 and hints[hint] or nil
        end
      end
      path, model = ramdisk.with(files), history.copy(base)
      open()
      check("with the inputs " .. subset)
      put("k1", "after it")
      assert(db:close())
      open()
      check("with the inputs, restarted, " .. subset)
      tidy.close(db, path)
      db = nil
      scratch.remove(path)
    end
  end)

  it("no data file is ever renamed or written over: each keeps its inode and its bytes", function()
    open()
    local seen = {}
    local function look()
      for _, name in ipairs(segment_files()) do
        local inode = lfs.attributes(path .. "/" .. name, "ino")
        assert.is_truthy(seen[name] == nil or seen[name] == inode, name .. " was replaced")
        seen[name] = inode
      end
    end
    for round = 1, 5 do
      fill(round)
      look()
      steps.merge(db, contents.sealed(db), 300, look)
      assert(db:close())
      open()
      look()
    end
    check "in the end"
  end)
end)

-- "No concurrent access" is assumed, which hides that even the sequential order is wrong.
describe("fault 10: nobody else is thought of", function()
  it("writes, deletes, walks, rotations and reads between the steps of merges", function()
    for seed = 1, 12 do
      random.begin(seed)
      path, model = ramdisk.path(), {}
      open { segment_size = 700 }
      local walks = {}
      local function act()
        local chance, key = math.random(100), "k" .. math.random(20)
        if chance <= 45 then
          put(key, ("%d "):format(math.random(1 << 40)):rep(math.random(8)))
        elseif chance <= 65 then
          delete(key)
        elseif chance <= 72 then
          assert(db:seal() ~= nil)
        elseif chance <= 80 then
          local next, iterator = db:pairs()
          walks[#walks + 1] = {
            next = next, iterator = iterator, expected = history.copy(model), seen = {},
          }
        elseif chance <= 90 and #walks > 0 then
          local walk = walks[math.random(#walks)]
          local name, value = walk.next(walk.iterator)
          if name then walk.seen[name] = value end
        else
          assert.equals(model[key], (db:get(key)))
        end
      end
      for _ = 1, 150 do
        act()
      end
      for _ = 1, 6 do
        assert(db:seal() ~= nil)
        local inputs = random.some(contents.sealed(db))
        steps.merge(db, inputs, math.random(50, 400), function()
          for _ = 1, math.random(0, 4) do
            act()
          end
        end)
        check("seed " .. seed)
        for _, walk in ipairs(walks) do
          for name, value in walk.next, walk.iterator do
            walk.seen[name] = value
          end
          assert.is_nil(history.difference(walk.seen, walk.expected), "seed " .. seed)
        end
        walks = {}
      end
      assert(db:close())
      open()
      check("seed " .. seed .. ", restarted")
      tidy.close(db, path)
      db = nil
    end
  end)

  it("writes, deletes and rotations beside merges on a thread of their own", function()
    for seed = 1, 3 do
      random.begin(seed)
      path, model = ramdisk.path(), {}
      open { segment_size = 8192 }
      for _ = 1, 8 do
        local job = db:merge_async()
        for _ = 1, 400 do
          local key = "k" .. math.random(60)
          if math.random(4) == 1 then
            delete(key)
          else
            put(key, random.bytes(200))
          end
          local other = "k" .. math.random(60)
          assert.equals(model[other], (db:get(other)))
        end
        assert(db:seal() ~= nil)
        assert(job:wait())
        check("seed " .. seed)
      end
      assert(db:close())
      open()
      check("seed " .. seed .. ", restarted")
      tidy.close(db, path)
      db = nil
    end
  end)

  it("a second handle, in this process and in others", function()
    open()
    fill()
    local other <close> = assert(bitcask.open(path))
    put("k1", "through one")
    assert.equals("through one", (other:get "k1"))
    assert(other:put("k1", "through the other"))
    model.k1 = "through the other"
    check "through both"
    local output = child.run([[
      print((select(3, bitcask.open((...)))))
      local db <close> = assert(bitcask.open((...), { readonly = true }))
      print((db:get "k1"))
    ]], path)
    assert.equals("locked\nthrough the other\n", output)
    assert(db:merge())
    check "merged"
  end)
end)
