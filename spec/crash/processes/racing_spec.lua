-- Many processes that open one store at once.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local path

before_each(function()
  path = ramdisk.path()
end)

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

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
