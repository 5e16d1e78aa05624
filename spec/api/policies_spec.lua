-- A policy given to open: when it is asked, what becomes of its plan, and that nothing it does
-- harms the store. The policies here are written for the purpose.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local scratch = require "spec.support.scratch"

local function half_dead(store)
  local plan = { reason = "half of it is dead" }
  for _, segment in ipairs(store.segments) do
    if segment.dead_bytes > 0.5 * segment.bytes then plan[#plan + 1] = segment.id end
  end
  return plan
end

local function everything(store)
  local plan = {}
  for i, segment in ipairs(store.segments) do
    plan[i] = segment.id
  end
  return plan
end

describe("the option policy", function()
  local path, db, events, asked

  before_each(function()
    path, events, asked = scratch.path(), {}, 0
  end)

  after_each(function()
    if db then db:close() end
    db = nil
    scratch.clean()
  end)

  -- The policy is counted; `options` go beside it.
  local function open(policy, options)
    options = options or {}
    options.segment_size = options.segment_size or 4096
    options.policy = function(...)
      asked = asked + 1
      return policy(...)
    end
    options.on_event = function(event) events[#events + 1] = event end
    db = assert(bitcask.open(path, options))
    return db
  end

  local function of_kind(kind)
    local found = {}
    for _, event in ipairs(events) do
      if event.kind == kind then found[#found + 1] = event end
    end
    return found
  end

  -- Segments in which much is dead, and what should be in them.
  local function fill(count)
    local expected = {}
    for i = 1, count do
      local key, value = "k" .. i % 10, ("v%d "):format(i):rep(20)
      assert(db:put(key, value))
      expected[key] = value
    end
    return expected
  end

  -- Call the store until something is so: what happens in the background is noticed there.
  local function until_so(is_so, what)
    eventually(function()
      db:count()
      return is_so()
    end, what)
  end

  local function wait_for_merges(count)
    until_so(function() return #of_kind "merged" >= count end, "merges")
  end

  it("is asked when a segment is sealed, with what db:segments() tells", function()
    local seen
    open(function(store) seen = store end)
    assert(db:put("a", "1"))
    assert.equals(0, asked)
    local id = assert(db:seal())
    assert.equals(1, asked)
    assert.equals(id, seen.segments[1].id)
    local now = db:segments()
    seen.now, now.now = nil, nil
    for _, description in ipairs { seen, now } do
      description.segments[1].pinned = nil -- for a moment, by who writes its hint file
    end
    assert.same(now, seen)
    assert(db:put("b", "2"))
    assert.equals(1, asked)
  end)

  it("is asked when a quarter of a segment has died since, and not before", function()
    open(function() end)
    for i = 1, 40 do
      assert(db:put("k" .. i, ("v"):rep(64)))
    end
    assert(db:seal())
    asked = 0
    -- Each record takes 96 bytes: the eleventh makes it 1024.
    for i = 1, 40 do
      assert(db:delete("k" .. i))
      assert.equals(i * 96 // 1056, asked, "after " .. i)
    end
  end)

  it("is asked when a sixteenth of a segment was written, a mebibyte at least", function()
    for segment_size, calls in pairs { [32 << 20] = 4, [8 << 20] = 8, [1 << 20] = 0 } do
      asked = 0
      open(function() end, { segment_size = segment_size })
      for i = 1, 130 do
        assert(db:put("k" .. i, ("v"):rep(1 << 16)))
        local grown = i * (1 << 16)
        if asked == 0 then assert.is_true(grown <= math.max(1 << 20, segment_size // 16)) end
        if segment_size == 1 << 20 and i == 15 then break end
      end
      assert.equals(calls, asked)
      db:close()
      path = scratch.path()
    end
  end)

  it("may have the active segment sealed sooner, as long as it says so", function()
    local size = 1024
    open(function() return size and { seal = size } end)
    local function newest()
      local segments = db:segments().segments
      return segments[#segments].bytes
    end
    assert(db:put("a", "1"))
    assert(db:seal()) -- so it is asked, and says so
    local expected = fill(100)
    expected.a = "1"
    assert.is_true(newest() <= 1024 and newest() > 700, newest())
    -- One record larger than that stands alone, and what follows is parted again.
    expected.large = ("v"):rep(3000)
    assert(db:put("large", expected.large))
    assert(db:put("b", "2"))
    expected.b = "2"
    assert.is_true(newest() > 3000)
    size = nil
    assert(db:seal())
    assert.same({}, db:maintain())
    for key, value in pairs(fill(100)) do expected[key] = value end
    assert.is_true(newest() > 3000)
    contents.check(db, expected)
    db:close()
    open(function() end)
    contents.check(db, expected)
  end)

  it("is asked by no reading, and counts what was dead before", function()
    db = assert(bitcask.open(path, { segment_size = 4096, policy = false }))
    local expected = fill(100)
    db:close()
    open(function() end)
    contents.check(db, expected)
    assert.equals(0, asked)
    assert(db:put("k1", "v"))
    assert.equals(1, asked)
  end)

  it("is done on a thread of the engine's, and told by events with its reason", function()
    open(half_dead)
    local expected = fill(300)
    wait_for_merges(1)
    contents.check(db, expected)
    local merged = of_kind "merged"
    assert.equals("half of it is dead", merged[1].reason)
    assert.equals("half of it is dead", of_kind "merging"[1].reason)
    assert.is_true(merged[1].report.records_dropped > 0)
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("may be a callable object", function()
    local object = setmetatable({ asked = 0 }, {
      __call = function(self, store)
        self.asked = self.asked + 1
        return half_dead(store)
      end,
    })
    db = assert(bitcask.open(path, { segment_size = 4096, policy = object }))
    fill(200)
    assert.is_true(object.asked > 0)
  end)

  it("is bitcask.policy.default() where none is named", function()
    local child = require "spec.support.child"
    local output = child.run([[
      local directory = ...
      options.open.policy.default = default_policy
      local db <close> = assert(bitcask.open(directory, { segment_size = 4096 }))
      local second <close> = assert(bitcask.open(directory))
      local refused = select(3, bitcask.open(directory, { policy = bitcask.policy.default() }))
      for _ = 1, 1000 do
        for i = 1, 10 do assert(db:put("k" .. i, ("v"):rep(100))) end
        if db:stats().merges > 0 then break end
      end
      print(db:stats().merges > 0, refused, #second:maintain(), db:count())
    ]], path)
    assert.equals("true\tbusy\t0\t10\n", output)
  end)

  it("is a function, a callable object or false", function()
    local no_call = setmetatable({}, { __call = 1 })
    for _, wrong in ipairs { true, 1, "default", {}, no_call, io.stdout } do
      assert.has_error(function() bitcask.open(path, { policy = wrong }) end)
    end
  end)

  it("false merges nothing by itself", function()
    db = assert(bitcask.open(path, { segment_size = 1024, policy = false }))
    fill(300)
    assert.equals(0, db:stats().merges)
    assert.same({}, db:maintain())
    assert.equals(0, db:stats().merges)
  end)

  it("does several merges of a plan, one after the other", function()
    local is_planned
    open(function(store)
      if is_planned or #store.segments < 5 then return nil end
      is_planned = true
      local ids = everything(store)
      return { { ids[1], ids[2] }, { ids[3] }, { ids[4] } }
    end)
    local expected = fill(400)
    wait_for_merges(3)
    local merged = of_kind "merged"
    assert.equals(2, merged[1].report.segments_in)
    assert.equals(1, merged[2].report.segments_in)
    contents.check(db, expected)
  end)

  -- ---- Coming to rest ----

  it("comes to rest when nobody writes, whatever it wants", function()
    open(everything)
    local expected = fill(300)
    db:delete "k1"
    expected.k1 = nil
    assert(db:seal())
    -- Until nothing was asked or merged for a hundred calls, behind the last merge.
    local calm, before = 0, nil
    until_so(function()
      local stats = db:stats()
      local now = asked .. " " .. stats.merges .. " " .. #events
      calm = now == before and stats.merging == 0 and calm + 1 or 0
      before = now
      return calm > 100
    end, "rest")
    assert.is_true(asked < 200)
    contents.check(db, expected)
    assert.equals(0, db:segments().dead_bytes)
  end)

  it("is not asked for the same again after a merge in vain", function()
    open(everything)
    assert(db:put("a", "1"))
    assert(db:seal())
    -- Nothing can be gained: one merge in vain, no second.
    until_so(function() return #of_kind "merging" == 1 end, "the merge")
    until_so(function() return db:stats().merging == 0 end, "its end")
    for _ = 1, 20 do
      db:count()
    end
    assert.equals(1, #of_kind "merging")
    assert.same({}, db:maintain())
    assert.equals(1, #of_kind "merging")
    assert(db:put("a", "2"))
    assert.equals(1, #db:maintain())
    assert.equals("2", (db:get "a"))
  end)

  it("keeps the disk bounded under writes for ever on few keys", function()
    open(half_dead, { segment_size = 1 << 14 })
    for round = 1, 30 do
      for i = 1, 2000 do
        assert(db:put("hot" .. i % 14, ("v"):rep(100)))
      end
      -- As far as the background has come: the rest is what one round writes.
      until_so(function()
        return db:stats().merging == 0 and #db:segments().segments <= 3
      end, "round " .. round)
      assert.is_true(scratch.size(path, "%.seg$") < 6 * (1 << 14) + (1 << 18))
    end
    assert.equals(14, db:count())
  end)

  -- ---- What it may not do ----

  local function check_harmless(policy, message)
    open(policy)
    local expected = fill(200)
    db:count()
    local errors = of_kind "error"
    assert.is_true(#errors >= 1, "it was not told")
    assert.equals("policy", errors[1].code)
    assert.equals(#errors, db:stats().failures)
    assert.matches(message, errors[1].message)
    assert.equals(0, db:stats().merges)
    contents.check(db, expected)
    local reports, why, code = db:maintain()
    assert.is_nil(reports)
    assert.matches(message, why)
    assert.equals("policy", code)
    -- The next merge goes its way.
    assert.is_true(assert(db:merge()).segments_in > 0)
    contents.check(db, expected)
  end

  it("that raises skips the round, and is told", function()
    check_harmless(function() error "I am tired" end, "I am tired")
  end)

  it("that raises what has no text is told, too", function()
    check_harmless(function()
      error(setmetatable({}, { __tostring = function() error "no" end }))
    end, "no text")
  end)

  it("that never ends is ended", function()
    check_harmless(function() while true do end end, "instructions")
  end)

  it("that never ends behind pcall is ended", function()
    check_harmless(function()
      while true do
        pcall(function() while true do end end)
      end
    end, "instructions")
  end)

  it("that spoils its description and raises harms nobody", function()
    check_harmless(function(store)
      store.segments = nil
      error "spoilt"
    end, "spoilt")
  end)

  it("that spoils its description and plans nonsense harms nobody", function()
    check_harmless(function(store)
      for i = 1, #store.segments do store.segments[i] = i end
      return { 1 << 40 }
    end, "1099511627776")
  end)

  it("that is no policy, but makes them, is refused", function()
    local ok, message = pcall(bitcask.open, path, { policy = bitcask.policy.default })
    assert.is_false(ok)
    assert.matches("bitcask.policy.default() returns it", message, 1, true)
  end)

  it("that yields is no plan", function()
    check_harmless(function() coroutine.yield { 1 } end, "yielded")
  end)

  for what, plan in pairs {
    ["a number"] = 5,
    ["text"] = "all",
    ["a boolean"] = true,
    ["the id 0"] = { 0 },
    ["not a number"] = { 0 / 0 },
    ["infinity"] = { math.huge },
    ["a fraction"] = { 1.5 },
    ["an id that is not there"] = { 999999 },
    ["an id twice"] = { 1, 1 },
    ["an id in two merges"] = { { 1 }, { 1 } },
    ["lists too deep"] = { { { 1 } } },
    ["an unknown field"] = { 1, rat = 1 },
    ["a rate of nothing"] = { 1, rate = 0 },
    ["a seal at nothing"] = { 1, seal = 0 },
    ["a seal at some time"] = { 1, seal = "soon" },
    ["a progress function"] = { 1, progress = print },
    ["a filter"] = { 1, filter = print },
    ["a list without end"] = setmetatable({ 1 }, { __len = function() return 1 << 60 end }),
    ["a list that raises"] = setmetatable({}, { __len = function() error "no length" end }),
  } do
    it("that returns " .. what .. " is told", function()
      check_harmless(function() return plan end, "nonsense")
    end)
  end

  it("that names the active segment is told", function()
    check_harmless(function(store) return { store.active and store.active.id or 999999 } end,
      "nonsense")
  end)

  it("that returns a rate and no segments wants nothing", function()
    open(function() return { rate = 1000, reason = "why not" } end)
    fill(100)
    assert.same({}, db:maintain())
    assert.equals(0, #of_kind "error")
    assert.equals(0, db:stats().merges)
  end)

  it("may read the store", function()
    local values = {}
    open(function(store)
      values[#values + 1] = db:get "a" or "none"
      return half_dead(store)
    end)
    assert(db:put("a", "1"))
    assert(db:seal())
    assert.same({ "1" }, values)
  end)

  it("may neither merge nor close the store", function()
    local refused = {}
    open(function()
      for _, call in ipairs {
        function() db:merge() end, function() db:merge_async() end, function() db:merging() end,
        function() db:maintain() end, function() db:close() end,
      } do
        local ok, message = pcall(call)
        refused[#refused + 1] = ok and "not refused" or message
      end
    end)
    assert(db:put("a", "1"))
    assert(db:seal())
    assert.equals(5, #refused)
    for i, message in ipairs(refused) do
      assert.matches("policy", message, 1, true, "call " .. i)
    end
    assert(db:merge())
    assert.equals("1", (db:get "a"))
  end)

  -- ---- Beside others ----

  it("is given by one handle at most", function()
    open(half_dead)
    local message, code = select(2, bitcask.open(path, { policy = half_dead }))
    assert.matches("policy", message)
    assert.equals("busy", code)
    local second <close> = assert(bitcask.open(path, { policy = false }))
    fill(300)
    wait_for_merges(1)
    assert.same({}, second:maintain())
    db:close()
    local third <close> = assert(bitcask.open(path, { policy = half_dead }))
    assert.is_table(third:maintain())
    db = nil
  end)

  it("of a handle that only reads is never asked", function()
    db = assert(bitcask.open(path, { segment_size = 1024 }))
    fill(100)
    db:close()
    open(half_dead, { readonly = true })
    assert.same({}, db:maintain())
    assert.equals(0, asked)
  end)

  it("gives way to a merge that the program wants", function()
    local is_slow = true
    open(function(store)
      local plan = half_dead(store)
      plan.rate = is_slow and 1 or nil
      return plan
    end)
    local expected = fill(300)
    until_so(function() return #of_kind "merging" >= 1 end, "the policy's merge")
    is_slow = false
    -- The policy's merge may end between the look and the call; then there is another look.
    local ids, ok, report
    repeat
      ids = contents.sealed(db)
      ok, report = pcall(db.merge, db, ids)
    until ok or not tostring(report):find "there is no segment"
    assert.is_true(ok, report)
    assert.is_true(assert(report).segments_in == #ids)
    contents.check(db, expected)
    for _ in db:merging() do
      contents.check(db, expected)
    end
    assert(assert(db:merge_async()):wait())
    contents.check(db, expected)
  end)

  it("does not come between the merges of a plan of the program's", function()
    local is_wanted = false
    open(function(store) return is_wanted and everything(store) or nil end)
    local expected = {}
    for round = 1, 5 do
      is_wanted = false
      until_so(function() return db:stats().merging == 0 end, "rest")
      local lists = {}
      for i = 1, 5 do
        expected["k" .. i] = "round " .. round
        assert(db:put("k" .. i, expected["k" .. i]))
        lists[i] = { assert(db:seal()) }
      end
      lists.progress = function() is_wanted = true end
      assert(db:merge(lists))
      for _ in db:merging() do
        assert(db:put("other", "round " .. round))
      end
      expected.other = db:get "other"
      contents.check(db, expected)
    end
  end)

  it("is done by db:maintain in one round, waiting", function()
    open(function() end)
    local expected = fill(300)
    db:close()
    local is_wanted = false
    open(function(store)
      if is_wanted then return half_dead(store) end
    end)
    is_wanted = true
    local reports = assert(db:maintain())
    assert.equals(1, #reports)
    assert.is_true(reports[1].segments_in > 1)
    assert.equals("half of it is dead", of_kind "merged"[1].reason)
    assert.same({}, db:maintain())
    contents.check(db, expected)
  end)

  it("whose plan is overtaken is done as far as it goes", function()
    local ids
    open(function(store)
      if ids or #store.segments < 4 then return nil end
      ids = everything(store)
      return { { ids[1] }, { ids[2] }, { ids[2 + 1], ids[4] } }
    end)
    local other <close> = assert(bitcask.open(path))
    local expected = {}
    for i = 1, 1000 do
      local key, value = "k" .. i % 10, ("v%d "):format(i):rep(20)
      assert(db:put(key, value))
      expected[key] = value
      if ids then break end
    end
    -- The first ends while its store is not called: the other handle comes before the second.
    eventually(function() return other:stats().merges == 1 end, "the first merge")
    assert(other:merge { ids[2] })
    assert(other:merge { ids[4] })
    until_so(function() return db:stats().merges == 4 end, "the third merge")
    until_so(function() return #of_kind "merged" >= 4 end, "its event")
    assert.equals(1, of_kind "merged"[4].report.segments_in)
    assert.equals(0, #of_kind "error")
    contents.check(db, expected)
  end)

  it("does not try damaged segments again", function()
    db = assert(bitcask.open(path, { segment_size = 4096, policy = false }))
    for i = 1, 20 do
      assert(db:put("k" .. i, "once " .. i))
    end
    assert(db:put("k1", "twice"))
    assert(db:seal())
    scratch.damage(path, "once 7")
    db:close()
    open(everything)
    assert(db:put("other", "1"))
    db:maintain()
    assert.equals(1, #of_kind "corruption")
    assert.is_true(db:segments().segments[1].damaged)
    assert(db:seal())
    db:maintain()
    db:maintain()
    assert.equals(1, #of_kind "corruption")
  end)

  it("goes with its store, merges and all", function()
    open(function(store)
      local plan = half_dead(store)
      plan.rate = 1
      return plan
    end)
    local expected = fill(300)
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, expected)
    assert(db:merge())
  end)
end)
