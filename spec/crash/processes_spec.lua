-- Several processes: who may write, what readers see beside a writer, what becomes of a lock
-- whose holder dies; and resources, which a process has only so many of.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local killed = require "spec.support.killed"
local lfs = require "lfs"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local shimmed = require "spec.support.shimmed"
local tally = require "spec.support.tally"
local tools = require "spec.support.tools"

local path

before_each(function()
  path = ramdisk.path()
end)

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

-- What another process is told when it opens the store for writing.
local function code_elsewhere()
  local output = child.run([[
    local db, _, code = bitcask.open((...))
    print(db and "open" or code)
    if db then assert(db:close()) end
  ]], path)
  return (output:gsub("\n$", ""))
end

-- A spec that runs a program which needs the C module spec.process.
local function program(name, code, check)
  it(name, function()
    local found, message = tools.module "spec.process"
    if not found then
      pending(message)
      return
    end
    local output = shimmed.run(child.command([[
      local process = require "spec.process"
      local contents = require "spec.support.contents"
      local history = require "spec.support.history"
    ]] .. code, path))
    if check then
      check(output)
    else
      assert.equals("ok\n", output)
    end
  end)
end

-- ---- Opening ----------------------------------------------------------------------------

describe("S67 an opening that fails does not spoil the next:", function()
  local failures = {
    { "no store there", function() bitcask.open(path, { create = false }) end },
    { "nothing to read", function() bitcask.open(path, { readonly = true }) end },
    { "a parent that is missing", function() bitcask.open(path .. "/a/b/c") end },
    { "an option out of range",
      function() pcall(bitcask.open, path, { segment_size = 1 }) end },
    { "a file in the way", function()
      scratch.write(path, "a file")
      bitcask.open(path)
      os.remove(path)
    end },
    { "a manifest that is damaged", function()
      lfs.mkdir(path)
      scratch.write(path .. "/CURRENT", "nonsense")
      bitcask.open(path)
      os.remove(path .. "/CURRENT")
    end },
    { "a lock that cannot be opened", function()
      lfs.mkdir(path)
      assert(lfs.mkdir(path .. "/LOCK"))
      local db, message = bitcask.open(path)
      assert.is_nil(db)
      assert.matches("LOCK", message, 1, true)
      assert(lfs.rmdir(path .. "/LOCK"))
    end },
    { "a link for a lock", function()
      lfs.mkdir(path)
      assert(os.execute("ln -s /etc/passwd " .. path .. "/LOCK"))
      assert.is_nil(bitcask.open(path))
      os.remove(path .. "/LOCK")
    end },
  }
  for _, failure in ipairs(failures) do
    it(failure[1], function()
      local function descriptors()
        collectgarbage()
        local count = 0
        for _ in lfs.dir "/proc/self/fd" do
          count = count + 1
        end
        return count
      end
      local before = descriptors()
      for _ = 1, 3 do
        failure[2]()
      end
      assert.equals(before, descriptors(), "descriptors are lost")
      local db <close> = assert(bitcask.open(path))
      assert(db:put("k", "v"))
      assert.equals("locked", code_elsewhere())
      assert(db:close())
      assert.equals("open", code_elsewhere())
    end)
  end

  it("locked by another process", function()
    local holder = child.start([[
      local path = ...
      local db = assert(bitcask.open(path))
      assert(db:put("k", "v"))
      io.read()
    ]], path)
    eventually(function() return lfs.attributes(path .. "/000001.seg") end, "the other process")
    for _ = 1, 5 do
      local db, message, code = bitcask.open(path)
      assert.is_nil(db)
      assert.equals("locked", code)
      assert.matches(path, message, 1, true)
    end
    holder:close()
    local db <close> = assert(bitcask.open(path))
    assert.equals("v", (db:get "k"))
  end)
end)

describe("S69 a lock whose holder is dead", function()
  it("is free at once, whatever its file says", function()
    for _, text in ipairs { "", "1\n", "garbage\0\255", ("x"):rep(10000) } do
      killed.run([[
        local db = assert(bitcask.open((...)))
        assert(db:put("k", "v"))
      ]], path)
      scratch.write(path .. "/LOCK", text)
      local db = assert(bitcask.open(path))
      assert.equals("v", (db:get "k"))
      assert(db:close())
    end
  end)

  it("is free at once, also when the file is gone, or came from elsewhere", function()
    killed.run([[ assert(assert(bitcask.open((...))):put("k", "v")) ]], path)
    os.remove(path .. "/LOCK")
    assert(assert(bitcask.open(path)):close())
    assert(os.execute(("chmod 400 %s/LOCK; touch -d 1971-01-01 %s/LOCK"):format(path, path)))
    local db <close> = assert(bitcask.open(path))
    assert.equals("v", (db:get "k"))
  end)

  it("is free while children of the dead holder that it started still live", function()
    -- They were started through exec: the lock does not go along.
    local pipe = assert(io.popen("exec " .. child.command([[
      local db = assert(bitcask.open((...)))
      assert(db:put("k", "v"))
      local stat <close> = io.open "/proc/self/stat"
      os.execute("tail -f /dev/null >/dev/null 2>&1 & echo $!; kill -9 " .. stat:read "n")
    ]], path)))
    local lives_on = pipe:read "n"
    pipe:close()
    local db, message = bitcask.open(path)
    os.execute("kill -9 " .. lives_on)
    assert(db, message)
    assert.equals("v", (db:get "k"))
    assert(db:close())
  end)
end)

describe("S70 a second writer", function()
  it("in another process is refused, and the first is none the worse when it goes", function()
    local db <close> = assert(bitcask.open(path))
    for i = 1, 5 do
      assert.equals("locked", code_elsewhere())
      assert(db:put("k" .. i, "v"))
    end
    assert.equals(5, db:count())
  end)

  it("in this process shares the store; closing it, or its lock file, frees nothing", function()
    local one <close> = assert(bitcask.open(path))
    local other = assert(bitcask.open(path))
    assert.equals("busy", (select(3, bitcask.open(path, { segment_size = 4096 }))))
    assert(other:close())
    assert.equals("locked", code_elsewhere())
    -- A lock that belongs to the process would be lost here.
    assert(io.open(path .. "/LOCK", "rb")):close()
    assert(io.open(path .. "/LOCK", "r+b")):close()
    assert.equals("locked", code_elsewhere())
    local reader = assert(bitcask.open(path, { readonly = true }))
    assert(reader:close())
    assert.equals("locked", code_elsewhere())
    assert(one:put("k", "v"))
    assert(one:close())
    assert.equals("open", code_elsewhere())
  end)

  it("is refused also when somebody has removed the lock file", function()
    local db <close> = assert(bitcask.open(path))
    assert(db:put("k", "v"))
    os.remove(path .. "/LOCK")
    assert.equals("locked", code_elsewhere())
    assert(db:put("k", "w"))
  end)

  it("through another path to the same directory is refused as well", function()
    local db <close> = assert(bitcask.open(path))
    local link = scratch.path()
    assert(os.execute(("ln -s %s %s"):format(path, link)))
    local output = child.run([[ print((select(3, bitcask.open((...))))) ]], link)
    assert.equals("locked\n", output)
    local same <close> = assert(bitcask.open(link))
    assert(same:put("k", "v"))
    assert.equals("v", (db:get "k"))
  end)
end)

describe("twenty processes that open at once", function()
  -- All wait at a pipe, and are let go together.
  local function race(code, ...)
    local name = scratch.path()
    assert(os.execute("mkfifo " .. name))
    local gate <close> = assert(io.open(name, "r+"))
    local pipes, outputs = {}, {}
    for i = 1, 20 do
      local command = child.command([[
        local name, path = ...
        local gate <close> = assert(io.open(name))
        gate:setvbuf "no"
        io.stdout:setvbuf "no"
        io.write "ready\n"
        assert(gate:read(1))
      ]] .. code, name, ...)
      pipes[i] = assert(io.popen("timeout 60 " .. command .. " 2>&1"))
    end
    for i = 1, 20 do
      assert.equals("ready", pipes[i]:read "l")
    end
    assert(gate:write(("!"):rep(20)))
    assert(gate:flush())
    for i = 1, 20 do
      outputs[i] = pipes[i]:read "l"
      pipes[i]:close()
    end
    return outputs
  end

  it("one makes the store, one at a time writes, and every write is there", function()
    local log = scratch.path()
    scratch.write(log, "")
    local outputs = race([[
      local _, _, log = ...
      local inside = assert(io.open(log, "a"))
      inside:setvbuf "no"
      local left, refusals = 5, 0
      while left > 0 do
        local db, message, code = bitcask.open(path, { segment_size = 256 })
        if db then
          inside:write "in\n"
          local count = tonumber((db:get "count") or 0)
          assert(db:put("count", tostring(count + 1)))
          inside:write "out\n"
          assert(db:close())
          left = left - 1
        else
          assert(code == "locked", message)
          refusals = refusals + 1
        end
      end
      print "done"
    ]], path, log)
    for i = 1, 20 do
      assert.equals("done", outputs[i])
    end
    local expected = ("in\nout\n"):rep(100)
    assert.equals(expected, scratch.read(log))
    local db <close> = assert(bitcask.open(path))
    assert.equals("100", (db:get "count"))
    tally.add("lock_races", 100)
  end)

  it("all may read while one writes", function()
    local db <close> = assert(bitcask.open(path, { segment_size = 1024 }))
    for i = 1, 100 do
      assert(db:put("k" .. i, ("v"):rep(50)))
    end
    local outputs = race([[
      local db <close> = assert(bitcask.open(path, { readonly = true }))
      local count = 0
      for _, value in db:pairs() do
        assert(value == ("v"):rep(50))
        count = count + 1
      end
      print(count)
    ]], path)
    for i = 1, 20 do
      assert.equals("100", outputs[i])
    end
  end)
end)

-- ---- S71 --------------------------------------------------------------------------------

describe("S71 a reader beside a writer", function()
  -- Operation i writes i under the key i % 40, or deletes that key where 7 divides i.
  local writer = [[
    local path, stop = ...
    local db = assert(bitcask.open(path, { segment_size = 2048 }))
    assert(db:put("k0", "0"))
    io.stdout:setvbuf "no"
    io.write "begun\n"
    local job
    for i = 1, 1e7 do
      local key = "k" .. i % 40
      if i % 7 == 0 then
        assert(db:delete(key) ~= nil)
      else
        assert(db:put(key, tostring(i)))
      end
      if i % 97 == 0 then assert(db:seal() ~= nil) end
      if i % 300 == 0 then
        local report, message, code = db:merge()
        assert(report or code == "busy", message)
      end
      if i % 500 == 0 then
        if job then assert(job:wait()) end
        job = assert(db:merge_async())
      end
      if i % 100 == 0 and io.open(stop) then
        print(i)
        break
      end
    end
    assert(db:close())
  ]]

  local function after(n)
    local model = { k0 = "0" }
    for i = math.max(1, n - 39), n do
      model["k" .. i % 40] = i % 7 ~= 0 and tostring(i) or nil
    end
    return model
  end

  -- After how many operations the store looked like this; raises where that never was.
  local function find(all)
    local highest = 0
    for _, value in pairs(all) do
      highest = math.max(highest, tonumber(value))
    end
    for n = highest, highest + 1 do
      local ok = pcall(assert.same, after(n), all)
      if ok then return n end
    end
    assert.same(after(highest), all)
  end

  it("sees what was there after some write, and what is there later at a refresh", function()
    local stop = scratch.path()
    local pipe = assert(io.popen("timeout 60 " .. child.command(writer, path, stop) .. " 2>&1"))
    finally(function()
      scratch.write(stop, "")
      pipe:close()
    end)
    assert.equals("begun", pipe:read "l")
    local damage = 0
    local function listen(event)
      if event.kind == "corruption" then damage = damage + 1 end
    end
    local reader <close> = assert(bitcask.open(path, { readonly = true, on_event = listen }))
    local last, moves, looks = 0, 0, 0
    repeat
      looks = looks + 1
      local n = find(contents.of(reader))
      assert.is_truthy(n >= last, "it went back")
      -- Nothing moves without a refresh.
      assert.equals(n, find(contents.of(reader)))
      if n > last then moves = moves + 1 end
      last = n
      assert(reader:refresh())
      -- Sometimes a reader begins anew.
      if looks % 10 == 0 then
        local other <close> = assert(bitcask.open(path, { readonly = true }))
        assert.is_truthy(find(contents.of(other)) >= last)
        assert.equals("locked", (select(3, bitcask.open(path))))
      end
    until moves >= 300
    scratch.write(stop, "")
    local finish = assert(pipe:read "n")
    eventually(function()
      assert(reader:refresh())
      return find(contents.of(reader)) == finish
    end, "the last write")
    assert.equals(0, damage, "what is being written is taken for damage")
  end)

  it("takes a second look at damage, for a writer may be at work, and no twentieth", function()
    local output, message = shimmed.output [[
      local killed = require "spec.support.killed"
      local ramdisk = require "spec.support.ramdisk"
      local scratch = require "spec.support.scratch"
      local shim = require "spec.shim"
      local path = ramdisk.path()
      killed.store(path, 20)
      local function opens()
        shim.arm { calls = "openat" }
        local db, _, code = bitcask.open(path, { readonly = true })
        if db then db:close() end
        return (shim.disarm()), code
      end
      local whole = opens()
      os.remove(path .. "/" .. scratch.files(path, "seg$")[1])
      local damaged, code = opens()
      ramdisk.clean()
      print(code, damaged < whole * 4)
    ]]
    if not output then
      pending(message)
      return
    end
    assert.equals("corrupt\ttrue\n", output)
  end)

  it("goes on with what it has when the store is gone", function()
    local model = killed.store(path, 50)
    local reader <close> = assert(bitcask.open(path, { readonly = true }))
    scratch.remove(path)
    assert.is_nil(reader:refresh())
    for key, value in pairs(model) do
      local found, _, code = reader:get(key)
      assert.is_truthy(found == value or code ~= nil)
    end
  end)

  it("works where it may not write", function()
    if not tools.has_mount() then
      pending "no file system can be mounted here"
      return
    end
    killed.store(path, 50)
    local code = [[
      local db <close> = assert(bitcask.open((...), { readonly = true }))
      local count = 0
      for _ in db:pairs() do count = count + 1 end
      print(count == db:count(), db:refresh())
      local writer, _, failure = bitcask.open((...))
      print(writer, failure)
    ]]
    local command = ("mount --bind '%s' '%s' && mount -o remount,bind,ro '%s' && %s"):format(path,
      path, path, child.command(code, path))
    assert.equals("true\ttrue\nnil\tio\n", shimmed.run(tools.mounting(command)))
  end)
end)

-- ---- S72 --------------------------------------------------------------------------------

local counting = [[
  local lfs = require "lfs"
  local path = ...
  local function descriptors()
    local count = 0
    for _ in lfs.dir "/proc/self/fd" do count = count + 1 end
    return count
  end
  local function mappings()
    local count = 0
    for line in io.lines "/proc/self/maps" do
      if line:find(path, 1, true) then count = count + 1 end
    end
    return count
  end
]]

describe("S72 descriptors:", function()
  program("2000 segments, with EFFORT=5 10,000, with 64 of them", counting .. [[
    process.limit("descriptors", 64)
    local most = math.min(10000, math.floor(2000 * tonumber(os.getenv "EFFORT" or 1)) // 2 * 2)
    local db = assert(bitcask.open(path, { segment_size = 256 }))
    for i = 1, most do assert(db:put("k" .. i, ("v"):rep(200))) end
    for i = 1, most, 2 do assert(db:delete("k" .. i)) end
    assert(#db:segments().segments >= most)
    local function check()
      assert(db:count() == most // 2)
      for i = 2, most, 2 do assert(db:get("k" .. i) == ("v"):rep(200)) end
      local count = 0
      for _ in db:pairs() do count = count + 1 end
      assert(count == most // 2)
    end
    check()
    assert(db:close())
    for _, options in ipairs { { readonly = true }, {} } do
      db = assert(bitcask.open(path, options))
      check()
      assert(db:stats().open_files < 16)
      assert(db:close())
    end
    db = assert(bitcask.open(path, { segment_size = 256 }))
    local walk, iterator = db:pairs()
    walk(iterator)
    assert(db:merge())
    check()
    iterator:close()
    assert(db:close())
    print "ok"
  ]])

  program("1000 times opened, written and closed", counting .. [[
    local before
    for i = 1, 1000 do
      local db = assert(bitcask.open(path, { segment_size = 256 }))
      assert(db:put("k" .. i % 5, ("v"):rep(50)))
      assert(db:close())
      if i % 20 == 0 then
        db = assert(bitcask.open(path, { readonly = true }))
        assert(db:get("k0"))
        assert(db:close())
        db = assert(bitcask.open(path))
        assert(db:merge())
        assert(db:close())
      end
      before = before or descriptors()
      assert(descriptors() == before, "there are more descriptors")
      assert(mappings() == 0, "something is mapped still")
    end
    print "ok"
  ]])

  program("300 merges, with walks open over them", counting .. [[
    local db = assert(bitcask.open(path, { segment_size = 256 }))
    local function round(i)
      for k = 1, 3 do assert(db:put("k" .. (i + k) % 7, ("v"):rep(100))) end
      local _, iterator <close> = db:pairs()
      assert(db:seal() ~= nil)
      assert(db:merge(contents.sealed(db)))
    end
    for i = 1, 20 do round(i) end
    local fds, maps = descriptors(), mappings()
    for i = 1, 300 do
      round(i)
      assert(descriptors() <= fds + 3, "there are more descriptors")
    end
    -- What is done in the background lets go in a moment.
    local eventually = require "spec.support.eventually"
    eventually(function() return descriptors() <= fds + 1 end, "descriptors")
    eventually(function() return mappings() <= maps + 3 end, "mappings")
    assert(db:close())
    print "ok"
  ]])

  program("failures give back what they took", counting .. [[
    local db = assert(bitcask.open(path, { segment_size = 256 }))
    for i = 1, 50 do assert(db:put("k" .. i, ("v"):rep(100))) end
    assert(db:close())
    local names = {}
    for name in lfs.dir(path) do
      if name:find "seg$" then names[#names + 1] = name end
    end
    local before = descriptors()
    assert(os.rename(path .. "/" .. names[1], path .. "/hidden"))
    for _ = 1, 100 do
      assert(not bitcask.open(path))
      assert(not bitcask.open(path, { readonly = true }))
    end
    assert(descriptors() == before and mappings() == 0)
    assert(os.rename(path .. "/hidden", path .. "/" .. names[1]))
    db = assert(bitcask.open(path))
    assert(db:count() == 50)
    assert(db:close())
    print "ok"
  ]])

  program("where there are none left, every call tells, and all goes on when there are", [[
    local path = ...
    local db = assert(bitcask.open(path, { segment_size = 512 }))
    for i = 1, 20 do assert(db:put("k" .. i, ("v"):rep(100))) end
    assert(db:seal()) -- those that are full give theirs back
    assert(db:put("k1", ("v"):rep(100)))
    local held = {}
    process.limit("descriptors", 40)
    while true do
      local file = io.open "/dev/null"
      if not file then break end
      held[#held + 1] = file
    end
    assert(not bitcask.open(path .. "-other"))
    os.remove(path .. "-other")
    local failed = 0
    for i = 1, 50 do
      local version, message, code = db:put("k" .. i, ("w"):rep(100))
      if not version then
        assert(code == "io" and message:find "Too many open files", message)
        failed = failed + 1
      end
      assert(i > 20 or db:get("k" .. i) == ((version and "w" or "v"):rep(100)))
    end
    assert(failed > 10 and db:stats().stopped == 0)
    db:merge()
    for _, file in ipairs(held) do file:close() end
    for i = 1, 50 do assert(db:put("k" .. i, ("x"):rep(100))) end
    assert(db:merge())
    for i = 1, 50 do assert(db:get("k" .. i) == ("x"):rep(100)) end
    assert(db:close())
    print "ok"
  ]])
end)

-- ---- S76 --------------------------------------------------------------------------------

describe("S76 long work", function()
  program("a merge does not hold up reads and writes", [[
    local path = ...
    local db = assert(bitcask.open(path, { segment_size = 4 * 2 ^ 20, policy = false }))
    for i = 1, 30000 do -- every second one is written again: half of each segment is dead
      assert(db:put("k" .. (i > 20000 and 2 * i or i) % 20000, ("v"):rep(1000)))
    end
    assert(db:seal())
    local job = assert(db:merge_async { rate = 40 * 2 ^ 20 })
    local longest, count = 0, 0
    repeat
      local began = process.seconds()
      assert(db:put("n" .. count % 1000, ("w"):rep(100)))
      assert(db:get("k" .. count % 20000))
      assert(db:has("k" .. count % 20000))
      longest = math.max(longest, process.seconds() - began)
      count = count + 1
    until job:progress().finished
    local report = assert(job:wait())
    assert(report.bytes_read > 2 ^ 20 * 10)
    assert(count > 1000, "hardly anything was done: " .. count)
    -- One call; other processes may have the processor meanwhile.
    assert(longest < 0.5, "a call took " .. longest .. " seconds")
    assert(db:close())
    os.execute("rm -r " .. path)
    print "ok"
  ]])

  program("a merge or a walk in one store does not hold up another", [[
    local path = ...
    local slow = assert(bitcask.open(path, { segment_size = 65536 }))
    for i = 1, 16000 do -- of the first eight thousand every second one is written again
      assert(slow:put("k" .. (i > 8000 and 2 * i or i) % 8000, ("v"):rep(1000)))
    end
    local job = assert(slow:merge_async { rate = 500000 }) -- some fifteen seconds
    local walk, iterator = slow:pairs()
    walk(iterator)
    for round = 1, 5 do
      local other = assert(bitcask.open(path .. "-" .. round, { segment_size = 4096 }))
      for i = 1, 500 do assert(other:put("k" .. i % 50, ("v"):rep(100))) end
      assert(other:merge())
      assert(other:close())
      os.execute("rm -r " .. path .. "-" .. round)
    end
    assert(not job:progress().finished, "the slow one was waited for")
    assert(slow:put("k1", "w"))
    assert(slow:seal())
    assert((slow:get "k1") == "w")
    job:cancel()
    iterator:close()
    assert(slow:close())
    print "ok"
  ]])
end)

-- ---- Forks ------------------------------------------------------------------------------

describe("a fork of a process that has a store open", function()
  program("may not use it; the parent's is none the worse when the child goes", [[
    local path = ...
    local db = assert(bitcask.open(path, { segment_size = 512 }))
    for i = 1, 30 do assert(db:put("k" .. i, ("v"):rep(40))) end
    local walk, iterator = db:pairs()
    assert(walk(iterator))
    for ending = 1, 3 do
      local id = process.fork()
      if id == 0 then
        local ok = not pcall(db.get, db, "k1") and not pcall(db.put, db, "k1", "child")
          and not pcall(db.merge, db) and not pcall(db.seal, db) and not pcall(walk, iterator)
          and not pcall(db.pairs, db) and not pcall(db.stats, db)
        -- Opened anew it is the parent's.
        local again, _, code = bitcask.open(path)
        ok = ok and not again and code == "locked"
        local reader = assert(bitcask.open(path, { readonly = true }))
        ok = ok and (reader:get "k2") == ("v"):rep(40) and reader:close()
        if ending == 1 then db:close() end
        if ending == 2 then
          db, walk, iterator = nil, nil, nil
          collectgarbage()
        end
        process.exit(ok and 0 or 1)
      end
      local how, status = process.wait(id)
      assert(how == "exit" and status == 0, how .. status)
      assert(db:put("parent" .. ending, "v"))
      assert((db:get "k1") == ("v"):rep(40))
      -- The lock is held still.
      id = process.fork()
      if id == 0 then
        local other, _, code = bitcask.open(path)
        process.exit(other == nil and code == "locked" and 0 or 1)
      end
      how, status = process.wait(id)
      assert(how == "exit" and status == 0, "the lock is gone")
    end
    local count = 1
    while walk(iterator) do count = count + 1 end
    assert(count == 30)
    assert(db:merge())
    assert(db:close())
    db = assert(bitcask.open(path))
    assert(db:count() == 33)
    assert(db:close())
    print "ok"
  ]])

  program("which lives on holds up nobody once the parent has closed", [[
    local path = ...
    local db = assert(bitcask.open(path))
    assert(db:put("k", "v"))
    assert(os.execute("mkfifo " .. path .. "/waiting"))
    local id = process.fork()
    if id == 0 then
      io.open(path .. "/waiting"):read() -- for ever
    end
    assert(db:close())
    local ok, message = pcall(function()
      local again = assert(bitcask.open(path))
      assert((again:get "k") == "v")
      assert(again:close())
    end)
    process.kill(id)
    process.wait(id)
    assert(ok, message)
    print "ok"
  ]])

  program("during a merge, and with much in the background, ends in peace", [[
    local path = ...
    local db = assert(bitcask.open(path, { segment_size = 4096, sync = 0.001 }))
    local model = {}
    for round = 1, 20 do
      for i = 1, 100 do
        model["k" .. i % 60] = ("value %d "):format(i * round):rep(5)
        assert(db:put("k" .. i % 60, model["k" .. i % 60]))
      end
      local job = db:merge_async()
      local id = process.fork()
      if id == 0 then
        if round % 2 == 0 then db:close() else db = nil collectgarbage() collectgarbage() end
        -- And a store of its own.
        local own = assert(bitcask.open(path .. "-own", { segment_size = 4096 }))
        for i = 1, 50 do assert(own:put("k" .. i, ("v"):rep(200))) end
        assert(own:merge())
        assert(own:close())
        process.exit(0)
      end
      local how, status = process.wait(id)
      assert(how == "exit" and status == 0, how .. status)
      assert(job:wait())
      assert(history.difference(contents.of(db), model) == nil)
    end
    assert(db:close())
    db = assert(bitcask.open(path))
    assert(history.difference(contents.of(db), model) == nil)
    assert(db:close())
    os.execute("rm -r " .. path .. "-own")
    print "ok"
  ]])
end)
