-- Who may open a store: after an opening that failed, after a holder that died, and beside one.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local eventually = require "spec.support.eventually"
local killed = require "spec.support.killed"
local lfs = require "lfs"
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

-- What another process is told when it opens the store for writing.
local function code_elsewhere()
  local output = child.run([[
    local db, _, code = bitcask.open((...))
    print(db and "open" or code)
    if db then assert(db:close()) end
  ]], path)
  return (output:gsub("\n$", ""))
end

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
