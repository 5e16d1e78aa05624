-- What a store does not do to the system it runs on, nor let others do through it: modes of
-- files, descriptors, links, numbers of standard streams, names with zeros, forged records.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local forge = require "spec.support.forge"
local lfs = require "lfs"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"

local path

before_each(function()
  path = ramdisk.path()
end)

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)

local function permissions(name)
  return lfs.attributes(name, "permissions")
end

-- A store with segments, hints and a manifest, closed.
local function make()
  local db <close> = assert(bitcask.open(path, { segment_size = 512 }))
  for i = 1, 20 do
    assert(db:put("k" .. i % 7, ("v"):rep(50)))
  end
  return contents.of(db)
end

describe("what is made", function()
  it("is for its owner alone, however open the umask is", function()
    local command = child.command([[
      local db = assert(bitcask.open((...), { segment_size = 512 }))
      for i = 1, 20 do assert(db:put("k" .. i % 7, ("v"):rep(50))) end
      assert(db:merge())
      assert(db:put("k", "v"))
      print "ok"
    ]], path)
    local pipe = assert(io.popen("umask 0; " .. command .. " 2>&1"))
    assert.equals("ok\n", pipe:read "a")
    pipe:close()
    assert.equals("rwx------", permissions(path))
    local names = scratch.files(path)
    assert.is_truthy(#names >= 6)
    for _, name in ipairs(names) do
      assert.equals("rw-------", permissions(path .. "/" .. name), name)
    end
  end)

  it("keeps the mode of a directory that was there", function()
    assert(lfs.mkdir(path))
    assert(os.execute("chmod 750 " .. path))
    make()
    assert.equals("rwxr-x---", permissions(path))
  end)
end)

describe("descriptors", function()
  it("do not reach programs that the process starts", function()
    local db <close> = assert(bitcask.open(path, { segment_size = 512 }))
    for i = 1, 20 do
      assert(db:put("k" .. i, ("v"):rep(50)))
    end
    assert.is_truthy(#scratch.descriptors(path) >= 2)
    local pipe <close> = assert(io.popen "ls -l /proc/self/fd")
    assert.is_nil(pipe:read "a":find(path, 1, true))
  end)

  it("are never those of standard streams: what is printed there stays out of the files", function()
    local result = scratch.path()
    local command = child.command([[
      local path, result = ...
      local db = assert(bitcask.open(path, { segment_size = 512 }))
      for i = 1, 20 do
        assert(db:put("k" .. i, ("v"):rep(50)))
        for _, stream in ipairs { io.stdout, io.stderr } do
          stream:write(("printed "):rep(100))
          stream:flush()
        end
      end
      assert(db:merge())
      for i = 1, 20 do assert(db:get("k" .. i) == ("v"):rep(50)) end
      assert(db:close())
      local file <close> = assert(io.open(result, "w"))
      file:write "ok"
    ]], path, result)
    os.execute(command .. " <&- >&- 2>&-")
    assert.equals("ok", scratch.read(result))
    for _, name in ipairs(scratch.files(path)) do
      assert.is_nil(scratch.read(path .. "/" .. name):find("printed", 1, true), name)
    end
  end)
end)

describe("links in the directory", function()
  -- In the place of a file of the store, or of one that it is about to make.
  local function link(name, target)
    os.remove(path .. "/" .. name)
    assert(lfs.link(target, path .. "/" .. name, true))
  end

  it("are not followed to files of the store", function()
    local expected = make()
    for _, name in ipairs(scratch.files(path)) do
      if not name:find "^LOCK" and not name:find "^RESERVE" then
        local moved = scratch.path()
        scratch.write(moved, scratch.read(path .. "/" .. name))
        link(name, moved)
        local db, message = bitcask.open(path, { readonly = true })
        if name:find "hint$" or name == "KEYDIR" then
          assert.same(expected, contents.of(assert(db, message))) -- goes without it
        else
          assert.is_nil(db, name)
          assert.matches(name, message, 1, true)
        end
        if db then db:close() end
        os.remove(path .. "/" .. name)
        scratch.write(path .. "/" .. name, scratch.read(moved))
      end
    end
    local db <close> = assert(bitcask.open(path))
    assert.same(expected, contents.of(db))
  end)

  it("do not lead what is written, locked or removed out of it", function()
    local victim = scratch.path()
    for _, name in ipairs { "LOCK", "CURRENT.tmp", "MANIFEST-000002", "MANIFEST-000003",
      "000099.hint.tmp", "000099.seg", "RESERVE", "STOPPED" } do
      scratch.write(victim, "precious")
      make()
      link(name, victim)
      local db = bitcask.open(path, { segment_size = 512 }) -- may be refused
      if db then
        for i = 1, 20 do
          db:put("k" .. i, ("w"):rep(50))
        end
        db:merge()
        db:close()
      end
      assert.equals("precious", scratch.read(victim), name)
      scratch.remove(path)
    end
  end)

  it("the directory itself may be one", function()
    local expected = make()
    local other = scratch.path()
    assert(lfs.link(path, other, true))
    local db <close> = assert(bitcask.open(other))
    assert.same(expected, contents.of(db))
  end)
end)

describe("names of directories", function()
  it("with a zero in them, or empty, raise: nothing is opened under a part of them", function()
    make()
    for _, name in ipairs { path .. "\0", path .. "\0/other", "\0" } do
      assert.has_error(function()
        bitcask.open(name)
      end)
    end
    local ok, db = pcall(bitcask.open, "")
    assert.is_falsy(ok and db)
  end)
end)

describe("a value that holds a record", function()
  it("is no record, also where the header in front of it is damaged", function()
    local db = assert(bitcask.open(path))
    assert(db:put("account", "forged"))
    assert(db:sync())
    local bytes = scratch.read(path .. "/000001.seg")
    local record = forge.records(bytes)[1]
    local whole = bytes:sub(record.offset + 1, record.offset + record.size)
    assert(db:put("account", "real"))
    -- At every distance from a multiple of 8, so that one of them stands at one.
    local carrier = {}
    for shift = 0, 7 do
      carrier[#carrier + 1] = ("x"):rep(shift) .. whole:rep(2)
    end
    assert(db:put("carrier", table.concat(carrier)))
    assert(db:put("last", "v"))
    assert(db:close())
    bytes = scratch.read(path .. "/000001.seg")
    for _, one in ipairs(forge.records(bytes)) do
      if one.key == "carrier" then bytes = forge.flip(bytes, one.offset + 8, 1) end
    end
    scratch.write(path .. "/000001.seg", bytes)
    for _, options in ipairs { { readonly = true }, { salvage = true }, {} } do
      local damaged <close> = assert(bitcask.open(path, options))
      assert.equals("real", (damaged:get "account"))
      assert.equals("v", (damaged:get "last"))
    end
  end)
end)

describe("limits of keys:", function()
  for _, size in ipairs { 0, 1, 7, 8, 255, 256, 65534, 65535 } do
    it(("one of %d bytes is written, merged and read again"):format(size), function()
      local key = ("k"):rep(size)
      local db = assert(bitcask.open(path, { segment_size = 512 }))
      assert(db:put(key, "old"))
      assert(db:seal())
      assert(db:put(key, "new"))
      assert(db:put("other", "v"))
      assert(db:seal())
      assert(db:merge())
      for _ = 1, 2 do
        assert.same({ [key] = "new", other = "v" }, contents.of(db))
        assert.equals("new", (db:get(key)))
        assert(db:close())
        db = assert(bitcask.open(path))
      end
      assert(db:batch():delete(key):commit())
      assert.is_nil((db:get(key)))
      assert(db:close())
    end)
  end

  it("one of 65536 is refused by every way of writing, and never there", function()
    local db <close> = assert(bitcask.open(path))
    local key = ("k"):rep(65536)
    assert.equals("toolarge", (select(3, db:put(key, "v"))))
    assert.is_false(db:delete(key))
    assert.is_nil((db:get(key)))
    assert.is_false(db:has(key))
    assert.equals(0, #db)
  end)
end)
