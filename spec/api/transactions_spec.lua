local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tools = require "spec.support.tools"

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

before_each(function()
  path = ramdisk.path()
  db = assert(bitcask.open(path, { segment_size = 4096 }))
end)

after_each(function()
  db:close()
  ramdisk.clean()
  scratch.clean()
end)

local function increment(tx)
  local n = (tonumber(tx:get "n" or 0) or 0) + 1
  assert(tx:put("n", tostring(n)))
  return n
end

describe("a transaction", function()
  it("writes what its function has written, once that has returned", function()
    assert(db:put("old", "1"))
    local left = assert(db:transaction(function(tx)
      assert(tx:put("a", "1"))
      assert.is_true(tx:delete "old")
      assert.same({ old = "1" }, contents.of(db))
      return "done"
    end))
    assert.equals("done", left)
    contents.check(db, { a = "1" })
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, { a = "1" })
  end)

  it("returns all that its function returns, and true for nothing", function()
    assert.same({ 1, nil, "x", n = 3 }, table.pack(db:transaction(function()
      return 1, nil, "x"
    end)))
    assert.same({ true, n = 1 }, table.pack(db:transaction(function() end)))
    assert.same({ nil, n = 1 }, table.pack(db:transaction(function(tx) return tx:get "a" end)))
  end)

  it("sees its own writes, and the store as it was when it began", function()
    assert(db:put("a", "old"))
    assert(db:put("b", "old"))
    assert(db:transaction(function(tx)
      assert.equals("old", (tx:get "a"))
      assert(tx:put("a", "mine"))
      assert.equals("mine", (tx:get "a"))
      assert.is_nil(select(2, tx:get "a"))
      assert.is_true(tx:has "a")
      assert.same({ size = 4 }, tx:stat "a")
      assert.is_true(tx:delete "a")
      assert.is_nil(tx:get "a")
      assert.is_false(tx:has "a")
      assert.is_nil(tx:stat "a")
      assert.is_false(tx:delete "a")
      assert.equals(db:stat("b").version, select(2, tx:get "b"))
      assert.same(db:stat "b", tx:stat "b")
      assert.is_false(tx:has "c")
      assert.is_nil(tx:get "c")
      assert.is_nil(tx:stat "c")
    end))
    contents.check(db, { b = "old" })
  end)

  it("that only reads sees one moment, and is never in anybody's way", function()
    assert(db:put("a", "1"))
    assert(db:put("b", "1"))
    local runs = 0
    local sum = assert(db:transaction(function(tx)
      runs = runs + 1
      local a = tx:get "a"
      assert(db:batch():put("a", "2"):put("b", "2"):commit())
      return a + tx:get "b"
    end))
    assert.equals(2, sum)
    assert.equals(1, runs)
  end)

  it("without a write writes nothing", function()
    local before = db:stats()
    assert(db:transaction(function(tx) tx:get "a" tx:delete "a" end))
    assert.equals(before.bytes_written, db:stats().bytes_written)
  end)

  it("writes each key once, however often it is put", function()
    assert(db:put("n", "0"))
    local before = db:stats().version
    assert(db:transaction(function(tx)
      for i = 1, 100 do assert(tx:put("n", tostring(i))) end
      assert(tx:put("m", "1"))
      assert(tx:delete "m")
    end))
    assert.equals(before + 1, db:stats().version)
    contents.check(db, { n = "100" })
  end)

  it("is recovered whole", function()
    assert(db:transaction(function(tx)
      for i = 1, 200 do assert(tx:put("k" .. i, ("x"):rep(100))) end
    end))
    db:close()
    db = assert(bitcask.open(path))
    assert.equals(200, db:count())
  end)

  it("takes a time to live", function()
    assert(db:transaction(function(tx)
      assert(tx:put("a", "1", { ttl = 100 }))
      assert(tx:put("b", "1", { ttl = 100 }))
      assert(tx:put("b", "2"))
    end))
    assert.is_true(db:stat("a").expires > os.time() + 90)
    assert.is_nil(db:stat("b").expires)
  end)
end)

describe("a transaction in whose way others are", function()
  it("is run again, and sees what they have written", function()
    assert(db:put("n", "1"))
    local runs = 0
    assert.equals(11, assert(db:transaction(function(tx)
      runs = runs + 1
      local n = tonumber((tx:get "n"))
      if runs == 1 then assert(db:put("n", "10")) end
      assert(tx:put("n", tostring(n + 1)))
      return n + 1
    end)))
    assert.equals(2, runs)
    assert.equals("11", (db:get "n"))
  end)

  local ways = {
    ["put over"] = function() assert(db:put("a", "2")) end,
    ["put over with the same value"] = function() assert(db:put("a", "1")) end,
    ["deleted"] = function() assert(db:delete "a") end,
    ["deleted and put again"] = function()
      assert(db:delete "a")
      assert(db:put("a", "1"))
    end,
    ["put where there was none"] = function() assert(db:put("none", "1")) end,
    ["written by a batch"] = function() assert(db:batch():put("a", "1"):put("z", "1"):commit()) end,
  }
  local reads = { "get", "has", "stat" }
  for what, way in pairs(ways) do
    for _, read in ipairs(reads) do
      it(("is run again when what it saw by %s was %s"):format(read, what), function()
        assert(db:put("a", "1"))
        local runs = 0
        assert(db:transaction(function(tx)
          runs = runs + 1
          tx[read](tx, "a")
          tx[read](tx, "none")
          if runs == 1 then way() end
          assert(tx:put("other", "1"))
        end))
        assert.equals(2, runs)
      end)
    end
  end

  it("is run again when a key that it found to delete has gone, or the reverse", function()
    local runs = 0
    assert(db:put("a", "1"))
    local there = db:transaction(function(tx)
      runs = runs + 1
      local was_there = tx:delete "a"
      assert(tx:put("b", "1"))
      if runs == 1 then assert(db:delete "a") end
      return was_there
    end)
    assert.equals(2, runs)
    assert.is_false(there)
  end)

  it("is not run again for keys that it only writes, nor for others", function()
    local runs = 0
    assert(db:transaction(function(tx)
      runs = runs + 1
      tx:get "a"
      assert(tx:put("b", "mine"))
      assert(db:put("b", "theirs"))
      assert(db:put("c", "theirs"))
    end))
    assert.equals(1, runs)
    contents.check(db, { b = "mine", c = "theirs" })
  end)

  it("is not disturbed by a merge that moves what it has read", function()
    for i = 1, 100 do assert(db:put("k" .. i % 10, ("x"):rep(100))) end
    local runs = 0
    assert(db:transaction(function(tx)
      runs = runs + 1
      for i = 0, 9 do assert(tx:get("k" .. i)) end
      assert(db:seal() ~= nil)
      assert(db:merge(contents.sealed(db)))
      for i = 0, 9 do assert(tx:get("k" .. i)) end
      assert(tx:put("n", "1"))
    end))
    assert.equals(1, runs)
  end)

  it("gives up after so many attempts, and has written nothing", function()
    local runs = 0
    refused("conflict", db:transaction(function(tx)
      runs = runs + 1
      tx:get "n"
      assert(db:put("n", tostring(runs)))
      assert(tx:put("n", "mine"))
    end, { attempts = 5 }))
    assert.equals(5, runs)
    assert.equals("5", (db:get "n"))
    raises("option 'attempts'", db.transaction, db, print, { attempts = 0 })
  end)

  it("reads what it has read again as it was", function()
    assert(db:put("a", "1"))
    db:transaction(function(tx)
      local value, version = tx:get "a"
      assert(db:put("a", "2"))
      local again, same = tx:get "a"
      assert.equals(value, again)
      assert.equals(version, same)
      assert.equals(version, tx:stat("a").version)
    end)
  end)
end)

describe("an error in a transaction", function()
  it("discards what it has written, and is passed on unchanged", function()
    local object = setmetatable({}, { __tostring = function() return "mine" end })
    for _, what in ipairs { object, "text", 42, false } do
      local ok, got = pcall(db.transaction, db, function(tx)
        assert(tx:put("a", "1"))
        error(what, 0)
      end)
      assert.is_false(ok)
      assert.equals(what, got)
    end
    assert.equals(0, db:count())
    assert.equals(0, db:stats().snapshots)
    assert.equals(1, assert(db:transaction(increment)))
  end)

  it("keeps its position and its traceback", function()
    local trace
    local function inner() error "here" end
    xpcall(db.transaction, function(message)
      trace = debug.traceback(message)
    end, db, function() inner() end)
    assert.matches("transactions_spec.lua:%d+: here", trace)
    assert.matches("inner", trace)
  end)
end)

describe("a transaction's handle", function()
  it("raises once its function has ended, however it ended", function()
    local kept = {}
    db:transaction(function(tx) kept[1] = tx end)
    pcall(db.transaction, db, function(tx)
      kept[2] = tx
      error "x"
    end)
    local runs = 0
    assert(db:transaction(function(tx)
      runs = runs + 1
      tx:get "a"
      kept[2 + runs] = tx
      if runs == 1 then assert(db:put("a", "1")) end
      assert(tx:put("b", "1"))
    end))
    assert.equals(4, #kept)
    for _, tx in ipairs(kept) do
      raises("attempt to use a transaction that has ended", tx.get, tx, "a")
      raises("attempt to use a transaction that has ended", tx.put, tx, "a", "1")
      raises("attempt to use a transaction that has ended", tx.has, tx, "a")
      raises("attempt to use a transaction that has ended", tx.stat, tx, "a")
      raises("attempt to use a transaction that has ended", tx.delete, tx, "a")
      assert.equals("closed transaction", bitcask.type(tx))
      assert.matches("ended", tostring(tx))
    end
  end)

  it("raises for misuse", function()
    db:transaction(function(tx)
      raises("string, got integer", tx.get, tx, 1)
      raises("string, got float", tx.put, tx, "a", 1.5)
      raises("string, got nil", tx.put, tx, "a")
      raises("string, got table", tx.delete, tx, {})
      raises("unknown option", tx.put, tx, "a", "1", { tll = 1 })
      raises("unknown option 'ttl'", tx.delete, tx, "a", { ttl = 1 })
      raises("transaction expected", tx.get, db, "a")
      raises("transaction expected", tx.get, nil, "a")
      assert.equals("transaction", bitcask.type(tx))
      assert.matches("open", tostring(tx))
    end)
    raises("a transaction is a function, not a nil", db.transaction, db)
    raises("a transaction is a function, not a string", db.transaction, db, "x")
    assert.equals(0, db:count())
  end)

  it("does not nest: a transaction of the same store inside one raises", function()
    local ok, message = pcall(db.transaction, db, function(tx)
      assert(tx:put("a", "1"))
      return db:transaction(increment)
    end)
    assert.is_false(ok)
    assert.matches("do not nest", message)
    assert.equals(0, db:count())
    assert.equals(1, assert(db:transaction(increment)))
  end)

  it("may stand beside a transaction of another store", function()
    local other <close> = assert(bitcask.open(ramdisk.path()))
    assert(db:transaction(function(tx)
      assert(tx:put("a", "1"))
      return other:transaction(increment)
    end))
    assert.equals("1", (other:get "n"))
    assert.equals("1", (db:get "a"))
  end)

  it("of a store that was closed inside raises", function()
    raises("attempt to use a closed store", db.transaction, db, function(tx)
      assert(tx:put("a", "1"))
      db:close()
      tx:get "a"
    end)
    db = assert(bitcask.open(path))
    raises("closed store", db.transaction, db, function(tx)
      assert(tx:put("a", "1"))
      db:close()
    end)
    raises("closed store", db.transaction, db, increment)
    db = assert(bitcask.open(path))
    assert.equals(0, db:count())
  end)
end)

describe("a failure in a transaction", function()
  it("of a write keeps it from being committed, whether it was looked at or not", function()
    refused("toolarge", db:transaction(function(tx)
      refused("toolarge", tx:put(("k"):rep(65536), "1"))
      tx:put("a", "1")
      return "not this"
    end))
    assert.equals(0, db:count())
  end)

  it("of a read, too: a damaged value is no missing one", function()
    assert(db:put("n", "a value that will be damaged"))
    assert(db:put("m", "1"))
    db:close()
    scratch.damage(path, "will be damaged")
    db = assert(bitcask.open(path))
    local runs = 0
    refused("corrupt", db:transaction(function(tx)
      runs = runs + 1
      return increment(tx)
    end))
    assert.equals(1, runs)
    assert.equals("corrupt", select(3, db:get "n"))
    assert.equals(1, assert(db:transaction(function(tx) return tonumber((tx:get "m")) end)))
  end)

  it("to write at all is returned", function()
    local reader <close> = assert(bitcask.open(path, { readonly = true }))
    refused("readonly", reader:transaction(increment))
    assert.is_nil(reader:transaction(function(tx) return tx:get "n" end))
  end)
end)

describe("conditions in a transaction", function()
  it("are about what it sees, and it goes on when they do not hold", function()
    local version = assert(db:put("a", "1"))
    assert(db:transaction(function(tx)
      refused("conflict", tx:put("a", "2", { if_absent = true }))
      refused("conflict", tx:put("a", "2", { if_version = version + 1 }))
      refused("conflict", tx:put("none", "2", { if_version = version }))
      refused("conflict", tx:delete("a", { if_absent = true }))
      assert(tx:put("a", "2", { if_version = version }))
      refused("conflict", tx:put("a", "3", { if_version = version }))
      assert(tx:put("b", "1", { if_absent = true }))
      refused("conflict", tx:put("b", "2", { if_absent = true }))
      assert(tx:delete "b")
      assert(tx:put("b", "3", { if_absent = true }))
    end))
    contents.check(db, { a = "2", b = "3" })
  end)

  it("are reads: when they would be answered otherwise it is run again", function()
    local runs = 0
    local answer = db:transaction(function(tx)
      runs = runs + 1
      local ok = tx:put("lock", "mine", { if_absent = true })
      if runs == 1 then assert(db:put("lock", "theirs")) end
      return ok and "taken" or "not taken"
    end)
    assert.equals(2, runs)
    assert.equals("not taken", answer)
    assert.equals("theirs", (db:get "lock"))
  end)
end)

describe("coroutines", function()
  it("may yield inside a transaction, and each have one of its own", function()
    local function work()
      return assert(db:transaction(function(tx)
        local n = tonumber((tx:get "n")) or 0
        coroutine.yield()
        assert(tx:put("n", tostring(n + 1)))
        coroutine.yield()
        return n + 1
      end))
    end
    local workers = {}
    for i = 1, 5 do workers[i] = coroutine.create(work) end
    local left = #workers
    while left > 0 do
      for _, worker in ipairs(workers) do
        if coroutine.status(worker) ~= "dead" then
          assert(coroutine.resume(worker))
          if coroutine.status(worker) == "dead" then left = left - 1 end
        end
      end
    end
    assert.equals("5", (db:get "n"))
    assert.equals(0, db:stats().snapshots)
  end)

  it("that are closed or dropped inside a transaction leave nothing behind", function()
    local function stop_inside()
      local worker = coroutine.create(function()
        db:transaction(function(tx)
          assert(tx:put("a", "1"))
          coroutine.yield()
        end)
      end)
      assert(coroutine.resume(worker))
      return worker
    end
    local worker = stop_inside()
    assert.equals(1, db:stats().snapshots)
    assert(coroutine.close(worker))
    assert.equals(0, db:stats().snapshots)
    stop_inside()
    collectgarbage()
    collectgarbage()
    assert.equals(0, db:stats().snapshots)
    assert.equals(0, db:count())
  end)
end)

describe("many threads", function()
  local threads

  local function in_threads(count, code, ...)
    local ok, message = tools.module "spec.threads"
    if not ok then return pending(message) end
    threads = threads or require "spec.threads"
    return threads.run(count, [[
      local number, directory, a, b = ...
      local bitcask = require "bitcask"
      local db <close> = assert(bitcask.open(directory))
    ]] .. code, path, ...)
  end

  for _, sync in ipairs { "none", "always" } do
    it("raise a counter, which ends exact, sync " .. sync, function()
      db:close()
      db = assert(bitcask.open(path, { segment_size = 4096, sync = sync }))
      local each = sync == "none" and 500 or 50
      in_threads(6, [[
        for _ = 1, a do
          assert(db:transaction(function(tx)
            assert(tx:put("n", tostring((tonumber((tx:get "n")) or 0) + 1)))
          end))
          if number == 1 and math.random() < 0.1 then db:merge() end
        end
      ]], each)
      assert.equals(tostring(6 * each), (db:get "n"))
      db:close()
      db = assert(bitcask.open(path))
      assert.equals(tostring(6 * each), (db:get "n"))
    end)
  end

  it("raise a counter by versions alone, too", function()
    in_threads(4, [[
      for _ = 1, a do
        repeat
          local value, version = db:get "n"
          local n = tostring((tonumber(value) or 0) + 1)
          local done, message, code =
            db:put("n", n, version and { if_version = version } or { if_absent = true })
          assert(done or code == "conflict", message)
        until done
      end
    ]], 300)
    assert.equals("1200", (db:get "n"))
  end)

  it("take one thing once: if_absent has one winner", function()
    local won = in_threads(6, [[
      local won = 0
      for i = 1, a do
        if db:put("lock" .. i, tostring(number), { if_absent = true }) then won = won + 1 end
      end
      return won
    ]], 200)
    local sum = 0
    for _, n in ipairs(won) do sum = sum + tonumber(n) end
    assert.equals(200, sum)
  end)

  it("keep what each alone would keep: no write skew", function()
    -- Two on call; either may leave while the other stays. Never may both have left.
    local broken = in_threads(4, [[
      local broken = 0
      for i = 1, a do
        assert(db:transaction(function(tx)
          local x, y = tx:get "x" or "on", tx:get "y" or "on"
          if x == "off" and y == "off" then broken = broken + 1 end
          local mine, other = "x", y
          if number % 2 == 0 then mine, other = "y", x end
          if i % 2 == 0 then
            assert(tx:put(mine, "on"))
          elseif other == "on" then
            assert(tx:put(mine, "off"))
          end
        end))
      end
      return broken
    ]], 400)
    assert.same({ "0", "0", "0", "0" }, broken)
    assert.is_false(db:get "x" == "off" and db:get "y" == "off")
  end)

  it("move money, of which there is always the same, as every snapshot and transaction sees",
    function()
      for i = 1, 10 do assert(db:put("account" .. i, "100")) end
      in_threads(4, [[
        math.randomseed(number)
        local function total(of)
          local sum = 0
          for i = 1, 10 do sum = sum + of:get("account" .. i) end
          return math.tointeger(sum)
        end
        for _ = 1, a do
          if number == 4 then
            local snap <close> = db:snapshot()
            assert(total(snap) == 1000, "a snapshot sees half a transfer")
            assert(db:transaction(total) == 1000, "a transaction sees half a transfer")
            if math.random() < 0.1 then db:merge() end
          else
            local from, to = math.random(10), math.random(10)
            assert(db:transaction(function(tx)
              local amount = math.random(20)
              local left = tx:get("account" .. from) - amount
              if left < 0 or from == to then return "refused" end
              assert(tx:put("account" .. from, ("%d"):format(left)))
              assert(tx:put("account" .. to, ("%d"):format(tx:get("account" .. to) + amount)))
            end))
          end
        end
      ]], 300)
      local sum = 0
      for _, value in db:pairs() do sum = sum + value end
      assert.equals(1000, sum)
    end)
end)
