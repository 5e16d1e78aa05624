-- The files of a simulated disk as programs in Lua use them, and what a power cut leaves.

local bitcask = require "bitcask"

local disk, directory

before_each(function()
  disk = bitcask.sim.disk()
  directory = assert(disk:directory "store")
end)

-- What a file may hold after a power cut now, each once and sorted; "none" where it is gone.
local function survivors(name)
  local seen, list = {}, {}
  for survivor in disk:crash_states() do
    local bytes = survivor:read("store", name) or "none"
    if not seen[bytes] then list[#list + 1] = bytes end
    seen[bytes] = true
  end
  table.sort(list)
  return list
end

local function durable(name, bytes)
  local file = assert(directory:create(name))
  assert(file:append(bytes))
  assert(file:sync())
  assert(directory:sync())
  return file
end

describe("a file of a simulated disk", function()
  it("is created, appended to, read, written to in place, and cut", function()
    local file = assert(directory:create "a")
    assert.equal(0, file:append "hello")
    assert.equal(5, file:append " world")
    assert.equal("hello world", file:read())
    assert.equal("world", file:read(6))
    assert.equal("lo", file:read(3, 2))
    assert.equal("", file:read(11, 5))
    assert.equal("", file:read(100))
    assert.is_true(file:write_at(0, "J"))
    assert.is_true(file:write_at(13, "!"))
    assert.equal("Jello world\0\0!", file:read())
    assert.equal(14, file:size())
    assert.is_true(file:cut(5))
    assert.equal(5, file:append "!")
    assert.equal("Jello!", file:read())
    assert.equal("Jello!", disk:read("store", "a"))
  end)

  it("is opened again, and seen by every handle", function()
    assert(directory:create("a"):append "one")
    local first, second = assert(directory:open "a"), assert(directory:open "a")
    assert.equal(3, first:append " two")
    assert.equal("one two", second:read())
    assert.equal(7, second:size())
    assert.is_true(first:cut(3))
    assert.equal("one", second:read())
  end)

  it("is renamed, replaces another, is removed, and stays with who has it open", function()
    local a = durable("a", "of a")
    durable("b", "of b")
    assert.is_true(directory:rename("a", "b"))
    assert.same({ "b" }, directory:list())
    assert.equal("of a", assert(directory:open "b"):read())
    assert.is_true(directory:remove "b")
    assert.same({}, directory:list())
    assert.equal("of a", a:read())
    assert.equal(4, a:append "!")
  end)

  it("fails with a message and a code", function()
    assert(directory:create "a")
    local function code(...) return (select(3, ...)) end
    assert.equal("exists", code(directory:create "a"))
    assert.equal("notfound", code(directory:open "b"))
    assert.equal("notfound", code(directory:remove "b"))
    assert.equal("notfound", code(directory:rename("b", "a")))
    local _, message = directory:open "b"
    assert.matches("^b: cannot open: no such file", message)
    local full = bitcask.sim.disk { space = 10 }
    local file = assert(full:directory("store"):create "a")
    assert(file:append(("x"):rep(10)))
    assert.equal("nospace", code(file:append "x"))
    assert.equal("nospace", code(file:write_at(10, "x")))
    assert.is_true(file:write_at(0, "y"))
  end)

  it("raises at misuse", function()
    local file = assert(directory:create "a")
    assert.has_error(function() directory:create "" end)
    assert.has_error(function() directory:create "a/b" end)
    assert.has_error(function() directory:create(("n"):rep(64)) end)
    assert.has_error(function() directory:open "a\0b" end)
    assert.has_error(function() file:append(12) end)
    assert.has_error(function() file:read(-1) end)
    assert.has_error(function() file:read(0.5) end)
    assert.has_error(function() file:cut(1) end)
    assert.has_error(function() file:write_at(2 ^ 40, "x") end)
    assert.has_error(function() directory.create(disk, "b") end)
    assert.has_error(function() disk.directory(file, "b") end)
    assert.has_error(function() disk:directory() end)
    file:close()
    file:close()
    for _, name in ipairs { "read", "append", "size", "sync", "cut" } do
      assert.has_error(function() file[name](file, "0") end, nil, name)
    end
  end)

  it("fails where a fault says so, in part, or done all the same", function()
    local file = durable("a", "0123456789")
    disk:fail { op = "append" }
    assert.equal("io", (select(3, file:append "x")))
    assert.equal(10, file:append "x")
    disk:fail { op = "write_at", written = 2 }
    assert.equal("io", (select(3, file:write_at(0, "abcd"))))
    assert.equal("ab23456789x", file:read())
    disk:fail { op = "cut" }
    assert.equal("io", (select(3, file:cut(3))))
    assert.equal(11, file:size())
    disk:fail { op = "cut", done = true }
    assert.equal("io", (select(3, file:cut(3))))
    assert.equal("ab2", file:read())
    assert.matches("write_at +a 4 bytes at 0: io", disk:trace())
    assert.matches("cut +a to 3 bytes: io", disk:trace())
  end)

  it("gives back everything when nobody holds it", function()
    for _ = 1, 200 do
      local other = assert(bitcask.sim.disk():directory "x")
      assert(other:create "a")
    end
    collectgarbage()
    collectgarbage()
  end)
end)

describe("a power cut", function()
  it("keeps what was synced, and loses or keeps what was not", function()
    local file = durable("a", "safe")
    assert.same({ "safe" }, survivors "a")
    file:append "!"
    local left = survivors "a"
    assert.equal("safe", left[1])
    assert.matches("safe!", table.concat(left, ","), 1, true)
    for _, bytes in ipairs(left) do
      assert.equal("safe", bytes:sub(1, 4))
      assert.is_true(#bytes <= 5)
    end
    assert.is_true(#left >= 4, "no zeros and no garbage among them")
    assert(file:sync())
    assert.same({ "safe!" }, survivors "a")
  end)

  it("loses the name of a file that was synced, until its directory is", function()
    local file = assert(directory:create "a")
    file:append "text"
    assert(file:sync())
    assert.same({ "none", "text" }, survivors "a")
    assert(directory:sync())
    assert.same({ "text" }, survivors "a")
  end)

  it("keeps a later change of names without an earlier one", function()
    durable("a", "of a")
    durable("b", "of b")
    assert(directory:remove "a")
    assert(directory:remove "b")
    local seen = {}
    for survivor in disk:crash_states() do
      seen[table.concat(survivor:files "store", " ")] = true
    end
    assert.same({ [""] = true, a = true, b = true, ["a b"] = true }, seen)
  end)

  it("may lose a cut, so that what was cut off is there again", function()
    local file = durable("a", "0123456789")
    assert(file:cut(3))
    local left = survivors "a"
    assert.equal("012", left[1])
    assert.equal("0123456789", left[#left])
    assert(file:sync())
    assert.same({ "012" }, survivors "a")
  end)

  it("may tear what is written in place, and only that", function()
    local file = durable("a", ("."):rep(2048))
    assert(file:write_at(500, ("x"):rep(600)))
    for _, bytes in ipairs(survivors "a") do
      assert.equal(2048, #bytes)
      assert.equal(("."):rep(500), bytes:sub(1, 500))
      assert.equal(("."):rep(948), bytes:sub(1101))
    end
    assert.is_true(#survivors "a" > 8)
    assert(file:sync())
    assert.equal(1, #survivors "a")
  end)
end)
