local bitcask = require "bitcask"
local child = require "spec.support.child"
local scratch = require "spec.support.scratch"

local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(pattern, tostring(message))
end

describe("keys and values", function()
  local db

  before_each(function()
    db = assert(bitcask.open(scratch.path()))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("may be any bytes, and empty", function()
    local every = {}
    for byte = 0, 255 do
      every[#every + 1] = string.char(byte)
    end
    every = table.concat(every)
    assert(db:put("", every))
    assert(db:put(every, ""))
    assert.equals(every, (db:get ""))
    assert.equals("", (db:get(every)))
    assert.is_true(db:has "")
    assert.equals(2, db:count())
  end)

  it("are strings strictly: numbers raise", function()
    raises("string expected, got number", db.put, db, 1, "a")
    raises("string expected, got number", db.put, db, "a", 1.5)
    raises("string expected, got number", db.get, db, 1)
    raises("string expected, got number", db.has, db, 1)
    raises("string expected, got number", db.delete, db, 1)
    raises("string expected, got number", db.stat, db, 1)
    raises("string expected, got number", db.get_many, db, { "a", 1 })
    raises("string expected, got nil", db.put, db, "a", nil)
    raises("string expected, got no value", db.put, db, "a")
    raises("string expected, got table", db.get, db, {})
    assert.equals(0, db:count())
  end)

  it("over the limit are refused, and the next write works", function()
    local version, message, code = db:put(("k"):rep(65536), "v")
    assert.is_nil(version)
    assert.is_string(message)
    assert.equals(bitcask.errors.toolarge, code)
    assert(db:put(("k"):rep(65535), "v"))
    assert.equals("v", (db:get(("k"):rep(65535))))
  end)
end)

describe("misuse", function()
  local db

  before_each(function()
    db = assert(bitcask.open(scratch.path()))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("of opening raises: directories", function()
    raises("directory", bitcask.open)
    raises("directory", bitcask.open, 1)
    raises("empty", bitcask.open, "")
    raises("zero byte", bitcask.open, scratch.path() .. "\0hidden")
  end)

  it("of opening raises: unknown options, naming those that are known", function()
    raises("unknown option 'sycn'", bitcask.open, scratch.path(), { sycn = "always" })
    raises("sync", bitcask.open, scratch.path(), { sycn = "always" })
  end)

  it("of opening raises: wrong values, and nothing is made", function()
    local path = scratch.path()
    local wrong = {
      readonly = { 1, "true" },
      create = { 0 },
      verify = { "yes" },
      policy = { true, 1, "default", {} },
      disk = { true, "/tmp", {} },
      salvage = { {} },
      sync = { "sometimes", 0, -1, 0 / 0, math.huge, true },
      segment_size = { 0, 255, -1, 1.5, 0 / 0, math.huge, 2 ^ 34 + 1, 2 ^ 63, "4096" },
      hash = { "md5", "xxh128", 1, {} },
      on_event = { "print", {} },
      ttl = { 0, -1, 0 / 0, "1", true },
    }
    for name, values in pairs(wrong) do
      for _, value in ipairs(values) do
        raises("option '" .. name, bitcask.open, path, { [name] = value })
      end
    end
    raises("table", bitcask.open, path, "readonly")
    assert.is_nil(require("lfs").attributes(path))
  end)

  it("of a write's options raises", function()
    raises("unknown option 'if_present' %(known: if_absent, if_version, ttl%)", db.put, db, "a",
      "1", { if_present = true })
    raises("unknown option 'ttl' %(known: if_absent, if_version%)", db.delete, db, "a",
      { ttl = 1 })
    for _, ttl in ipairs { 0, -1, -math.huge, 0 / 0, "1", true, {} } do
      raises("option 'ttl'", db.put, db, "a", "1", { ttl = ttl })
    end
    for _, version in ipairs { 0, -1, 1.5, "1", true } do
      raises("option 'if_version'", db.put, db, "a", "1", { if_version = version })
      raises("option 'if_version'", db.delete, db, "a", { if_version = version })
    end
    raises("option 'if_absent'", db.put, db, "a", "1", { if_absent = 1 })
    raises("exclude each other", db.put, db, "a", "1", { if_absent = true, if_version = 1 })
    assert.equals(0, db:count())
    raises("table expected", db.put, db, "a", "1", "always")
    assert(db:put("a", "1", {}))
    assert(db:delete("a", {}))
  end)

  it("of an iteration's options raises", function()
    raises("unknown option 'prefx' %(known: on_damage, prefix%)", db.pairs, db, { prefx = "" })
    raises("option 'prefix'", db.keys, db, { prefix = 1 })
    raises("option 'on_damage'", db.pairs, db, { on_damage = "ignore" })
  end)

  it("is told where it happened, not inside the module", function()
    local here = debug.getinfo(1, "S").short_src:gsub("%p", "%%%0")
    raises(here, function() db:pairs { prefix = 1 } end)
    raises(here, function() db:merge { "1" } end)
    raises(here, function() db:merge { 99 } end)
    raises(here, function() db:merge { "1" } end)
    raises(here, function() db:merging { 99 } end)
    raises(here, function() db:merging { "1" } end)
    raises(here, function() db:merge_async { 99 } end)
    raises(here, function() db:merge_async { "1" } end)
    raises(here, function() bitcask.open("x", { sycn = 1 }) end)
    raises(here, function() db:get(1) end)
    raises(here, function() db:put("a", "1", { ttl = 0 }) end)
    raises(here, function() db:batch():put("a", "1", { tll = 1 }) end)
    raises(here, function() db:changes "now" end)
    raises(here, function() db:transaction(1) end)
    raises(here, function() db:transaction(print, { tries = 1 }) end)
    raises(here, function() db:snapshot():pairs { prefx = "" } end)
    db:transaction(function(tx)
      raises(here, function() tx:get(1) end)
      raises(here, function() tx:put("a", 1) end)
      raises(here, function() tx:put("a", "1", { ttl = 0 }) end)
      raises(here, function() tx:delete("a", { ttl = 1 }) end)
    end)
  end)

  it("of self raises and never crashes", function()
    local iterator = select(2, db:pairs())
    local others = { 1, "db", {}, print, io.stdout, coroutine.create(print), iterator, db:table() }
    local methods = getmetatable(db) and {
      "put", "get", "has", "delete", "stat", "get_many", "count", "pairs", "keys", "table",
      "sync", "seal", "refresh", "segments", "stats", "merge", "merge_async", "merging", "batch",
      "snapshot", "transaction", "changes", "close",
    }
    for _, name in ipairs(methods) do
      for _, other in ipairs(others) do
        raises("", db[name], other, "a", "b")
      end
      raises("", db[name], nil, "a", "b")
      raises("", db[name])
    end
    raises("", (db:pairs()), db)
    raises("", (db:pairs()), io.stdout)
  end)
end)

describe("the world's failures", function()
  after_each(scratch.clean)

  it("return nil, a message that names the file, and a code of bitcask.errors", function()
    local path = scratch.path()
    local db, message, code = bitcask.open(path, { create = false })
    assert.is_nil(db)
    assert.matches(path, message, 1, true)
    assert.equals("notfound", code)
    assert.equals(code, bitcask.errors[code])
  end)

  it("have these codes", function()
    local codes = {}
    for name, code in pairs(bitcask.errors) do
      assert.equals(name, code)
      codes[#codes + 1] = code
    end
    table.sort(codes)
    assert.same({
      "busy", "cancelled", "conflict", "corrupt", "exists", "incompatible", "io", "locked",
      "nomemory", "nospace", "notfound", "policy", "readonly", "stopped", "toolarge",
    }, codes)
  end)

  it("are other than absence, which is nil alone", function()
    local db <close> = assert(bitcask.open(scratch.path()))
    assert.equals(1, select("#", db:get "nope"))
    assert.is_nil(db:get "nope")
    assert.equals(1, select("#", db:stat "nope"))
    assert.is_false(db:has "nope")
    assert.is_false(db:delete "nope")
  end)
end)

describe("a handle", function()
  local db

  before_each(function()
    db = assert(bitcask.open(scratch.path()))
    assert(db:put("a", "1"))
    assert(db:put("b", "2"))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("is told by bitcask.type, open or closed, as io.type tells of files", function()
    local iterator = select(2, db:pairs())
    local job = assert(db:merge_async())
    assert.equals("store", bitcask.type(db))
    assert.equals("iterator", bitcask.type(iterator))
    assert.equals("job", bitcask.type(job))
    iterator:close()
    job:close()
    db:close()
    assert.equals("closed store", bitcask.type(db))
    assert.equals("closed iterator", bitcask.type(iterator))
    assert.equals("closed job", bitcask.type(job))
    for _, other in ipairs { 1, "store", {}, io.stdout, print, true } do
      assert.is_nil(bitcask.type(other))
    end
    assert.is_nil(bitcask.type(nil))
  end)

  it("prints as what it is, and which", function()
    local path = scratch.path()
    local other = assert(bitcask.open(path))
    local iterator = select(2, other:pairs())
    local job = assert(other:merge_async())
    assert.matches("store", tostring(other))
    assert.matches(path, tostring(other), 1, true)
    assert.matches("iterator", tostring(iterator))
    assert.matches("job", tostring(job))
    job:close()
    other:close()
    for _, handle in ipairs { other, iterator, job } do
      assert.matches("closed", tostring(handle))
    end
  end)

  it("keeps its metatable to itself", function()
    for _, handle in ipairs { db, (select(2, db:pairs())), assert(db:merge_async()), db:table() } do
      assert.is_string(getmetatable(handle))
    end
  end)

  it("may be closed twice", function()
    local iterator = select(2, db:pairs())
    local job = assert(db:merge_async())
    for _ = 1, 2 do
      assert.is_true(iterator:close())
      assert.is_true(job:close())
      assert.is_true(db:close())
    end
  end)

  it("raises once it is closed", function()
    local next, iterator = db:pairs()
    local job = assert(db:merge_async())
    iterator:close()
    raises("attempt to use a closed iterator", next, iterator)
    job:close()
    for _, name in ipairs { "progress", "wait", "cancel", "pause", "resume" } do
      raises("attempt to use a closed job", job[name], job)
    end
    db:close()
    for _, name in ipairs {
      "put", "get", "has", "delete", "stat", "count", "table", "sync", "seal", "refresh",
      "segments", "stats", "merge", "merge_async", "merging",
    } do
      raises("attempt to use a closed store", db[name], db, "a", "b")
    end
    raises("attempt to use a closed store", db.pairs, db)
    raises("attempt to use a closed store", db.keys, db)
    raises("attempt to use a closed store", db.get_many, db, {})
    raises("attempt to use a closed store", function() return #db end)
    raises("attempt to use a closed store", pairs, db)
  end)

  it("is told from any other value, whatever was called just before", function()
    local snapshot <close> = assert(db:snapshot())
    local others = { 1, "store", {}, io.stdout, print, true, (select(2, db:pairs())), snapshot,
      debug.upvalueid(db.get, 1) }
    for _, name in ipairs { "put", "get", "has", "delete", "stat" } do
      for _, other in ipairs(others) do
        assert.equals("1", (db:get "a"))
        raises("#1 .*bitcask store expected, got ", db[name], other, "a", "b")
      end
      raises("#1 .*bitcask store expected, got no value", db[name])
      raises("#1 .*bitcask store expected, got nil", db[name], nil, 1)
      raises("#2 .*string expected, got no value", db[name], db)
    end
  end)

  it("answers for itself, beside another in the same call", function()
    local other <close> = assert(bitcask.open(scratch.path()))
    assert(other:put("a", "other"))
    for _ = 1, 3 do
      assert.equals("1", (db:get "a"))
      assert.equals("other", (db.get(other, "a")))
    end
    other:close()
    assert.equals("1", (db:get "a"))
    raises("attempt to use a closed store", db.get, other, "a")
    assert.equals("1", (db:get "a"))
  end)

  -- A finalizer that runs after the store's own still sees the userdata; what is made after it
  -- may stand where it stood.
  it("is not taken for one that is open after it was collected, even if the module came again",
    function()
      local again = "package.loaded['bitcask.core'] = nil; require 'bitcask.core'"
      for _, meanwhile in ipairs { "", again } do
        local output, status = child.run([[
          local path, meanwhile = ...
          local core = require "bitcask.core"
          local get, seen = core.cask.get, nil
          do
            local db = assert(bitcask.open(path))
            db:put("a", "1")
            setmetatable({ db }, { __gc = function(last) seen = last[1] end })
            load(meanwhile)()
            assert(get(db, "a") == "1")
          end
          collectgarbage()
          print(select(2, pcall(get, seen, "a")))
          seen = nil
          collectgarbage()
          for _ = 1, 100 do
            local file = io.tmpfile()
            assert(not pcall(get, file, "a"))
            file:close()
          end
        ]], scratch.path(), meanwhile)
        assert.equals("attempt to use a closed store\n", output)
        assert.equals(0, status)
      end
    end)

  it("closes itself at the end of its scope", function()
    local kept
    do
      local inner <close> = assert(bitcask.open(scratch.path()))
      kept = inner
    end
    assert.equals("closed store", bitcask.type(kept))
    pcall(function()
      local inner <close> = assert(bitcask.open(scratch.path()))
      kept = inner
      error "in the middle"
    end)
    assert.equals("closed store", bitcask.type(kept))
  end)

  it("is closed with its store, and raises then", function()
    local next, iterator = db:pairs()
    local next_key, keys = db:keys()
    assert.is_string(next(iterator))
    db:close()
    raises("attempt to use a closed iterator", next, iterator)
    raises("attempt to use a closed iterator", next_key, keys)
    assert.is_true(iterator:close())
  end)

  it("keeps its store open while it lives", function()
    local next, iterator = db:pairs()
    db = nil
    collectgarbage()
    collectgarbage()
    local seen = 0
    while next(iterator) do
      seen = seen + 1
    end
    assert.equals(2, seen)
    db = assert(bitcask.open(scratch.path()))
  end)

  it("is given back when it is collected", function()
    local path = scratch.path()
    assert(assert(bitcask.open(path)):put("a", "1"))
    for _ in pairs(assert(bitcask.open(path))) do
      break
    end
    assert(assert(bitcask.open(path)):pairs())
    collectgarbage()
    collectgarbage()
    assert.same({}, scratch.descriptors(path))
  end)

  it("left open at the end of the program is closed, whatever is left", function()
    local path = scratch.path()
    local output, status = child.run([[
      local path = ...
      local db = assert(bitcask.open(path, { segment_size = 256 }))
      for i = 1, 100 do assert(db:put("k" .. i % 7, ("v"):rep(i))) end
      kept = { db, db:pairs() }
      kept.job = assert(db:merge_async())
      kept.table = db:table()
      for _ in db:pairs() do break end
      kept.cycle = kept
      kept.last = setmetatable({}, {
        __gc = function() pcall(db.get, db, "a") pcall(db.close, db) end,
      })
    ]], path)
    assert.equals("", output)
    assert.equals(0, status)
    local again <close> = assert(bitcask.open(path))
    assert.equals(7, again:count())
    assert.equals(("v"):rep(100), (again:get("k" .. 100 % 7)))
  end)
end)

describe("no misuse from Lua", function()
  after_each(scratch.clean)

  it("crashes the process: any function on any values, in any state", function()
    local output, status = child.run([[
      local path = ...
      local core = require "bitcask.core"
      local lfs = require "lfs"
      lfs.mkdir(path)
      lfs.chdir(path)
      local random = math.random
      math.randomseed(1)
      warn "@off"
      local db = assert(bitcask.open(path, { segment_size = 256 }))
      for i = 1, 30 do db:put("k" .. i, ("v"):rep(i)) end
      local function handles()
        local next, iterator = db:pairs()
        return { db, next, iterator, (db:merge_async()), db:table(), core.merge.open(db, nil, 0) }
      end
      local values = {
        true, 0, -1, 2 ^ 53, 0 / 0, math.mininteger, "", "k1", ("x"):rep(70000), print,
        io.stdout, coroutine.create(print), {}, { "k1", "k2" }, { {} }, { 1, 2 },
        { prefix = "k" }, { hash = function() return 1 end }, { hash = print, on_event = error },
      }
      local functions = {}
      local function collect(from)
        for _, value in pairs(from) do
          if type(value) == "function" then functions[#functions + 1] = value
          elseif type(value) == "table" and value ~= from then collect(value) end
        end
      end
      collect(core) collect(bitcask.hash)
      for _, handle in ipairs(handles()) do
        local metatable = debug.getmetatable(handle)
        if metatable and type(handle) == "userdata" then
          for _, value in pairs(metatable) do
            if type(value) == "function" then functions[#functions + 1] = value end
          end
        end
      end
      table.sort(functions, function(a, b) return tostring(a) < tostring(b) end)
      local fresh = handles()
      local function any()
        if random() < 0.4 then return fresh[random(#fresh)] end
        return values[random(#values)]
      end
      local calls = 0
      for round = 1, 20000 do
        if bitcask.type(db) ~= "store" then
          db = assert(bitcask.open(path, { segment_size = 256 }))
          fresh = handles()
        end
        pcall(functions[random(#functions)], any(), any(), any(), any())
        if round % 500 == 0 then collectgarbage() end
      end
      print "alive"
    ]], scratch.path())
    assert.matches("alive", output)
    assert.equals(0, status)
  end)
end)
