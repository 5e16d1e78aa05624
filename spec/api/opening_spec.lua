local bitcask = require "bitcask"
local child = require "spec.support.child"
local lfs = require "lfs"
local eventually = require "spec.support.eventually"
local scratch = require "spec.support.scratch"

describe("opening", function()
  after_each(scratch.clean)

  it("makes the directory, but not its parents", function()
    local path = scratch.path()
    assert(assert(bitcask.open(path)):close())
    assert.equals("directory", lfs.attributes(path, "mode"))
    local db, message, code = bitcask.open(path .. "/a/b")
    assert.is_nil(db)
    assert.is_string(message)
    assert.is_truthy(code == "notfound" or code == "io")
  end)

  it("takes a directory that is empty already", function()
    local db <close> = assert(bitcask.open(scratch.directory()))
    assert(db:put("a", "1"))
  end)

  it("with create = false wants a store there", function()
    local path = scratch.directory()
    assert.same("notfound", (select(3, bitcask.open(path, { create = false }))))
    assert.same({}, scratch.files(path))
    assert(assert(bitcask.open(path)):close())
    assert(assert(bitcask.open(path, { create = false })):close())
  end)

  it("gives back what was put, also deletions", function()
    local path = scratch.path()
    do
      local db <close> = assert(bitcask.open(path))
      assert(db:put("a", "1"))
      assert(db:put("b", "2"))
      assert(db:put("a", "3"))
      assert(db:delete "b")
    end
    local db <close> = assert(bitcask.open(path))
    assert.equals("3", (db:get "a"))
    assert.is_nil(db:get "b")
    assert.equals(1, db:count())
  end)

  it("goes on in the segment that was active, also after a session that only merged", function()
    local path = scratch.path()
    local id
    do
      local db <close> = assert(bitcask.open(path))
      for _, value in ipairs { "1", "2" } do assert(db:put("a", value)) end
      assert(db:put("b", "merged"))
      assert(db:seal())
      assert(db:put("a", "3"))
      id = db:segments().active.id
    end
    do
      local db <close> = assert(bitcask.open(path))
      assert.equals(1, assert(db:merge()).segments_out)
    end
    local db <close> = assert(bitcask.open(path))
    assert.equals(1, #db:segments().segments)
    assert.equals(id, db:segments().active.id)
    assert.equals("3", (db:get "a"))
    assert.equals("merged", (db:get "b"))
  end)

  it("refuses a file that is no directory", function()
    local path = scratch.path()
    scratch.write(path, "hello")
    local db, message, code = bitcask.open(path)
    assert.is_nil(db)
    assert.matches(path, message, 1, true)
    assert.is_string(code)
    assert.equals("hello", scratch.read(path))
  end)

  it("names the directory in what it says when it fails", function()
    local path = scratch.directory()
    local function check(options, wanted)
      local db, message, code = bitcask.open(path, options)
      assert.is_nil(db)
      assert.equals(wanted, code)
      assert.is_truthy(message:find(path, 1, true) == 1, message)
      assert.is_nil(message:find(path, 2, true), message)
    end
    check({ create = false }, "notfound")
    check({ readonly = true }, "notfound")
    local db <close> = assert(bitcask.open(path))
    assert(db:put("a", "1"))
    check({ segment_size = 4096 }, "busy")
    check({ hash = function() return 1 end }, "busy")
  end)

  it("can be done again after it failed", function()
    local path = scratch.path()
    assert.is_nil(bitcask.open(path, { create = false }))
    assert.is_nil(bitcask.open(path, { readonly = true }))
    local db <close> = assert(bitcask.open(path))
    assert(db:put("a", "1"))
  end)

  it("takes an integer written as a float", function()
    assert(assert(bitcask.open(scratch.path(), { segment_size = 1e9 })):close())
  end)

  it("leaves the options as they were given", function()
    local options = { segment_size = 4096.0, sync = "none" }
    assert(assert(bitcask.open(scratch.path(), options)):close())
    assert.same({ segment_size = 4096.0, sync = "none" }, options)
  end)

  for _, sync in ipairs { "none", "always", 0.01, 5 } do
    it("takes sync = " .. tostring(sync), function()
      local path = scratch.path()
      do
        local db <close> = assert(bitcask.open(path, { sync = sync }))
        for i = 1, 20 do
          assert(db:put("k" .. i, "v" .. i))
        end
        assert.is_true(db:sync())
      end
      local db <close> = assert(bitcask.open(path))
      assert.equals(20, db:count())
    end)
  end

  it("with sync = \"always\" flushes every put", function()
    local db <close> = assert(bitcask.open(scratch.path(), { sync = "always" }))
    local before = db:stats().syncs
    for i = 1, 5 do
      assert(db:put("k" .. i, "v"))
    end
    assert.is_truthy(db:stats().syncs >= before + 5)
  end)

  it("without verify reads as well", function()
    local db <close> = assert(bitcask.open(scratch.path(), { verify = false }))
    assert(db:put("a", "1"))
    assert.equals("1", (db:get "a"))
  end)
end)

describe("several opens of one directory in one process", function()
  local path

  before_each(function()
    path = scratch.path()
  end)

  after_each(scratch.clean)

  it("are one store", function()
    local one <close> = assert(bitcask.open(path))
    local other <close> = assert(bitcask.open(path))
    assert(one:put("a", "1"))
    assert.equals("1", (other:get "a"))
    assert(other:put("a", "2"))
    assert.equals("2", (one:get "a"))
  end)

  it("each close for themselves", function()
    local one = assert(bitcask.open(path))
    local other <close> = assert(bitcask.open(path))
    assert(one:put("a", "1"))
    assert(one:close())
    assert.equals("1", (other:get "a"))
    assert(other:put("b", "2"))
  end)

  it("are one whatever the directory is called", function()
    local one <close> = assert(bitcask.open(path))
    local other <close> = assert(bitcask.open(path .. "/../" .. path:match "[^/]*$" .. "/."))
    assert(one:put("a", "1"))
    assert.equals("1", (other:get "a"))
  end)

  it("may leave options out, or name the same", function()
    local one <close> = assert(bitcask.open(path, { segment_size = 4096, sync = "always" }))
    assert(assert(bitcask.open(path)):close())
    assert(assert(bitcask.open(path, { segment_size = 4096 })):close())
    assert(one:put("a", "1"))
  end)

  it("are refused where they name different ones", function()
    local one <close> = assert(bitcask.open(path, { segment_size = 4096 }))
    for _, different in ipairs {
      { segment_size = 8192 }, { sync = "always" }, { sync = 1 }, { hash = "xxh32" },
      { verify = false },
    } do
      local other, message, code = bitcask.open(path, different)
      assert.is_nil(other)
      assert.is_string(message)
      assert.equals("busy", code)
    end
    assert(one:put("a", "1"))
  end)

  it("are refused beside a Lua hash, which is not shared", function()
    local one <close> = assert(bitcask.open(path, { hash = function(key) return #key end }))
    assert.equals("busy", (select(3, bitcask.open(path))))
    assert(one:put("a", "1"))
    one:close()
    local other <close> = assert(bitcask.open(path))
    assert.equals("busy", (select(3, bitcask.open(path, { hash = function() return 1 end }))))
    assert.equals("1", (other:get "a"))
  end)

  it("keep on_event to themselves", function()
    local first, second = {}, {}
    local one <close> = assert(bitcask.open(path, {
      on_event = function(event) first[#first + 1] = event.kind end,
    }))
    local other <close> = assert(bitcask.open(path, {
      on_event = function(event) second[#second + 1] = event.kind end,
    }))
    first, second = {}, {}
    assert(one:put("a", "1"))
    assert(one:seal())
    assert.same({ "sealed" }, first)
    assert.same({}, second)
    assert(other:get "a")
    assert.same({ "sealed" }, second)
  end)
end)

describe("a second process", function()
  after_each(scratch.clean)

  it("that opens for writing is told that the store is locked", function()
    local path = scratch.path()
    local db <close> = assert(bitcask.open(path))
    assert(db:put("a", "1"))
    local output = child.run([[
      local path = ...
      local db, message, code = bitcask.open(path)
      print(db, code, message:find(path, 1, true) ~= nil)
    ]], path)
    assert.equals("nil\tlocked\ttrue\n", output)
    assert(db:put("b", "2"))
  end)

  it("may write once the first has closed", function()
    local path = scratch.path()
    local db = assert(bitcask.open(path))
    assert(db:put("a", "1"))
    assert(db:close())
    local output = child.run([[
      local db <close> = assert(bitcask.open(...))
      print((db:get "a"), (assert(db:put("b", "2"))) > 0)
    ]], path)
    assert.equals("1\ttrue\n", output)
    local again <close> = assert(bitcask.open(path))
    assert.equals("2", (again:get "b"))
  end)
end)

describe("readonly", function()
  local path

  before_each(function()
    path = scratch.path()
  end)

  after_each(scratch.clean)

  it("wants a store there, and makes nothing", function()
    local db, _, code = bitcask.open(path, { readonly = true })
    assert.is_nil(db)
    assert.equals("notfound", code)
    assert.is_nil(lfs.attributes(path))
  end)

  it("refuses every write", function()
    assert(assert(bitcask.open(path)):put("a", "1"))
    collectgarbage()
    local db <close> = assert(bitcask.open(path, { readonly = true }))
    assert.equals("1", (db:get "a"))
    assert.equals("readonly", (select(3, db:put("b", "2"))))
    assert.equals("readonly", (select(3, db:delete "a")))
    assert.equals("readonly", (select(3, db:merge())))
    assert.equals("readonly", (select(3, db:seal())))
    assert.equals("1", (db:get "a"))
  end)

  it("changes nothing in the directory", function()
    do
      local db <close> = assert(bitcask.open(path, { segment_size = 256 }))
      for i = 1, 50 do
        assert(db:put("k" .. i, "v" .. i))
      end
    end
    local function state()
      local files = {}
      for _, name in ipairs(scratch.files(path)) do
        files[name] = scratch.read(path .. "/" .. name)
      end
      return files
    end
    local before = state()
    do
      local db <close> = assert(bitcask.open(path, { readonly = true }))
      assert.equals(50, db:count())
      for key, value in db:pairs() do
        assert.equals("v" .. key:sub(2), value)
      end
    end
    assert.same(before, state())
  end)

  it("opens beside a writer in another process, and moves forward with refresh", function()
    local writer <close> = assert(bitcask.open(path, { segment_size = 512 }))
    for i = 1, 30 do
      assert(writer:put("k" .. i, "old"))
    end
    local go, went = scratch.path(), scratch.path()
    local reader = child.start([[
      local path, go, went = ...
      local db <close> = assert(bitcask.open(path, { readonly = true }))
      local out <close> = assert(io.open(went, "w"))
      out:write(db:count(), " ", (db:get "k1"), "\n")
      out:flush()
      io.read() -- until told
      out:write(db:count(), " ", (db:get "k1"), "\n")
      assert(db:refresh())
      out:write(db:count(), " ", (db:get "k1"), " ", tostring(db:get "k2"), "\n")
    ]], path, go, went)
    eventually(function() return (lfs.attributes(went, "size") or 0) > 0 end, "the reader")
    for i = 31, 60 do
      assert(writer:put("k" .. i, "new"))
    end
    assert(writer:put("k1", "new"))
    assert(writer:delete "k2")
    assert(writer:merge())
    reader:write "go\n"
    reader:close()
    assert.equals("30 old\n30 old\n59 new nil\n", scratch.read(went))
  end)
end)
