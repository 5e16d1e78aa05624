-- A system that fails: every call in turn, with every error that it may give. The failure is
-- told, what was acknowledged stays, reads go on, and nothing crashes; when the system is well
-- again, so is the store, unless a failed flush has left unknown what is durable: then it
-- takes no more writes until it is opened again.

local child = require "spec.support.child"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local shimmed = require "spec.support.shimmed"
local tally = require "spec.support.tally"
local tools = require "spec.support.tools"

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

local function says_ok(output) assert.equals("ok\n", output) end

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

local function trials(name, case, least)
  local fields = {}
  for field, value in pairs(case) do
    fields[#fields + 1] = ("%s = %q"):format(field, value)
  end
  local code = ([[
    require("spec.support.trial").failures { %s }
  ]]):format(table.concat(fields, ", "))
  shimmed_it(name, code, function(output)
    local tried, failed = output:match "^(%d+)\t(%d+)\n$"
    assert(tried, output)
    assert.is_truthy(tonumber(tried) >= least, "the call is hardly made: " .. output)
    tally.add("failed_calls", tonumber(tried))
    -- Short writes and interrupted calls are no failures.
    if case.is_harmless then
      assert.equals("0", failed)
    else
      assert.is_truthy(tonumber(failed) > 0, "it never failed")
    end
  end)
end

describe("every flush that fails", function()
  for _, sync in ipairs { "none", "always" } do
    trials("once, sync " .. sync, {
      calls = "fdatasync,fsync", error = "EIO", times = 1, sync = sync, stride = 1,
    }, 25)
    trials("and all after it, sync " .. sync, {
      calls = "fdatasync,fsync", error = "EIO", times = -1, sync = sync, stride = 1,
    }, 20)
  end
  trials("for want of room", {
    calls = "fdatasync,fsync", error = "ENOSPC", times = 1, sync = "always", stride = 1,
  }, 25)
end)

describe("every write that fails", function()
  for _, error in ipairs { "EIO", "ENOSPC" } do
    trials(error .. " once", {
      calls = "pwrite", error = error, times = 1, sync = "none", stride = 1,
    }, 25)
    trials(error .. " and all after it", {
      calls = "pwrite", error = error, times = -1, sync = "always", stride = 1,
    }, 20)
  end
  trials("EDQUOT, where nothing can be mapped either", {
    calls = "pwrite,mmap", error = "EDQUOT", times = 2, sync = "none", stride = 1,
  }, 25)
end)

describe("every allocation and cut of a file that fails", function()
  for _, error in ipairs { "ENOSPC", "EIO", "EFBIG" } do
    trials(error .. " once", {
      calls = "fallocate,ftruncate", error = error, times = 1, sync = "none", stride = 1,
    }, 15)
    trials(error .. " and all after it", {
      calls = "fallocate,ftruncate", error = error, times = -1, sync = "none", stride = 1,
    }, 10)
  end

  shimmed_it("gives back the space of the next segment, which had some", [[
    local bitcask = require "bitcask"
    local lfs = require "lfs"
    local scratch = require "spec.support.scratch"
    local shim = require "spec.shim"
    local path, value = scratch.path(), ("v"):rep(64 * 1024)
    local db = assert(bitcask.open(path, { segment_size = 32 << 20, policy = false }))
    local function put(i) return db:put("k" .. i, value) end
    local function next_size()
      local names = scratch.files(path, "%.seg$")
      table.sort(names)
      return #names == 2 and lfs.attributes(path .. "/" .. names[2], "size") or 0
    end
    for i = 1, 320 do assert(put(i)) end
    require "spec.support.eventually"(function() return next_size() >= 4 << 20 end, "its space")
    shim.arm { calls = "fallocate", at = 1, times = -1, error = "ENOSPC" }
    local i, code = 320
    repeat
      i = i + 1
      code = select(3, put(i))
    until code
    assert(code == "nospace", code)
    assert(next_size() < 64 * 1024, next_size())
    shim.disarm()
    for k = i, 1000 do assert(put(k)) end
    assert(db:count() == 1000)
    assert(db:close())
    scratch.clean()
    print "ok"
  ]], says_ok)

  -- In a segment that was reopened nothing is allocated ahead that a close would give back.
  shimmed_it("leaves the file without what it found, and with what was in it", [[
    local bitcask = require "bitcask"
    local ramdisk = require "spec.support.ramdisk"
    local scratch = require "spec.support.scratch"
    local shim = require "spec.shim"
    local path = ramdisk.path()
    local db = assert(bitcask.open(path))
    assert(db:put("a", "1"))
    assert(db:close())
    local name = path .. "/" .. scratch.files(path, "%.seg$")[1]
    local before = scratch.read(name)
    db = assert(bitcask.open(path))
    shim.arm { calls = "fallocate", at = 1, times = -1, error = "ENOSPC" }
    local _, _, code = db:put("b", "2")
    assert(code == "nospace" and shim.disarm() > 0)
    assert(db:close())
    assert(scratch.read(name) == before)
    db = assert(bitcask.open(path))
    assert((db:get "a") == "1" and db:put("b", "2"))
    assert(db:close())
    ramdisk.clean()
    print "ok"
  ]], says_ok)
end)

describe("every opening, renaming and removing of a file that fails", function()
  for _, error in ipairs { "EMFILE", "EACCES", "EIO" } do
    trials(error .. " once", {
      calls = "openat,renameat,unlinkat", error = error, times = 1, sync = "none", stride = 1,
    }, 40)
  end
  trials("EMFILE and all after it", {
    calls = "openat", error = "EMFILE", times = -1, sync = "always", stride = 1,
  }, 20)
  trials("ENOSPC once", {
    calls = "openat,renameat", error = "ENOSPC", times = 1, sync = "always", stride = 1,
  }, 20)
end)

describe("any call that fails", function()
  trials("and all after it", { error = "EIO", times = -1, sync = "none", stride = 2 }, 25)
  trials("three in a row", { error = "ENOSPC", times = 3, sync = "always", stride = 3 }, 25)
end)

describe("what is no failure:", function()
  trials("writes that are cut short", {
    calls = "pwrite", short = true, times = -1, sync = "none", stride = 1, is_harmless = true,
  }, 20)
  trials("calls that are interrupted", {
    calls = "pwrite,openat,fallocate", error = "EINTR", times = 2, sync = "always", stride = 2,
    is_harmless = true,
  }, 20)
  trials("files that cannot be mapped", {
    calls = "mmap", error = "ENOMEM", times = -1, sync = "always", stride = 1, is_harmless = true,
  }, 5)
  trials("a file system that cannot allocate ahead", {
    calls = "fallocate", error = "EOPNOTSUPP", times = -1, sync = "none", stride = 1,
    is_harmless = true,
  }, 5)
end)

-- ---- By name ---------------------------------------------------------------------------------

local preparation = [[
  local contents = require "spec.support.contents"
  local history = require "spec.support.history"
  local ramdisk = require "spec.support.ramdisk"
  local scratch = require "spec.support.scratch"
  local shim = require "spec.shim"
  local model = {}
  local function prepare(options)
    local path = ramdisk.path()
    local db = assert(bitcask.open(path, options))
    model = {}
    for i = 1, 120 do
      local key = "k" .. i * 7 % 40 -- so that what dies is spread
      model[key] = ("value %d "):format(i):rep(4)
      assert(db:put(key, model[key]))
    end
    for i = 1, 10 do
      model["k" .. i] = nil
      assert(db:delete("k" .. i))
    end
    -- Until nothing is done in the background any more.
    require "spec.support.eventually"(function()
      return #scratch.files(path, "hint$") >= #db:segments().segments
    end, "hint files")
    return db, path
  end
  local function check(db)
    local difference = history.difference(contents.of(db), model)
    assert(not difference, difference)
    contents.check(db, model)
  end
]]

describe("S66 a flush that fails", function()
  local cases = {
    { name = "in a put, sync always", sync = '"always"', act = 'db:put("k20", "new")',
      key = "k20", is_unknown = true },
    { name = "in a delete, sync always", sync = '"always"', act = 'db:delete "k20"',
      key = "k20", is_unknown = true },
    { name = "in db:sync()", sync = '"none"', act = "db:sync()" },
    { name = "in db:seal()", sync = '"none"', act = "db:seal()" },
    { name = "in a merge", sync = '"none"', act = "db:merge()" },
  }
  for _, case in ipairs(cases) do
    local name = case.name .. ": is told, nothing is written any more, reads go on"
    shimmed_it(name, preparation .. ([[
      local db, path = prepare { segment_size = 1024, sync = %s }
      shim.arm { calls = "fdatasync", at = 1, error = "EIO" }
      local result, message, code = %s
      assert(result == nil, "it says that it went well")
      assert(code == "io", code)
      assert(message:find("Input/output error", 1, true) and message:find("%%d+%%.seg"), message)
      assert(db:stats().stopped == 1)
      check(db)
      -- Nothing is flushed or written after it, nor said to have been.
      shim.arm { calls = "fdatasync,fsync,pwrite,fallocate,ftruncate,unlinkat,renameat" }
      for _, call in ipairs {
        function() return db:put("more", "v") end, function() return db:delete "k15" end,
        function() return db:sync() end, function() return db:seal() end,
        function() return db:merge() end, function() return db:merge_async() end,
      } do
        local value, text, kind = call()
        assert(value == nil and kind == "stopped", kind)
        assert(text:find("Input/output error", 1, true), text)
      end
      assert(shim.disarm() == 0, "something was done all the same")
      check(db)
      db:close()
      -- The next one finds everything.
      db = assert(bitcask.open(path))
      local found = contents.of(db)
      local unknown = %q
      found[unknown] = model[unknown]
      assert(history.difference(found, model) == nil)
      assert(db:put("more", "v"))
      assert(db:sync())
      assert(db:close())
      ramdisk.clean()
      print "ok"
    ]]):format(case.sync, case.act, case.key or "none"), function(output)
      assert.equals("ok\n", output)
    end)
  end

  -- The system may take for clean what never reached the disk: flushing again proves nothing.
  shimmed_it("what was not flushed is written anew by the next opening", preparation .. [[
    local db, path = prepare { segment_size = 2^20, sync = "none" }
    local segment = db:stat("k20").segment
    local name = path .. ("/%06d.seg"):format(segment)
    shim.arm { calls = "fdatasync", at = 1, error = "EIO" }
    assert(not db:sync())
    shim.disarm()
    assert(scratch.read(name))
    db:close()
    db = assert(bitcask.open(path))
    check(db)
    for key in pairs(model) do assert(db:stat(key).segment > segment, "flushed once more") end
    assert(not io.open(name), "the old file is there still")
    assert(db:close())
    -- Once is enough.
    db = assert(bitcask.open(path))
    segment = db:stat("k20").segment
    assert(db:put("k20", "new"))
    assert(db:close())
    db = assert(bitcask.open(path))
    assert(db:stat("k21").segment == segment)
    assert(db:close())
    ramdisk.clean()
    print "ok"
  ]], says_ok)

  shimmed_it("in the background: the next write tells, and so does an event", preparation .. [[
    local path, errors = ramdisk.path(), 0
    local db = assert(bitcask.open(path, { sync = 0.005, on_event = function(event)
      if event.kind == "error" then
        assert(event.code == "io" and event.message:find "Input/output error")
        errors = errors + 1
      end
    end }))
    assert(db:put("a", "1"))
    assert(db:sync())
    shim.arm { calls = "fdatasync", at = 1, error = "EIO" }
    local ok, message, code
    repeat ok, message, code = db:put("a", "2") until not ok
    assert(code == "stopped" and message:find "Input/output error", message)
    -- The event is on its way.
    for _ = 1, 1e6 do
      assert((db:get "a") == "2")
      if errors > 0 then break end
    end
    assert(errors == 1, errors)
    db:close()
    shim.disarm()
    db = assert(bitcask.open(path))
    assert((db:get "a") == "2")
    assert(db:put("a", "3"))
    assert(db:close())
    ramdisk.clean()
    print "ok"
  ]], says_ok)
end)

describe("S36 a merge that fails", function()
  for _, error in ipairs { "ENOSPC", "EMFILE", "EIO", "EACCES" } do
    shimmed_it(("at any call, %s: no key lost, no file left, and the retry succeeds"):format(error),
      preparation .. ([[
      local tidy = require "spec.support.tidy"
      local n, failed = 0, 0
      repeat
        n = n + 1
        local db, path = prepare { segment_size = 1024 }
        assert(db:seal())
        -- Hint files of their own are written in the background: let them be.
        assert(db:close())
        db = assert(bitcask.open(path, { segment_size = 1024 }))
        local before = scratch.files(path)
        local failures = 0
        shim.arm { calls = "openat,pwrite,fallocate,ftruncate", at = n, error = %q }
        local report, message, code = db:merge()
        local counted = shim.disarm()
        if not report then
          failed = failed + 1
          assert(#message > 10 and (code == "io" or code == "nospace"), code)
          check(db)
          if db:stats().stopped == 0 then
            assert(table.concat(before) == table.concat(scratch.files(path)), "a file is left")
            assert(db:put("k30", "written after the failure"))
            model.k30 = "written after the failure"
            report = assert(db:merge())
            assert(report.segments_in >= 2 and report.records_dropped > 0)
          else
            db:close()
            db = assert(bitcask.open(path, { segment_size = 1024 }))
            assert(db:merge())
          end
        end
        check(db)
        tidy.close(db, path)
        ramdisk.clean()
      until counted < n
      print(n, failed)
    ]]):format(error), function(output)
      local calls, failed = output:match "^(%d+)\t(%d+)\n$"
      assert(calls, output)
      assert.is_truthy(tonumber(calls) > 10, output)
      -- Without room a merge may go on with less of the work.
      assert.is_truthy(error == "ENOSPC" or tonumber(failed) > 5, output)
    end)
  end

  shimmed_it("on its thread: the job tells, and the retry succeeds", preparation .. [[
    local db, path = prepare { segment_size = 1024 }
    assert(db:seal())
    shim.arm { calls = "fallocate", at = 1, times = -1, error = "ENOSPC" }
    local job = assert(db:merge_async())
    local report, message, code = job:wait()
    assert(report or code == "nospace" and message:find "No space left", message)
    assert(not report or report.bytes_written == 0)
    shim.disarm()
    check(db)
    report = assert(assert(db:merge_async()):wait())
    assert(report.records_dropped > 0 and report.bytes_written > 0)
    check(db)
    assert(db:close())
    ramdisk.clean()
    print "ok"
  ]], says_ok)
end)

-- ---- Where there is no more room ---------------------------------------------------------------

describe("S73 a file that may not grow", function()
  local cases = {
    { name = "small values, large segments", segment_size = 2 ^ 20, value = 100, limit = 100000 },
    { name = "large values", segment_size = 2 ^ 20, value = 30000, limit = 200000 },
    { name = "values larger than the limit", segment_size = 2 ^ 20, value = 30000, limit = 20000 },
    { name = "not even a segment's header", segment_size = 4096, value = 10, limit = 50 },
  }
  for _, case in ipairs(cases) do
    shimmed_it(case.name .. ": refused cleanly, and taken again when there is room",
      preparation .. ([[
      local process = require "spec.process"
      local db, path = prepare { segment_size = %d }
      process.limit("file_size", %d)
      local refused = 0
      for i = 1, 3000 do
        local key, value = "k" .. i %% 50, ("new value %%d "):format(i)
        value = value .. ("x"):rep(%d)
        local version, message, code = db:put(key, value)
        if version then
          model[key] = value
        else
          assert(code == "nospace", code)
          assert(message:find(path, 1, true) and message:find "too large", message)
          assert((db:get(key)) == model[key], "half written")
          refused = refused + 1
          if refused > 20 then break end
        end
      end
      assert(refused > 20)
      assert(db:stats().stopped == 0)
      check(db)
      db:seal()
      db:merge() -- may be refused
      check(db)
      process.limit "file_size"
      for i = 1, 60 do
        local key = "k" .. i
        model[key] = ("after %%d"):format(i)
        assert(db:put(key, model[key]))
      end
      check(db)
      assert(db:seal() ~= nil)
      assert(db:merge())
      check(db)
      assert(db:close())
      db = assert(bitcask.open(path))
      check(db)
      assert(db:close())
      ramdisk.clean()
      print "ok"
    ]]):format(case.segment_size, case.limit, case.value), function(output)
      assert.equals("ok\n", output)
    end)
  end
end)

-- (directory, segment size, size of a value)
local fill = [==[
  local contents = require "spec.support.contents"
  local history = require "spec.support.history"
  local directory, segment_size, value_size = ...
  local path = directory .. "/store"
  local options = { segment_size = math.tointeger(segment_size) }
  local db = assert(bitcask.open(path, options))
  local model, count = {}, 0
  local function check()
    local difference = history.difference(contents.of(db), model)
    assert(not difference, difference)
  end
  local function value_of(i) return ("%d "):format(i):rep(value_size)
    :sub(1, math.tointeger(value_size)) end
  local function fill_up()
    while true do
      local key, value = ("key %d"):format(count), value_of(count)
      local version, message, code = db:put(key, value)
      if not version then
        assert(code == "nospace", code)
        assert(message:find(path, 1, true) and message:find "No space left", message)
        return
      end
      model[key] = value
      count = count + 1
    end
  end
  -- Delete and merge until nothing is left to delete.
  local function empty()
    local keys = {}
    for i = 0, count - 1 do keys[#keys + 1] = ("key %d"):format(i) end
    local at = 1
    repeat
      local before = at
      while at <= #keys do
        local version, message, code = db:delete(keys[at])
        if version == nil then
          assert(code == "nospace", message)
          break
        end
        model[keys[at]] = nil
        at = at + 1
      end
      db:seal()
      -- Where not even that finds room: segments of which nothing is left need none.
      if not db:merge() then
        local dead = {}
        for _, segment in ipairs(db:segments().segments) do
          if segment.live_records == 0 and segment.tombstones == 0 then
            dead[#dead + 1] = segment.id
          end
        end
        db:merge(dead)
      end
      assert(at > before, ("stuck with %d of %d deleted"):format(at - 1, count))
    until at > #keys
    check()
  end
]==]

-- Run programs, one after the other, on a file system of 1 MiB of their own.
local function on_small_disk(name, size, ...)
  local programs = { ... }
  it(("%s: segments of %d, values of %d bytes"):format(name, size[1], size[2]), function()
    if not tools.has_mount() then
      pending "no file system can be mounted here"
      return
    end
    local directory = scratch.directory()
    local commands = { ("mount -t tmpfs -o size=1m none '%s'"):format(directory) }
    for _, code in ipairs(programs) do
      commands[#commands + 1] = child.command(fill .. code, directory, size[1], size[2])
    end
    local output = shimmed.run(tools.mounting(table.concat(commands, "; ")))
    assert.matches("^[Kiled\n]*ok\n$", output)
  end)
end

local sizes = { { 4096, 100 }, { 65536, 100 }, { 131072, 1000 }, { 262144, 30000 } }

describe("S73 a disk that is full", function()
  for _, size in ipairs(sizes) do
    on_small_disk("refuses cleanly, keeps everything, and takes more when there is room", size, [[
      fill_up()
      assert(count > 20 and db:stats().stopped == 0)
      check()
      fill_up()
      check()
      assert(db:close())
      db = assert(bitcask.open(path, options))
      check()
      assert(os.execute("mount -o remount,size=2m " .. directory)) -- room, from outside
      local before = count
      fill_up()
      assert(count > before * 1.5, "nothing more is taken")
      check()
      assert(db:close())
      db = assert(bitcask.open(path, options))
      check()
      assert(db:close())
      print "ok"
    ]])
  end
end)

describe("S74 on a full disk", function()
  for _, size in ipairs(sizes) do
    on_small_disk("deletes and merges free the space", size, [[
      fill_up()
      empty()
      local before = count
      repeat until db:stats().pinned_segments == 0 -- by whoever was about to write its hint file
      fill_up()
      -- How many hint files there are is up to the background: the first time perhaps none, the
      -- second time all. They take a fifth, and as much again beside segments of one page.
      local least = math.tointeger(segment_size) <= 4096 and 1.4 or 1.7
      assert(count > before * least, ("the space is not back: %d, then %d"):format(before, count))
      check()
      assert(db:close())
      db = assert(bitcask.open(path, options))
      check()
      assert(db:close())
      print "ok"
    ]])

    on_small_disk("a store that was killed opens, and frees the space", size, [[
      fill_up()
      local stat <close> = io.open "/proc/self/stat"
      os.execute("kill -9 " .. stat:read "n")
    ]], [[
      repeat
        model[("key %d"):format(count)] = value_of(count)
        count = count + 1
      until not db:has(("key %d"):format(count))
      assert(count > 20)
      check()
      empty()
      assert(db:put("key", "value"))
      assert(db:close())
      print "ok"
    ]])
  end
end)
