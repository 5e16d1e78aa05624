-- Descriptors and mappings, which a process has only so many of.

local program = require "spec.support.program"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

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
