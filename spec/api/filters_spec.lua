local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local core = require "bitcask.core"
local killed = require "spec.support.killed"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local tidy = require "spec.support.tidy"

-- Says of keys by their names: "drop...", "new...", others are kept.
local function by_name(key, value)
  if key:find "^drop" then return false end
  if key:find "^new" then return "new " .. value end
  return true
end

describe("a filter", function()
  local path, db

  local function reopen(options)
    db:close()
    db = assert(bitcask.open(path, options))
  end

  before_each(function()
    path = scratch.path()
    db = assert(bitcask.open(path, { segment_size = 1024 }))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("keeps, deletes and rewrites, for good", function()
    local expected = {}
    for i = 1, 100 do
      for _, name in ipairs { "keep", "drop", "new" } do
        assert(db:put(name .. i, "old"))
        assert(db:put(name .. i, "v" .. i))
      end
      expected["keep" .. i], expected["new" .. i] = "v" .. i, "new v" .. i
    end
    assert(db:seal())
    local report = assert(db:merge { filter = by_name })
    assert.equals(100, report.keys_dropped)
    assert.equals(100, report.keys_rewritten)
    assert.equals(100, report.records_kept)
    contents.check(db, expected)
    reopen()
    contents.check(db, expected)
    assert(db:seal())
    assert(db:merge())
    contents.check(db, expected)
    tidy.close(db, path)
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("is asked once about each live record, and told what it is", function()
    assert(db:put("a", "1"))
    local version = assert(db:put("a", "2"))
    assert(db:put("b", "3", { ttl = 1000 }))
    assert(db:put("gone", "4"))
    assert(db:delete "gone")
    local id = assert(db:seal())
    local asked = {}
    assert(db:merge { filter = function(key, value, info)
      assert.is_nil(asked[key])
      asked[key] = { value = value, info = info }
      return true
    end })
    assert.same({ value = "2", info = { version = version, segment = id } }, asked.a)
    assert.equals("3", asked.b.value)
    assert.is_true(math.abs(asked.b.info.expires - os.time() - 1000) < 10)
    assert.is_nil(asked.gone)
    assert.is_nil(asked.c)
  end)

  it("without a plan sees every sealed segment, with a plan those named", function()
    for i = 1, 60 do
      assert(db:put("k" .. i, ("v"):rep(50)))
    end
    assert(db:seal())
    local asked = 0
    local function count()
      asked = asked + 1
      return true
    end
    assert.equals(0, assert(db:merge()).segments_in)
    assert(db:merge { filter = count })
    assert.equals(60, asked)
    asked = 0
    assert(db:merge { contents.sealed(db)[1], filter = count })
    assert.is_true(asked > 0 and asked < 60)
  end)

  it("never uncovers an older value that stands outside the merge", function()
    reopen { segment_size = 4096 }
    for round = 1, 3 do
      for i = 1, 10 do
        for _, name in ipairs { "keep", "drop", "new" } do
          assert(db:put(name .. i, "round " .. round, { ttl = round == 2 and 1e6 or nil }))
        end
      end
      assert(db:seal())
    end
    local sealed, expected = contents.sealed(db), {}
    for i = 1, 10 do
      expected["keep" .. i], expected["new" .. i] = "round 3", "new round 3"
    end
    -- The newest alone: all the others hold older records of its keys.
    assert(db:merge { sealed[#sealed], filter = by_name })
    contents.check(db, expected)
    reopen()
    contents.check(db, expected)
    -- Then what was written for the filter, and the old ones, each by itself.
    assert(db:seal())
    for _, id in ipairs(contents.sealed(db)) do
      assert(db:merge { id })
      contents.check(db, expected)
    end
    reopen()
    contents.check(db, expected)
  end)

  it("uncovers none, either, where the key expires before it is carried out", function()
    local clock = require "spec.clock"
    assert(db:put("drop", "old"))
    assert(db:put("new", "old"))
    assert(db:seal())
    assert(db:put("drop", "young", { ttl = 10 }))
    assert(db:put("new", "young", { ttl = 10 }))
    local id = assert(db:seal())
    local is_moved
    local report = assert(db:merge { id, filter = function(key, value)
      if not is_moved and key == "new" then clock.move(20) end
      is_moved = is_moved or key == "new"
      return by_name(key, value)
    end })
    local has_none = db:count() == 0
    reopen()
    has_none = has_none and db:count() == 0 and db:get "drop" == nil and db:get "new" == nil
    clock.reset()
    assert.is_true(has_none)
    assert.equals(0, report.keys_dropped + report.keys_rewritten)
  end)

  it("changes nothing that an open snapshot sees, before or while it runs", function()
    for i = 1, 30 do
      assert(db:put("drop" .. i, "1"))
      assert(db:put("new" .. i, "1"))
    end
    assert(db:seal())
    local snapshots, asked = { assert(db:snapshot()) }, 0
    assert(db:merge { filter = function(key, value)
      asked = asked + 1
      if asked % 20 == 0 then
        assert(db:put("other", "v" .. asked))
        snapshots[#snapshots + 1] = assert(db:snapshot())
      end
      return by_name(key, value)
    end })
    assert.equals(31, db:count())
    assert.is_true(#snapshots > 2)
    for _, snapshot in ipairs(snapshots) do
      for i = 1, 30 do
        assert.equals("1", (snapshot:get("drop" .. i)))
        assert.equals("1", (snapshot:get("new" .. i)))
      end
      snapshot:close()
    end
  end)

  it("gives way to a write that comes between", function()
    for i = 1, 20 do
      assert(db:put("drop" .. i, "1"))
      assert(db:put("new" .. i, "1"))
    end
    assert(db:seal())
    local report = assert(db:merge { filter = function(key, value)
      -- After it was asked about, and before it says anything.
      if key:find "[13579]$" then assert(db:put(key, "written")) end
      if key:find "2$" then assert(db:delete(key)) end
      return by_name(key, value)
    end })
    assert.equals(8, report.keys_dropped)
    assert.equals(8, report.keys_rewritten)
    local expected = {}
    for i = 1, 20 do
      expected["new" .. i] = i % 2 == 1 and "written" or i % 10 ~= 2 and "new 1" or nil
      expected["drop" .. i] = i % 2 == 1 and "written" or nil
    end
    contents.check(db, expected)
    reopen()
    contents.check(db, expected)
  end)

  it("is a write for whoever reckons with versions", function()
    local dropped, rewritten = assert(db:put("drop", "1")), assert(db:put("new", "1"))
    local kept = assert(db:put("keep", "1"))
    assert(db:seal())
    local before = db:stats().version
    assert(db:merge { filter = by_name })
    assert.equals(kept, db:stat("keep").version)
    assert.is_true(db:stat("new").version > before)
    assert.equals("conflict", (select(3, db:put("new", "2", { if_version = rewritten }))))
    assert.equals("conflict", (select(3, db:put("drop", "2", { if_version = dropped }))))
    local changes = {}
    for change in assert(db:changes(before)) do
      changes[change.key] = change.deleted or change.value
    end
    assert.same({ drop = true, new = "new 1" }, changes)
  end)

  it("leaves the time at which a key expires as it was", function()
    reopen { ttl = 500 }
    assert(db:put("new of its own", "1", { ttl = 1e6 }))
    assert(db:put("new for ever", "1", { ttl = math.huge }))
    assert(db:put("new", "1"))
    local before = {}
    for key in db:keys() do
      before[key] = db:stat(key).expires or "never"
    end
    assert(db:seal())
    assert(db:merge { filter = by_name })
    for key, expires in pairs(before) do
      assert.equals("new 1", (db:get(key)))
      assert.equals(expires, db:stat(key).expires or "never")
    end
  end)

  it("that gives the value back, or true, writes nothing", function()
    for i = 1, 20 do
      assert(db:put("k" .. i, "v"))
    end
    assert(db:seal())
    local version = db:stats().version
    local report = assert(db:merge { filter = function(_, value) return value end })
    assert.equals(0, report.keys_rewritten)
    assert.equals(version, db:stats().version)
  end)

  it("handles any bytes, and more than fit in a segment", function()
    local expected = {}
    for _, key in ipairs { "", "\0", ("k"):rep(65535), "plain" } do
      assert(db:put(key, key .. "value"))
      expected[key] = ""
    end
    for i = 1, 2000 do
      assert(db:put("n" .. i, "v"))
      expected["n" .. i] = ("w"):rep(i)
    end
    assert(db:seal())
    local report = assert(db:merge { filter = function(key)
      return key:find "^n%d" and ("w"):rep(math.tointeger(tonumber(key:sub(2)))) or ""
    end })
    assert.equals(2004, report.keys_rewritten)
    contents.check(db, expected)
    reopen { sync = "always" }
    assert(db:seal())
    assert(db:merge { filter = function() return false end })
    assert.equals(0, db:count())
    reopen()
    assert.equals(0, db:count())
  end)

  it("that raises has changed nothing, and the next merge goes its way", function()
    for i = 1, 50 do
      assert(db:put("drop" .. i, "1"))
      assert(db:put("new" .. i, "1"))
    end
    assert(db:seal())
    local before, version = contents.of(db), db:stats().version
    local files = scratch.files(path, "%.seg$")
    local problem = { "an error of any kind" }
    for _, call in ipairs {
      function(filter) return db:merge { filter = filter } end,
      function(filter)
        for _ in db:merging { filter = filter, step = 512 } do end -- luacheck: ignore
      end,
    } do
      local asked = 0
      local ok, raised = pcall(call, function(key, value)
        asked = asked + 1
        if asked == 70 then error(problem) end
        return by_name(key, value)
      end)
      assert.is_false(ok)
      assert.equals(problem, raised)
      assert.equals(version, db:stats().version)
      assert.same(files, scratch.files(path, "%.seg$"))
      contents.check(db, before)
    end
    assert.equals(50, assert(db:merge { filter = by_name }).keys_dropped)
  end)

  it("has to return true, false or a string", function()
    assert(db:put("a", "1"))
    assert(db:seal())
    for _, nonsense in ipairs { 0, 1, 1.5, {}, print, "nil" } do
      if nonsense == "nil" then nonsense = nil end
      local ok, message = pcall(db.merge, db, { filter = function() return nonsense end })
      assert.is_false(ok)
      assert.matches("the filter returned a", message)
    end
    assert.equals("1", (db:get "a"))
  end)

  it("may read the store, and yield", function()
    for i = 1, 10 do
      assert(db:put("drop" .. i, "1"))
    end
    assert(db:seal())
    local merge = coroutine.wrap(function()
      return db:merge { filter = function(key, value)
        assert(db:get(key) == value)
        coroutine.yield "asked"
        return false
      end }
    end)
    local rounds, result = 0
    repeat
      result = merge()
      rounds = rounds + 1
    until result ~= "asked"
    assert.equals(11, rounds)
    assert.equals(10, result.keys_dropped)
    assert.equals(0, db:count())
  end)

  it("may not merge, and survives closing the store", function()
    assert(db:put("a", "1"))
    assert(db:seal())
    local code
    assert(db:merge { filter = function()
      code = select(3, db:merge())
      return true
    end })
    assert.equals("busy", code)
    local ok, message = pcall(db.merge, db, { filter = function() return db:close() end })
    assert.is_false(ok)
    assert.matches("closed", message)
    db = assert(bitcask.open(path))
    assert.equals("1", (db:get "a"))
  end)

  it("belongs to merges in the foreground", function()
    assert.has_error(function() db:merge_async { filter = by_name } end)
    assert(db:put("a", "1"))
    assert(db:seal())
    local merge <close> = assert(core.merge.open(db, nil, 0, nil, true))
    assert.has_error(function() merge:start() end)
    assert.has_error(function() merge:answer(true) end)
    repeat
      assert(merge:step(1) == false)
    until merge:question()
    assert.has_error(function() merge:step(1) end)
    assert.has_error(function() merge:answer(1.5) end)
    assert(merge:answer(true))
    assert.is_nil(merge:question())
  end)

  it("in steps does the same", function()
    local expected = {}
    for i = 1, 300 do
      assert(db:put("drop" .. i, "1"))
      assert(db:put("new" .. i, "1"))
      expected["new" .. i] = "new 1"
    end
    assert(db:seal())
    local steps, report = 0, nil
    for p in db:merging { step = 200, filter = by_name } do
      steps = steps + 1
      report = p.report
    end
    assert.is_true(steps > 50)
    assert.equals(300, report.keys_dropped)
    contents.check(db, expected)
  end)
end)

-- The process dies after so many steps of a merge with a filter.
local dying = [[
  local path, patience = ...
  local db = assert(bitcask.open(path, { segment_size = 1024 }))
  local function by_name(key, value)
    if key:find "^drop" then return false end
    if key:find "^new" and not value:find "^new" then return "new " .. value end
    return true
  end
  local steps = 0
  for _ in db:merging { step = 100, filter = by_name } do
    steps = steps + 1
    if steps == tonumber(patience) then die() end
  end
]]

describe("a filter whose process is killed", function()
  after_each(scratch.clean)

  it("has done to each key what it said, or nothing, and loses no other", function()
    local made = scratch.path()
    do
      local db <close> = assert(bitcask.open(made, { segment_size = 1024 }))
      for round = 1, 2 do
        for i = 1, 15 do
          assert(db:put("keep" .. i, "v" .. round))
          assert(db:put("drop" .. i, "v" .. round))
          assert(db:put("new" .. i, "v" .. round))
        end
      end
      assert(db:seal())
    end
    local changed, patience = {}, 0
    repeat
      patience = patience + 3
      local path = scratch.copy(made)
      killed.run(dying, path, patience)
      local db <close> = assert(bitcask.open(path))
      local count = 0
      for i = 1, 15 do
        assert.equals("v2", (db:get("keep" .. i)))
        local dropped, new = db:get("drop" .. i), db:get("new" .. i)
        assert.is_true(dropped == nil or dropped == "v2")
        assert.is_true(new == "v2" or new == "new v2")
        if not dropped then count = count + 1 end
        if new ~= "v2" then count = count + 1 end
      end
      changed[count] = true
      scratch.remove(path)
    until changed[30] or patience > 1000
    assert.is_true(changed[0], "it never died before")
    assert.is_true(changed[30], "it never died behind")
  end)
end)

describe("a filter and a power cut", function()
  -- On the simulated disk, before and after every step of the merge.
  it("leave each key as it was or as the filter said, and lose no other", function()
    local disk = bitcask.sim.disk { seed = 1 }
    local db <close> = assert(bitcask.open("store", { disk = disk, segment_size = 512 }))
    for round = 1, 2 do
      for i = 1, 4 do
        assert(db:put("keep" .. i, "v" .. round))
        assert(db:put("drop" .. i, "v" .. round))
        assert(db:put("new" .. i, "v" .. round))
      end
    end
    assert(db:seal())
    local changed, states = {}, 0
    local function check()
      for survivor, name in disk:crash_states { limit = 60 } do
        local after <close> = assert(bitcask.open("store", { disk = survivor }))
        local count = 0
        for i = 1, 4 do
          assert.equals("v2", (after:get("keep" .. i)), name)
          local dropped, new = after:get("drop" .. i), after:get("new" .. i)
          assert.is_true(dropped == nil or dropped == "v2", name)
          assert.is_true(new == "v2" or new == "new v2", name)
          count = count + (dropped and 0 or 1) + (new == "v2" and 0 or 1)
        end
        states, changed[count] = states + 1, true
      end
    end
    for _ in db:merging { step = 64, filter = by_name } do
      check()
    end
    assert.is_true(states > 100)
    for _, count in ipairs { 0, 4, 8 } do
      assert.is_true(changed[count], "it never left off at " .. count)
    end
  end)
end)

describe("a filter by chance", function()
  after_each(scratch.clean)

  local function value_by(choice, value)
    if choice == 1 then return true end
    if choice == 2 then return false end
    return "f" .. value
  end

  -- Some rounds of writes, each followed by a merge of some segments with a filter.
  local function play(path)
    local db = assert(bitcask.open(path, { segment_size = 512 }))
    local model = {}
    for _ = 1, 6 do
      for _ = 1, math.random(0, 60) do
        local key = "k" .. math.random(20)
        if math.random(4) == 1 then
          db:delete(key)
          model[key] = nil
        else
          model[key] = random.bytes(60)
          assert(db:put(key, model[key]))
        end
      end
      if math.random(2) == 1 then assert(db:seal() ~= nil) end
      local snapshot, seen = db:snapshot(), contents.of(db)
      local said = {}
      local plan = random.some(contents.sealed(db))
      plan.filter = function(key, value)
        assert(value == model[key], "asked about what is not the value")
        if math.random(5) == 1 then
          local key_of_write = "k" .. math.random(20)
          model[key_of_write] = random.bytes(10)
          assert(db:put(key_of_write, model[key_of_write]))
          said[key_of_write] = nil
          -- Written in the very moment of the answer: that counts, also where it is the same value.
          if key_of_write == key then return false end
        end
        said[key] = value_by(math.random(3), value)
        return said[key]
      end
      assert(db:merge(plan))
      for key, verdict in pairs(said) do
        if verdict ~= true then model[key] = verdict or nil end
      end
      contents.check(db, model)
      local difference = 0
      for key, value in snapshot:pairs() do
        difference = difference + (seen[key] == value and 0 or 1)
        seen[key] = nil
      end
      assert(difference == 0 and next(seen) == nil, "the snapshot has changed")
      snapshot:close()
      if math.random(3) == 1 then
        db:close()
        db = assert(bitcask.open(path, { segment_size = 512 }))
        contents.check(db, model)
      end
    end
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, model)
    db:close()
  end

  it("agrees with a plain table", function()
    local seed = random.begin()
    for round = 1, random.effort(60) do
      local path = scratch.path()
      local ok, message = pcall(play, path)
      assert(ok, ("seed %d, round %d: %s"):format(seed, round, tostring(message)))
      scratch.remove(path)
    end
  end)
end)
