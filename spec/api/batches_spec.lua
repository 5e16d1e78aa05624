local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local killed = require "spec.support.killed"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"

local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(message))
end

local function refused(code, value, message, given)
  assert.is_nil(value)
  assert.is_string(message)
  assert.equals(code, given)
end

local path, db

local function open(options)
  db = assert(bitcask.open(path, options))
  return db
end

local function reopen(options)
  assert(db:close())
  return open(options)
end

before_each(function()
  path = ramdisk.path()
  open { segment_size = 1024 }
end)

after_each(function()
  db:close()
  ramdisk.clean()
  scratch.clean()
end)

describe("a batch", function()
  it("is written when it is committed, and not before", function()
    assert(db:put("c", "old"))
    local batch = db:batch()
    batch:put("a", "1"):put("b", "2"):delete("c")
    assert.same({ c = "old" }, contents.of(db))
    local version = assert(batch:commit())
    contents.check(db, { a = "1", b = "2" })
    assert.equals(version, db:stats().version)
    assert.equals(version - 1, db:stat("b").version)
    assert.equals(version - 2, db:stat("a").version)
    reopen()
    contents.check(db, { a = "1", b = "2" })
  end)

  it("counts its writes", function()
    local batch = db:batch()
    assert.equals(0, #batch)
    batch:put("a", "1"):delete("b"):put("a", "2")
    assert.equals(3, #batch)
    assert.equals(3, batch:count())
    assert.equals(batch, batch:clear())
    assert.equals(0, batch:count())
  end)

  it("is empty once it is committed, and may be used again", function()
    local batch = db:batch():put("a", "1")
    local first = assert(batch:commit())
    assert.equals(0, #batch)
    assert.equals(first, assert(batch:commit()))
    assert.equals("1", (db:get "a"))
    assert(db:delete "a")
    assert(batch:put("b", "2"):commit())
    contents.check(db, { b = "2" })
  end)

  it("without writes answers the newest version", function()
    assert.equals(0, db:batch():commit())
    local version = assert(db:put("a", "1"))
    assert.equals(version, db:batch():commit())
    assert.equals(version, db:batch():delete("not there"):commit())
    assert.equals(version, db:stats().version)
  end)

  it("lets the last of several writes to a key count", function()
    assert(db:put("b", "old"))
    local batch = db:batch()
    batch:put("a", "1"):put("a", "2"):delete("a"):put("a", "3")
    batch:put("b", "new"):delete("b")
    batch:put("c", "1"):delete("c")
    assert(batch:commit())
    contents.check(db, { a = "3" })
    reopen()
    contents.check(db, { a = "3" })
    assert(db:merge(contents.sealed(db)))
    contents.check(db, { a = "3" })
  end)

  it("takes empty keys and values, and any bytes", function()
    assert(db:batch():put("", ""):put("\0\255", "\0"):commit())
    contents.check(db, { [""] = "", ["\0\255"] = "\0" })
  end)

  it("of one write costs what a put costs", function()
    assert(db:put("a", "1"))
    local before = db:stats().bytes_written
    assert(db:put("a", "2"))
    local of_a_put = db:stats().bytes_written - before
    assert(db:batch():put("a", "3"):commit())
    assert.equals(2 * of_a_put, db:stats().bytes_written - before)
    assert.equals("3", (db:get "a"))
    assert(db:batch():delete("a"):commit())
    assert.is_nil(db:get "a")
  end)

  it("takes each put's options", function()
    local batch = db:batch()
    batch:put("short", "1", { ttl = 100 }):put("long", "2", { ttl = math.huge }):put("plain", "3")
    assert(batch:commit())
    local left = db:stat("short").expires - os.time()
    assert.is_true(left > 90 and left < 110)
    assert.is_nil(db:stat("long").expires)
    assert.is_nil(db:stat("plain").expires)
  end)

  it("is discarded at the end of a scope", function()
    do
      local batch <close> = db:batch()
      batch:put("a", "1")
    end
    assert.equals(0, db:count())
  end)

  it("raises once it is closed, or its store is", function()
    local batch = db:batch():put("a", "1")
    assert.is_true(batch:close())
    assert.is_true(batch:close())
    raises("attempt to use a closed batch", batch.put, batch, "a", "1")
    for _, method in ipairs { "delete", "commit", "clear", "count" } do
      raises("attempt to use a closed batch", batch[method], batch, "a")
    end
    assert.equals("closed batch", bitcask.type(batch))
    local other = db:batch():put("a", "1")
    assert(db:close())
    raises("attempt to use a closed batch", other.commit, other)
    raises("attempt to use a closed batch", other.put, other, "a", "1")
    assert.matches("closed", tostring(other))
  end)

  it("tells what it is", function()
    local batch = db:batch():put("a", "1")
    assert.equals("batch", bitcask.type(batch))
    assert.matches("^bitcask batch %(.*writes: 1%)$", tostring(batch))
  end)

  it("raises for misuse", function()
    local batch = db:batch()
    raises("string expected, got number", batch.put, batch, 1, "a")
    raises("string expected, got no value", batch.put, batch, "a")
    raises("string expected, got number", batch.delete, batch, 1)
    raises("unknown option 'tll'", batch.put, batch, "a", "1", { tll = 1 })
    raises("option 'ttl'", batch.put, batch, "a", "1", { ttl = 0 })
    raises("unknown option 'ttl'", batch.delete, batch, "a", { ttl = 1 })
    raises("", batch.put, db, "a", "1")
    raises("", batch.put, nil, "a", "1")
    raises("", db.batch, batch)
    assert.equals(0, #batch)
    assert.equals(0, batch:commit())
  end)

  it("gives its memory back when it is dropped", function()
    for _ = 1, 200 do
      db:batch():put("a", ("x"):rep(100000))
    end
    collectgarbage()
    assert.equals(0, db:count())
  end)
end)

describe("a batch is refused whole", function()
  local before

  before_each(function()
    assert(db:put("there", "1"))
    before = db:stats()
  end)

  local function nothing_written()
    contents.check(db, { there = "1" })
    assert.equals(before.version, db:stats().version)
    assert.equals(before.bytes_written, db:stats().bytes_written)
    reopen()
    contents.check(db, { there = "1" })
  end

  it("when one of its writes is too large, which commit tells, until it is cleared", function()
    local batch = db:batch():put("a", "1")
    assert.equals(batch, batch:put(("k"):rep(65536), "v"))
    batch:put("b", "2")
    refused("toolarge", batch:commit())
    refused("toolarge", batch:commit())
    nothing_written()
    batch = db:batch():put(("k"):rep(65536), "v")
    assert.equals("1", (batch:clear():put("there", "2") and db:get "there"))
    assert(batch:commit())
    assert.equals("2", (db:get "there"))
  end)

  it("when a key is there that should not be", function()
    refused("conflict",
      db:batch():put("a", "1"):put("there", "2", { if_absent = true }):commit())
    nothing_written()
  end)

  it("when a version is another", function()
    local version = db:stat("there").version
    refused("conflict", db:batch():put("a", "1"):put("there", "2", { if_version = version + 1 })
      :commit())
    refused("conflict", db:batch():put("a", "1", { if_version = version }):commit())
    refused("conflict", db:batch():delete("a", { if_version = version }):put("b", "1"):commit())
    nothing_written()
  end)

  it("and may be committed again when what was in its way has gone", function()
    local batch = db:batch():put("there", "2", { if_absent = true }):put("a", "1")
    refused("conflict", batch:commit())
    assert.equals(2, #batch)
    assert(db:delete "there")
    assert(batch:commit())
    contents.check(db, { there = "2", a = "1" })
  end)

  it("on a store opened for reading", function()
    local reader <close> = assert(bitcask.open(path, { readonly = true }))
    -- In the process that writes a reader shares the engine, but not the right to write.
    refused("readonly", reader:batch():put("a", "1"):commit())
    nothing_written()
  end)
end)

describe("a condition in a batch", function()
  it("is about the store without the batch's own writes", function()
    local version = assert(db:put("a", "1"))
    assert(db:batch():put("a", "2"):put("a", "3", { if_version = version }):commit())
    assert(db:batch():put("b", "1", { if_absent = true }):put("b", "2", { if_absent = true })
      :commit())
    contents.check(db, { a = "3", b = "2" })
  end)

  it("that holds lets it be written", function()
    local version = assert(db:put("a", "1"))
    assert(db:batch():put("a", "2", { if_version = version }):put("b", "1", { if_absent = true })
      :commit())
    version = db:stat("a").version
    assert(db:batch():delete("a", { if_version = version }):commit())
    contents.check(db, { b = "1" })
  end)
end)

describe("single writes with conditions", function()
  it("are written only if the version is this", function()
    local version = assert(db:put("a", "1"))
    refused("conflict", db:put("a", "2", { if_version = version + 1 }))
    local second = assert(db:put("a", "2", { if_version = version }))
    refused("conflict", db:put("a", "3", { if_version = version }))
    refused("conflict", db:delete("a", { if_version = version }))
    assert.equals("2", (db:get "a"))
    assert(db:delete("a", { if_version = second }))
    refused("conflict", db:put("a", "4", { if_version = second }))
    assert.equals(0, db:count())
  end)

  it("are written only if there is no such key", function()
    assert(db:put("a", "1", { if_absent = true }))
    refused("conflict", db:put("a", "2", { if_absent = true }))
    assert.equals("1", (db:get "a"))
    assert(db:put("a", "2", { if_absent = false }))
    assert(db:delete "a")
    assert(db:put("a", "3", { if_absent = true }))
    refused("conflict", db:delete("a", { if_absent = true }))
    assert.is_false(db:delete("b", { if_absent = true }))
  end)

  it("hold across reopening and merging", function()
    local version = assert(db:put("a", "1"))
    reopen()
    assert(db:seal() ~= nil)
    assert(db:merge(contents.sealed(db)))
    refused("conflict", db:put("a", "2", { if_absent = true }))
    assert(db:put("a", "2", { if_version = version }))
  end)

  it("may not be mistaken about a hash that two keys share", function()
    reopen { hash = function() return 7 end }
    assert(db:put("a", "1"))
    assert(db:put("b", "1", { if_absent = true }))
    refused("conflict", db:put("a", "2", { if_absent = true }))
    assert(db:batch():put("c", "1", { if_absent = true }):delete("b"):commit())
    contents.check(db, { a = "1", c = "1" })
  end)
end)

describe("a batch and segments", function()
  local function fill(batch, count, size)
    local expected = {}
    for i = 1, count do
      local key, value = "k" .. i, ("%d:"):format(i) .. ("v"):rep(size)
      batch:put(key, value)
      expected[key] = value
    end
    return expected
  end

  for _, case in ipairs {
    { "that is larger than what is left of the segment", 8, 60 },
    { "that is larger than a segment", 40, 100 },
    { "that is larger than many segments", 2000, 100 },
    { "of one value larger than a segment", 1, 5000 },
    { "of values larger than segments", 5, 300000 },
  } do
    it(case[1] .. " is written, read, recovered and merged", function()
      assert(db:put("before", ("x"):rep(500)))
      local batch = db:batch()
      local expected = fill(batch, case[2], case[3])
      assert(batch:commit())
      expected.before = ("x"):rep(500)
      contents.check(db, expected)
      assert(db:put("after", "y"))
      expected.after = "y"
      reopen { segment_size = 1024 }
      contents.check(db, expected)
      assert(db:delete "k1")
      expected.k1 = nil
      assert(db:seal() ~= nil)
      assert(db:merge(contents.sealed(db)))
      contents.check(db, expected)
      reopen()
      contents.check(db, expected)
    end)
  end

  it("is merged record by record: what was written over is dropped", function()
    local batch = db:batch()
    local expected = fill(batch, 10, 20)
    assert(batch:commit())
    for i = 1, 9 do
      assert(db:put("k" .. i, "new"))
      expected["k" .. i] = "new"
    end
    assert(db:seal() ~= nil)
    local report = assert(db:merge(contents.sealed(db)))
    assert.equals(9, report.records_dropped)
    contents.check(db, expected)
    reopen()
    contents.check(db, expected)
    -- What is left of the batch in the merged segment is no batch cut short.
    assert(db:put("more", "1"))
    expected.more = "1"
    reopen()
    contents.check(db, expected)
  end)

  it("may be committed from the progress of a merge", function()
    for i = 1, 30 do
      assert(db:put("k" .. i % 5, ("x"):rep(200)))
    end
    assert(db:seal() ~= nil)
    local n = 0
    assert(db:merge {
      segments = contents.sealed(db),
      progress = function()
        n = n + 1
        assert(db:batch():put("k1", "m" .. n):put("k2", "m" .. n):delete("k3"):commit())
      end,
    })
    assert.is_true(n > 0)
    assert.equals("m" .. n, (db:get "k1"))
    assert.equals("m" .. n, (db:get "k2"))
    assert.is_nil(db:get "k3")
    reopen()
    assert.equals("m" .. n, (db:get "k1"))
  end)
end)

describe("a batch and a crash", function()
  -- Every batch of the writer sets all keys to its number: after a kill they are all the same.
  local function check_whole(directory, keys)
    local found <close> = assert(bitcask.open(directory))
    local number
    for i = 1, keys do
      local value = assert(found:get("k" .. i), "a key is missing"):match "^%d+"
      number = number or value
      assert.equals(number, value)
    end
    assert.equals(keys, found:count())
    return tonumber(number)
  end

  it("that was committed is there when the process is killed behind it", function()
    local directory = ramdisk.path()
    killed.run([[
      local db = assert(bitcask.open(..., { segment_size = 1024 }))
      for n = 1, 20 do
        local batch = db:batch()
        for i = 1, 7 do batch:put("k" .. i, n .. (":"):rep(n * 20)) end
        assert(batch:commit())
      end
      db:batch():put("k1", "not committed")
      die()
    ]], directory)
    assert.equals(20, check_whole(directory, 7))
  end)

  it("is there whole or not at all, whenever the process is killed, merges or not", function()
    local latest = 0
    for round = 1, 6 do
      local directory = ramdisk.path()
      local pipe = assert(io.popen("timeout -s KILL 30 " .. child.command([[
        local directory, merging = ...
        local db = assert(bitcask.open(directory, { segment_size = 4096 }))
        local n = 0
        while true do
          n = n + 1
          local batch = db:batch()
          for i = 1, 25 do batch:put("k" .. i, n .. ":" .. ("v"):rep((n * i) % 400)) end
          assert(batch:commit())
          if n == 3 then
            print((io.open "/proc/self/stat":read "n"))
            io.stdout:flush()
          end
          if merging == "true" and n % 5 == 0 then
            local job, message, code = db:merge_async()
            assert(job or code == "busy", message)
          end
        end
      ]], directory, round % 2 == 0) .. " 2>&1"))
      local id = pipe:read "n"
      for _ = 1, round * 300000 do end -- a different moment each time
      os.execute(("kill -KILL %d"):format(id))
      pipe:close()
      local n = check_whole(directory, 25)
      assert.is_true(n >= 3)
      latest = math.max(latest, n)
      check_whole(directory, 25) -- and again
    end
    assert.is_true(latest > 3)
  end)

  it("cut short at any byte is not there, and what was before it is", function()
    local directory = ramdisk.path()
    killed.run([[
      local db = assert(bitcask.open(..., { segment_size = 4096 }))
      assert(db:put("before", "1"))
      assert(db:batch():put("a", "1"):put("b", "2"):delete("before"):put("c", "3"):commit())
    ]], directory)
    local name = scratch.files(directory, "%.seg$")[1] or scratch.files(directory, "^%d")[1]
    local files = {}
    for _, file in ipairs(scratch.files(directory)) do
      files[file] = scratch.read(directory .. "/" .. file)
    end
    assert(name, "no segment")
    local bytes = files[name]
    local first = bytes:find("before", 1, true)
    local last = bytes:find("c3", 1, true) + 1
    for cut = first + 10, last - 1 do
      local copy = ramdisk.directory()
      for file, content in pairs(files) do
        scratch.write(copy .. "/" .. file, content)
      end
      scratch.write(copy .. "/" .. name, bytes:sub(1, cut) .. ("\0"):rep(#bytes - cut))
      local found <close> = assert(bitcask.open(copy))
      contents.check(found, { before = "1" })
    end
    local whole <close> = assert(bitcask.open(directory))
    contents.check(whole, { a = "1", b = "2", c = "3" })
  end)
end)

describe("a batch and a hash function", function()
  it("that calls the batch back cannot change it, nor close it", function()
    local batch, hook
    reopen {
      hash = function(key)
        if hook then
          local h = hook
          hook = nil
          h()
        end
        return #key
      end,
    }
    batch = db:batch():put("a", "1"):put("bb", "2")
    for _, method in ipairs { "put", "delete", "clear", "commit", "close" } do
      hook = function() batch[method](batch, "c", method == "put" and "3" or nil) end
      raises("hash function", batch.commit, batch)
    end
    assert(batch:commit())
    contents.check(db, { a = "1", bb = "2" })
  end)
end)

describe("options of a write with metamethods", function()
  it("that close what they are given to raise, and never crash", function()
    local batch = db:batch()
    local function closing(what)
      return setmetatable({}, {
        __pairs = function()
          what:close()
          return next, {}, nil
        end,
      })
    end
    raises("closed batch", batch.put, batch, "a", "1", closing(batch))
    raises("closed store", db.put, db, "a", "1", closing(db))
    raises("closed store", db.delete, db, "a")
  end)
end)
