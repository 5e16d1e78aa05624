local child = require "spec.support.child"
local internals = require "bitcask.internals"
local layers = require "spec.support.layers"
local lfs = require "lfs"
local random = require "spec.support.random"
local refusal = require "spec.support.refusal"
local scratch = require "spec.support.scratch"

local function size_on_disk(path)
  return lfs.attributes(path, "size")
end

-- A file that is read while it grows, and one that is only written.
local capacities = { ["with a mapping"] = 1 << 20, ["without one"] = 0 }

describe("a file", function()
  after_each(scratch.clean)

  for kind, capacity in pairs(capacities) do
    it("holds what was appended, at once: " .. kind, function()
      local directory, path = layers.directory()
      local file = assert(directory:create("file", capacity))
      local expected = ""
      local sizes = { 0, 1, 7, 4095, 4096, 4097, 16383, 16384, 16385, 70000, 3, 300000 }
      for i, size in ipairs(sizes) do
        local part = string.char(96 + i):rep(size)
        assert(file:append(0, part, "|", part))
        expected = expected .. part .. "|" .. part
        assert.equal(#expected, file:size())
        assert.equal(expected, file:read_at(0, #expected + 10))
        assert.equal(expected, file:view(0, #expected))
        assert.equal(expected, scratch.read(path .. "/file"):sub(1, #expected))
      end
      assert(file:sync())
      assert(file:finish())
      assert.equal(#expected, size_on_disk(path .. "/file"))
      file:freeze()
      assert.equal(expected, file:read_at(0, #expected + 10))
      file:close()
      assert.equal(expected, scratch.read(path .. "/file"))
    end)

    it("may be empty: " .. kind, function()
      local directory, path = layers.directory()
      local file = assert(directory:create("file", capacity))
      assert(file:append(0))
      assert(file:append(0, "", ""))
      assert.equal("", file:read_at(0, 10))
      assert.equal("", file:read_at(1 << 40, 10))
      assert(file:finish())
      file:freeze()
      file:close()
      assert.equal("", scratch.read(path .. "/file"))
    end)
  end

  -- Appends of all sizes, small ones beyond what is prepared ahead, and syncs seldom and often.
  for _, between in ipairs { 1, 7, 50 } do
    it("stays as it was, whatever was flushed: a sync every " .. between .. " appends", function()
      random.begin(between)
      local directory, path = layers.directory()
      local file = assert(directory:create("file", 16 << 20))
      local expected = {}
      for i = 1, 400 do
        local parts = {}
        for k = 1, math.random(4) do
          local size = random.pick { 0, 1, 28, 100, 3000, 4096, 5000, 16000, 17000 }
          parts[k] = string.char(math.random(0, 255)):rep(size)
        end
        assert(file:append(0, table.unpack(parts)))
        expected[i] = table.concat(parts)
        if i % between == 0 then assert(file:sync()) end
      end
      local whole = table.concat(expected)
      assert.is_true(whole == file:read_at(0, #whole + 1))
      assert.is_true(whole == scratch.read(path .. "/file"):sub(1, #whole))
      assert.is_nil(scratch.read(path .. "/file"):find("[^\0]", #whole + 1))
    end)
  end

  -- With a capacity appends of more than 16 KiB are made by calls, without one all are.
  for _, capacity in ipairs { 64 << 20, 0 } do
    for _, count in ipairs { 1, 255, 256, 257, 600, 1000 } do
      it(("has all of %d parts of one append, capacity %d"):format(count, capacity), function()
        random.begin(count)
        local directory, path = layers.directory()
        local file = assert(directory:create("file", capacity))
        local parts = {}
        for k = 1, count do
          local size = random.pick { 0, 0, 1, 44, 132, 5000 }
          parts[k] = string.char(math.random(1, 255)):rep(size)
        end
        parts[count] = parts[count] .. "end"
        assert(file:append(0, "before"))
        assert(file:append(0, table.unpack(parts)))
        local whole = "before" .. table.concat(parts)
        assert.is_true(whole == scratch.read(path .. "/file"):sub(1, #whole))
        assert.is_true(whole == file:read_at(0, #whole + 1))
      end)
    end
  end

  it("that is made ready has space behind its end, and nothing else", function()
    local directory, path = layers.directory()
    local file = assert(directory:create("file", 1 << 20))
    for _, wanted in ipairs { 0, 1, 300000, 100, 1 << 40 } do
      assert(file:append(0, "small", ("large"):rep(4000)))
      file:make_ready(wanted)
      assert.is_true(size_on_disk(path .. "/file") >= math.min(wanted, 1 << 20))
    end
    local expected = ("small" .. ("large"):rep(4000)):rep(5)
    assert.equal(expected, file:read_at(0, 1 << 20))
    assert.is_nil(scratch.read(path .. "/file"):find("[^\0]", #expected + 1))
    assert(file:sync())
    assert(file:finish())
    file:make_ready(1 << 20)
    assert.equal(#expected, size_on_disk(path .. "/file"))
    assert(file:append(0, "more")) -- it could not be sealed
    file:make_ready(1 << 20)
    assert.equal(expected .. "more", file:read_at(0, 1 << 20))
    assert(file:finish())
    file:freeze()
    file:make_ready(1 << 20)
    assert.equal(expected .. "more", scratch.read(path .. "/file"))
  end)

  it("that is only written, or only read, is as ready as it can be", function()
    local directory, path = layers.directory()
    local written = assert(directory:create("file", 0))
    assert(written:append(0, "bytes"))
    written:make_ready(1 << 20)
    written:close()
    for _, growing in ipairs { false, true } do
      local read <close> = assert(directory:open("file", growing))
      read:make_ready(1 << 20)
    end
    assert.equal("bytes", scratch.read(path .. "/file"))
  end)

  it("takes no more than its capacity", function()
    local directory = layers.directory()
    local file = assert(directory:create("file", 100))
    assert(file:append(0, ("x"):rep(60)))
    assert.has_error(function() file:append(0, ("x"):rep(41)) end)
    assert.equal(60, file:size())
    assert(file:append(1 << 30, ("x"):rep(40)))
    assert.equal(100, file:size())
  end)

  it("is not made where something is", function()
    local directory, path = layers.directory()
    scratch.write(path .. "/file", "mine")
    assert(lfs.mkdir(path .. "/directory"))
    assert(lfs.link("nowhere", path .. "/link", true))
    for _, name in ipairs { "file", "directory", "link" } do
      assert.equal("exists", select(3, directory:create(name, 0)))
    end
    assert.equal("mine", scratch.read(path .. "/file"))
    assert.is_nil(lfs.attributes(path .. "/nowhere"))
  end)

  it("that is not there is not found", function()
    local directory = layers.directory()
    assert.equal("notfound", select(3, directory:open("none")))
    assert.equal("notfound", select(3, directory:reopen("none", 0, 10)))
    assert.equal("notfound", select(3, directory:remove("none")))
    assert.equal("notfound", select(3, directory:rename("none", "other")))
  end)

  it("is never what a symbolic link leads to, nor anything but a file", function()
    local directory, path = layers.directory()
    scratch.write(path .. "/file", "mine")
    assert(lfs.link("file", path .. "/link", true))
    assert(lfs.mkdir(path .. "/directory"))
    assert(os.execute(("mkfifo '%s/pipe'"):format(path)))
    for _, name in ipairs { "link", "directory", "pipe" } do
      assert.equal("io", select(3, directory:open(name)))
      assert.equal("io", select(3, directory:open(name, true)))
      assert.is_nil((directory:reopen(name, 0, 10)))
    end
    assert.equal("io", select(3, directory:lock "link"))
    assert.equal("mine", scratch.read(path .. "/file"))
    assert.equal(1, directory:open_files())
  end)

  it("is written on from where it ended, if it is as long as it was", function()
    local directory, path = layers.directory()
    scratch.write(path .. "/file", "0123456789")
    for _, size in ipairs { 0, 9, 11, 1 << 40 } do
      assert.equal("corrupt", select(3, directory:reopen("file", size, 100)))
    end
    local file = assert(directory:reopen("file", 10, 100))
    assert(file:append(0, "more"))
    assert.equal("0123456789more", file:view(0, 14))
    assert(file:finish())
    file:close()
    assert.equal("0123456789more", scratch.read(path .. "/file"))
  end)

  it("that grows under a reader shows what is new to who looks again", function()
    local directory, path = layers.directory()
    local writer = assert(directory:create("file", 1 << 20))
    assert(writer:append(0, "old"))
    local reader = assert(directory:open("file", true))
    assert.is_false(reader:is_mapped())
    assert(writer:append(0, "new"))
    assert.equal("oldnew", reader:read_at(0, 6))
    writer:finish()
    writer:close()
    assert.equal("oldnew", reader:read_at(0, 100))
    assert.equal(6, size_on_disk(path .. "/file"))
  end)

  it("needs no descriptor while it is only read", function()
    local directory, path = layers.directory()
    scratch.write(path .. "/file", "mine")
    assert.equal(1, directory:open_files())
    local read = assert(directory:open "file")
    assert.equal(1, directory:open_files())
    local written = assert(directory:create("new", 100))
    assert.equal(2, directory:open_files())
    written:append(0, "x")
    written:freeze()
    assert.equal(1, directory:open_files())
    assert.equal("mine", read:read_at(0, 10))
    read:close()
    written:close()
    assert.equal(1, directory:open_files())
  end)
end)

-- The largest size of a file is a limit of the process, so that needs a process of its own.
-- Its standard output is the outcome.
local function with_room_for(kilobytes, code, ...)
  local command = ([[ulimit -f %d; trap '' XFSZ; ]]):format(2 * kilobytes) ..
    child.command('local internals = require "bitcask.internals"\n' .. code, ...)
  local pipe <close> = assert(io.popen("sh -c '" .. command:gsub("'", "'\\''") .. "' 2>&1"))
  return pipe:read "a"
end

describe("an append", function()
  after_each(scratch.clean)

  for kind, capacity in pairs(capacities) do
    for _, size in ipairs { 1000, 20000 } do
      it(("of %d bytes is all or nothing where room runs out: %s"):format(size, kind), function()
        local path = scratch.directory()
        local output = with_room_for(100, [[
          local path, capacity, size = ...
          local directory = assert(internals.disk.open(path))
          local file = assert(directory:create("file", math.tointeger(tonumber(capacity))))
          local expected, code = ""
          for i = 0, 200 do
            local part = string.char(65 + i % 26):rep(math.tointeger(tonumber(size)))
            local done, _, failure = file:append(0, part:sub(1, 10), part:sub(11))
            if not done then code = failure break end
            expected = expected .. part
          end
          assert(code == "nospace", code)
          assert(file:size() == #expected and file:read_at(0, 1 << 20) == expected)
          for _ = 1, 10 do -- what is small may still find room
            if file:append(0, "small") then expected = expected .. "small" end
          end
          assert(file:size() == #expected and file:read_at(0, 1 << 20) == expected)
          assert(file:sync() and file:finish())
          file:close()
          file = assert(directory:open("file"))
          assert(file:size() == #expected and file:read_at(0, 1 << 20) == expected)
          io.write(#expected)
        ]], path, capacity, size)
        local length = tonumber(output)
        assert(length and length > 100 * 1024 - size and length <= 100 * 1024, output)
        assert.equal(length, size_on_disk(path .. "/file"))
      end)
    end
  end

  it("leaves room for later ones, if it is asked to", function()
    local output = with_room_for(100, [[
      local directory = assert(internals.disk.open((...)))
      local file = assert(directory:create("file", 1 << 20))
      local code
      repeat
        local done, _, failure = file:append(16384, ("x"):rep(1000))
        code = failure
      until not done
      assert(code == "nospace", code)
      for _ = 1, 16 do
        assert(file:append(0, ("y"):rep(1000)))
      end
      io.write "done"
    ]], scratch.directory())
    assert.equal("done", output)
  end)
end)

describe("space that is held", function()
  after_each(scratch.clean)

  it("is a file without a byte, until it is removed", function()
    local directory, path = layers.directory()
    assert(directory:reserve("RESERVE", 1 << 20))
    assert.equal(0, size_on_disk(path .. "/RESERVE"))
    assert.is_true(lfs.attributes(path .. "/RESERVE", "blocks") * 512 >= 1 << 20)
    assert.equal("exists", select(3, directory:reserve("RESERVE", 1 << 20)))
    assert(directory:remove "RESERVE")
    assert.equal(1, directory:open_files())
  end)
end)

describe("a directory", function()
  after_each(scratch.clean)

  it("is made where asked for, if its parent is there", function()
    local path = scratch.path()
    assert.equal("notfound", select(3, internals.disk.open(path)))
    assert.equal("notfound", select(3, internals.disk.open(path .. "/deeper", true)))
    assert(internals.disk.open(path, true)):close()
    assert(internals.disk.open(path, true)):close()
    assert.equal("directory", lfs.attributes(path, "mode"))
    assert.equal("rwx------", lfs.attributes(path, "permissions"))
    scratch.write(path .. "/file", "")
    assert.equal("io", select(3, internals.disk.open(path .. "/file", true)))
  end)

  it("is the same whatever path leads to it", function()
    local directory, path = layers.directory()
    local link = scratch.path()
    assert(lfs.link(path, link, true))
    local through = assert(internals.disk.open(link))
    local around = assert(internals.disk.open(path .. "/../" .. path:match "[^/]*$"))
    assert.equal(directory:identify(), through:identify())
    assert.equal(directory:identify(), around:identify())
    assert.not_equal(directory:identify(), layers.directory():identify())
    os.remove(link)
  end)

  it("lists its names, renames and removes", function()
    local directory = layers.directory()
    assert.same({}, directory:list())
    for i = 1, 200 do
      assert(directory:create("f" .. i, 0)):close()
    end
    assert(directory:rename("f1", "f2")) -- over another
    assert(directory:remove "f3")
    assert(directory:sync())
    local names = directory:list()
    assert.equal(198, #names)
    table.sort(names)
    assert.equal("f10", names[1])
  end)

  it("has one lock, whoever else asks", function()
    local directory, path = layers.directory()
    assert(directory:lock "LOCK")
    local other = assert(internals.disk.open(path))
    assert.equal("locked", select(3, other:lock "LOCK"))
    assert.equal("locked\n", (child.run([[
      local directory = assert(require "bitcask.internals".disk.open((...)))
      print(select(3, directory:lock "LOCK"))
    ]], path)))
    directory:unlock()
    directory:unlock()
    assert(other:lock "LOCK")
    assert.equal("locked", select(3, directory:lock "LOCK"))
    other:close()
    assert(directory:lock "LOCK")
  end)

  it("is not locked by who has died", function()
    local directory, path = layers.directory()
    local output, status = child.run([[
      local directory = assert(require "bitcask.internals".disk.open((...)))
      assert(directory:lock "LOCK")
      local file = assert(io.open("/proc/self/stat"))
      os.execute("kill -9 " .. file:read "n")
    ]], path)
    assert.equal(137, status, output)
    assert(directory:lock "LOCK")
  end)

  it("keeps its lock when somebody removes the file that stands for it", function()
    local directory, path = layers.directory()
    assert(directory:lock "LOCK")
    os.remove(path .. "/LOCK")
    local other = assert(internals.disk.open(path))
    assert.equal("locked", select(3, other:lock "LOCK"))
    assert.equal(1, other:open_files())
    directory:close()
    assert(other:lock "LOCK")
    assert.equal(2, other:open_files())
  end)

  it("opened in want of memory leaves none behind", function()
    local path = scratch.directory()
    assert.is_true(refusal.everywhere(function() return internals.disk.open(path) end) > 1)
    local directory = assert(internals.disk.open(path))
    assert.is_true(refusal.everywhere(function() return directory:create("file", 10) end) > 0)
    assert.is_true(refusal.everywhere(function() return directory:open "file" end) > 0)
    collectgarbage()
    assert.equal(1, directory:open_files())
  end)
end)

describe("the clocks", function()
  after_each(scratch.clean)

  it("go on, and the boot is the same all the time", function()
    local now, monotonic, boot = internals.disk.clocks()
    assert.is_true(math.abs(now / 1000 - os.time()) < 5)
    for _ = 1, 1000 do
      local _, later, same = internals.disk.clocks()
      assert.is_true(later >= monotonic)
      assert.equal(boot, same)
      monotonic = later
    end
    local output = child.run 'print(select(3, require "bitcask.internals".disk.clocks()))'
    assert.equal(boot .. "\n", output)
  end)
end)

describe("random bytes", function()
  it("are never the same", function()
    local seen = {}
    for _ = 1, 100 do
      local bytes = internals.disk.random(16)
      assert.equal(16, #bytes)
      assert.is_nil(seen[bytes])
      seen[bytes] = true
    end
    assert.equal(100000, #internals.disk.random(100000))
  end)
end)
