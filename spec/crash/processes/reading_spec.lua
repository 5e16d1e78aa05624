-- What readers see beside a writer in another process.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local killed = require "spec.support.killed"
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
