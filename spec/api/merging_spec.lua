local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local scratch = require "spec.support.scratch"

local report_fields = {
  "segments_in", "segments_out", "bytes_read", "bytes_written", "records_kept",
  "records_dropped", "tombstones_kept", "tombstones_dropped", "seconds",
}

describe("merging", function()
  local path, db, expected

  -- Sealed segments of a few records each, most of which are dead.
  before_each(function()
    path, expected = scratch.path(), {}
    db = assert(bitcask.open(path, { segment_size = 1024 }))
    for i = 1, 100 do
      local key, value = "k" .. i % 10, ("v%d "):format(i):rep(20)
      assert(db:put(key, value))
      expected[key] = value
    end
    assert(db:seal() ~= nil)
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("without a plan takes every sealed segment with anything to drop", function()
    local before = db:segments()
    local report = assert(db:merge())
    for _, field in ipairs(report_fields) do
      assert.is_number(report[field], field)
    end
    assert.is_truthy(report.segments_in >= 2)
    assert.is_truthy(report.segments_in > report.segments_out)
    assert.equals(90, report.records_dropped)
    assert.is_truthy(report.bytes_written < report.bytes_read)
    local after = db:segments()
    assert.equals(0, after.dead_bytes)
    assert.equals(before.live_bytes, after.live_bytes)
    contents.check(db, expected)
  end)

  it("leaves what it should after reopening", function()
    assert(db:merge())
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("has nothing to do a second time", function()
    assert(db:merge())
    local report = assert(db:merge())
    assert.equals(0, report.segments_in)
    assert.equals(0, report.bytes_read)
  end)

  it("gives the space back", function()
    -- Hint files come and go in the background, and what writes one holds its segment.
    local before = scratch.size(path, "%.seg$")
    assert(db:merge())
    eventually(function() return scratch.size(path, "%.seg$") < before / 2 end, "the space")
  end)

  it("takes the segments of a plan, and no others", function()
    local sealed = contents.sealed(db)
    local report = assert(db:merge { sealed[2], sealed[3] })
    assert.equals(2, report.segments_in)
    local left = {}
    for _, id in ipairs(contents.sealed(db)) do
      left[id] = true
    end
    assert.is_nil(left[sealed[2]])
    assert.is_nil(left[sealed[3]])
    assert.is_truthy(left[sealed[1]])
    assert.is_truthy(left[sealed[4]])
    contents.check(db, expected)
  end)

  it("takes a plan of several merges, one after the other", function()
    local sealed = contents.sealed(db)
    local report = assert(db:merge { { sealed[1], sealed[2] }, {}, { sealed[4] } })
    assert.equals(3, report.segments_in)
    assert.equals(2, #report.merges)
    assert.equals(2, report.merges[1].segments_in)
    assert.equals(1, report.merges[2].segments_in)
    for _, field in ipairs(report_fields) do
      assert.equals(report.merges[1][field] + report.merges[2][field], report[field], field)
    end
    contents.check(db, expected)
  end)

  it("takes the plan as an option too, with rate, reason and progress", function()
    local sealed, told = contents.sealed(db), {}
    local report = assert(db:merge {
      segments = { sealed[1], sealed[2] },
      rate = 1e9,
      reason = "a spec wants it",
      progress = function(p) told[#told + 1] = p end,
    })
    assert.equals(2, report.segments_in)
    assert.equals("a spec wants it", report.reason)
    assert.is_truthy(#told >= 1)
    local last = told[#told]
    assert.equals(last.total, last.done)
    assert.is_string(last.what)
    contents.check(db, expected)
  end)

  it("takes the ids beside the options", function()
    local sealed = contents.sealed(db)
    assert.equals(1, assert(db:merge { sealed[1], rate = 1e9, reason = "why" }).segments_in)
  end)

  it("of an empty plan does nothing", function()
    local before = contents.sealed(db)
    assert.equals(0, assert(db:merge {}).segments_in)
    assert.equals(0, assert(db:merge { segments = {} }).segments_in)
    assert.same(before, contents.sealed(db))
  end)

  it("lets progress read and write the store", function()
    local wrote = 0
    assert(db:merge {
      progress = function()
        wrote = wrote + 1
        for key, value in pairs(expected) do
          assert.equals(value, (db:get(key)))
        end
        assert(db:put("k1", "while merging " .. wrote))
        expected.k1 = "while merging " .. wrote
        assert(db:delete "k2" ~= nil)
        expected.k2 = nil
      end,
    })
    assert.is_truthy(wrote >= 1)
    contents.check(db, expected)
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("undone by an error in progress leaves the store as it was", function()
    local before = contents.sealed(db)
    local big <close> = assert(bitcask.open(scratch.path(), { segment_size = 1 << 20 }))
    for i = 1, 60 do
      assert(big:put("k" .. i % 40, ("v"):rep(100000)))
    end
    local ids = contents.sealed(big)
    local ok, message = pcall(big.merge, big, {
      progress = function() error("enough of it", 0) end,
    })
    assert.is_false(ok)
    assert.equals("enough of it", message)
    assert.same(ids, contents.sealed(big))
    assert(big:merge())
    assert.same(before, contents.sealed(db))
  end)

  it("may be watched from a coroutine that yields", function()
    local steps = 0
    local merge = coroutine.wrap(function()
      return db:merge { progress = coroutine.yield }
    end)
    local result = merge()
    while result.what do
      steps = steps + 1
      result = merge()
    end
    assert.is_truthy(steps >= 1)
    assert.is_truthy(result.segments_in >= 2)
  end)

  it("survives that progress closes the store", function()
    local ok = pcall(db.merge, db, { progress = function() db:close() end })
    local _ = ok
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  for what, plan in pairs {
    ["a segment that is not there"] = { 999999 },
    ["the id 0"] = { 0 },
    ["a negative id"] = { -1 },
    ["a fraction"] = { 1.5 },
    ["not a number"] = { 0 / 0 },
    ["an id as text"] = { "1" },
    ["lists and ids mixed"] = { { 1 }, 2 },
    ["a boolean"] = { true },
    ["a number instead of a plan"] = 5,
    ["an unknown field"] = { rat = 5 },
    ["a rate of nothing"] = { rate = 0 },
    ["a rate that is no number"] = { rate = "fast" },
    ["a progress that is no function"] = { progress = true },
    ["a list in a list in a list"] = { { { 1 } } },
  } do
    it("raises for " .. what .. ", and harms nothing", function()
      local before = contents.sealed(db)
      assert.has_error(function() db:merge(plan) end)
      assert.has_error(function() db:merge_async(plan) end)
      assert.same(before, contents.sealed(db))
      contents.check(db, expected)
    end)
  end

  it("raises for the active segment, a segment named twice, and one merged before", function()
    assert(db:put("a", "1"))
    local active = assert(db:segments().active).id
    local sealed = contents.sealed(db)
    assert.has_error(function() db:merge { active } end)
    assert.has_error(function() db:merge { sealed[1], sealed[1] } end)
    assert.has_error(function() db:merge { { sealed[1] }, { sealed[1] } } end)
    assert.has_error(function() db:merge { { sealed[1] }, { active } } end)
    assert.same(sealed, contents.sealed(db))
    assert(db:merge { sealed[1] })
    assert.has_error(function() db:merge { sealed[1] } end)
  end)

  it("raises for segments given both ways", function()
    assert.has_error(function() db:merge { 1, segments = { 1 } } end)
  end)
end)

describe("merging in steps", function()
  local path, db, expected

  before_each(function()
    path, expected = scratch.path(), {}
    db = assert(bitcask.open(path, { segment_size = 1 << 14 }))
    for i = 1, 600 do
      local key, value = "k" .. i % 100, ("v%d "):format(i):rep(20)
      assert(db:put(key, value))
      expected[key] = value
    end
    assert(db:seal() ~= nil)
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("does what a merge does, about so many bytes at a time", function()
    local steps, done, last = 0, 0, nil
    for p in db:merging { step = 1024 } do
      assert.is_true(p.done - done <= 1024 + 1000)
      steps, done, last = steps + 1, p.done, p
      assert.is_true(p.done <= p.total)
    end
    assert.is_true(steps > 10)
    assert.is_true(last.finished)
    assert.equals(last.total, last.done)
    assert.equals(500, last.report.records_dropped)
    contents.check(db, expected)
  end)

  it("lets the loop read, write and yield", function()
    local merge = coroutine.wrap(function()
      for _ in db:merging { step = 2048 } do
        coroutine.yield(true)
      end
    end)
    local steps = 0
    while merge() do
      steps = steps + 1
      local key = "k" .. steps % 100
      assert.equals(expected[key], (db:get(key)))
      assert(db:put(key, "new" .. steps))
      expected[key] = "new" .. steps
    end
    assert.is_true(steps > 10)
    contents.check(db, expected)
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("left at any step is undone, or done", function()
    local steps = 0
    for _ in db:merging { step = 8192 } do
      steps = steps + 1
    end
    for leave_at = 1, steps do
      db:close()
      scratch.remove(path)
      db = assert(bitcask.open(path, { segment_size = 1 << 14 }))
      for i = 1, 600 do
        assert(db:put("k" .. i % 100, ("v%d "):format(i):rep(20)))
      end
      assert(db:seal())
      local before, at = contents.sealed(db), 0
      for p in db:merging { step = 8192 } do
        at = at + 1
        if at == leave_at and not p.finished then break end
      end
      contents.check(db, expected)
      local is_undone = #contents.sealed(db) == #before
      assert.equals(leave_at < steps and is_undone, is_undone)
      assert(db:merge())
      contents.check(db, expected)
    end
  end)

  it("abandoned in a coroutine ends with the coroutine", function()
    local merge = coroutine.wrap(function()
      for _ in db:merging { step = 1024 } do
        coroutine.yield()
      end
    end)
    merge()
    assert.equals("busy", (select(3, db:merge())))
    merge = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert(db:merge())
    contents.check(db, expected)
  end)

  it("never waits for a rate: a step before its time does nothing, and says when", function()
    local rounds, done = 0, nil
    for p in db:merging { step = 4096, rate = 1 } do
      rounds = rounds + 1
      if p.delay > 0 then
        assert.is_true(p.delay > 1000)
        assert.equals(done or p.done, p.done)
        done = p.done
      end
      if rounds == 100 then break end
    end
    assert.equals(100, rounds)
    assert.is_true(done >= 4096)
    contents.check(db, expected)
  end)

  it("takes a plan of several merges", function()
    local sealed, ends = contents.sealed(db), {}
    for p in db:merging { { sealed[1], sealed[2] }, { sealed[4] }, step = 1024, reason = "why" } do
      assert.equals(2, p.merges)
      if p.report then ends[#ends + 1] = p end
    end
    assert.equals(2, #ends)
    assert.equals(2, ends[1].report.segments_in)
    assert.is_false(ends[1].finished)
    assert.is_true(ends[2].finished)
    assert.equals(3, ends[2].report.segments_in)
    assert.equals("why", ends[2].report.reason)
    contents.check(db, expected)
  end)

  it("of an empty plan has no steps", function()
    for _ in db:merging {} do
      error "a step"
    end
  end)

  it("raises what a merge would return", function()
    local job <close> = assert(db:merge_async { rate = 1000 })
    local ok, message = pcall(function()
      for _ in db:merging() do
        error "a step"
      end
    end)
    assert.is_false(ok)
    assert.matches("a merge is running", message)
    job:cancel()
  end)

  it("is a handle like others", function()
    local next, iterator = db:merging { step = 1024 }
    assert.equals("merging", bitcask.type(iterator))
    assert.matches("^bitcask merging %(open%)", tostring(iterator))
    assert.is_table(next(iterator))
    assert.is_true(iterator:close())
    assert.is_true(iterator:close())
    assert.is_nil(next(iterator))
    assert.equals("closed merging", bitcask.type(iterator))
    assert.matches("closed", tostring(iterator))
    assert(db:merge())
  end)

  it("ends when its store is closed", function()
    assert.has_error(function()
      for _ in db:merging { step = 1024 } do
        db:close()
      end
    end)
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)
end)

describe("merging with little room", function()
  local disk, db

  -- Segments of which little is dead, on a disk that they nearly fill.
  before_each(function()
    disk = bitcask.sim.disk { seed = 1, space = 700000 }
    db = assert(bitcask.open("store", { disk = disk, segment_size = 1 << 16 }))
  end)

  after_each(function()
    db:close()
  end)

  local function fill()
    local expected = {}
    for i = 1, 1000 do
      local key, value = "k" .. i, ("v%d "):format(i):rep(100):sub(1, 500)
      local version, _, code = db:put(key, value)
      if not version then
        assert.equals("nospace", code)
        return expected
      end
      expected[key] = value
    end
    error "it is never full"
  end

  local function created()
    local names = {}
    for _, entry in ipairs(disk:trace()) do
      if entry.op == "create" then names[#names + 1] = entry.name end
    end
    return #names
  end

  it("says so before anything is written, and goes on", function()
    local expected = fill()
    -- The reserve is for deletes and merges: with it one segment has room, without it none.
    local sealed = contents.sealed(db)
    local before = created()
    for _, ids in ipairs { { sealed[1], sealed[2] }, { sealed[3] } } do
      local report, message, code = db:merge(ids)
      if not report then
        assert.equals("nospace", code)
        assert.matches("needs %d+ bytes of space.* and %d+ are left", message)
        assert.equals(before, created())
      end
      before = created()
      contents.check(db, expected)
    end
  end)

  it("merges what needs none", function()
    local expected = fill()
    local sealed = contents.sealed(db)
    for key in pairs(expected) do
      if db:stat(key).segment == sealed[1] then
        assert(db:delete(key))
        expected[key] = nil
      end
    end
    assert(db:merge { sealed[1] })
    contents.check(db, expected)
    assert.is_true(contents.sealed(db)[1] ~= sealed[1])
  end)
end)

describe("a job", function()
  local path, db, expected

  before_each(function()
    path, expected = scratch.path(), {}
    db = assert(bitcask.open(path, { segment_size = 1 << 16 }))
    for i = 1, 2000 do
      local key, value = "k" .. i % 300, ("v%d "):format(i):rep(50)
      assert(db:put(key, value))
      expected[key] = value
    end
    assert(db:seal() ~= nil)
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("merges while the store is read and written", function()
    local job <close> = assert(db:merge_async())
    for i = 1, 300 do
      local key = "k" .. i % 300
      assert.equals(expected[key], (db:get(key)))
      assert(db:put(key, "new" .. i))
      expected[key] = "new" .. i
    end
    local report = assert(job:wait())
    assert.is_truthy(report.segments_in >= 2)
    contents.check(db, expected)
    db:close()
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("tells its progress", function()
    local job <close> = assert(db:merge_async())
    local progress
    repeat
      progress = job:progress()
      assert.is_truthy(progress.done <= progress.total)
      assert.is_string(progress.what)
    until progress.finished
    assert.equals(progress.total, progress.done)
    assert(job:wait())
    assert.is_true(job:progress().finished)
  end)

  it("answers wait again and again", function()
    local job <close> = assert(db:merge_async())
    local report = assert(job:wait())
    assert.same(report, job:wait())
  end)

  it("cancelled undoes what is not committed, and says so", function()
    local before = contents.sealed(db)
    local job <close> = assert(db:merge_async { rate = 1000 })
    assert.is_true(job:cancel())
    local report, message, code = job:wait()
    assert.is_nil(report)
    assert.is_string(message)
    assert.equals("cancelled", code)
    assert.same(before, contents.sealed(db))
    contents.check(db, expected)
    assert(db:merge())
    contents.check(db, expected)
  end)

  it("that was undone is closed while another handle merges the same segments", function()
    local other <close> = assert(bitcask.open(path))
    local job = assert(db:merge_async { rate = 1000 })
    local before = contents.sealed(other)
    job:cancel()
    local merge
    repeat -- until it is undone, of which the job has not heard yet
      merge = coroutine.wrap(function()
        for p in other:merging { segments = before, step = 4096 } do coroutine.yield(p) end
      end)
    until pcall(merge)
    job:close()
    while merge() do end
    local left = {}
    for _, id in ipairs(contents.sealed(other)) do
      left[id] = true
    end
    for _, id in ipairs(before) do
      assert.is_nil(left[id])
    end
    contents.check(other, expected)
  end)

  it("cancelled is finished for those who only ask for its progress", function()
    local job <close> = assert(db:merge_async { rate = 1000 })
    job:cancel()
    while not job:progress().finished do
      os.execute "sleep 0.01"
    end
    assert.equals("cancelled", (select(3, job:wait())))
    assert.matches("done", tostring(job))
  end)

  it("paused rests until it goes on, or is cancelled, or waited for", function()
    local job <close> = assert(db:merge_async { rate = 2^30, reason = "why" })
    assert.is_true(job:pause())
    local before = job:progress()
    if not before.finished then assert.is_true(before.paused) end
    assert.is_true(job:resume())
    assert.is_false(job:progress().paused)
    job:pause()
    assert.equals("why", assert(job:wait()).reason)
    assert.is_true(job:pause())
    assert.is_false(job:progress().paused)
    contents.check(db, expected)
  end)

  it("paused before it did much does no more, and hears a cancel", function()
    local job <close> = assert(db:merge_async { rate = 4096 })
    job:pause()
    local progress = job:progress()
    assert.is_true(progress.paused)
    assert.is_false(progress.finished)
    assert.equals("busy", (select(3, db:merge())))
    job:cancel()
    assert.equals("cancelled", (select(3, job:wait())))
    assert(db:merge())
    contents.check(db, expected)
  end)

  it("cancelled in a rest of hours ends at once", function()
    local job <close> = assert(db:merge_async { rate = 0.001 })
    while job:progress().delay == 0 do
      os.execute "sleep 0.001"
    end
    job:cancel()
    assert.equals("cancelled", (select(3, job:wait())))
  end)

  it("closed while it runs is cancelled", function()
    local before = contents.sealed(db)
    do
      local job <close> = assert(db:merge_async { rate = 1000 })
      assert.equals("job", bitcask.type(job))
    end
    assert.same(before, contents.sealed(db))
    assert(db:merge())
  end)

  it("makes another merge busy", function()
    local job <close> = assert(db:merge_async { rate = 1000 })
    assert.equals("busy", (select(3, db:merge())))
    assert.equals("busy", (select(3, db:merge_async())))
    job:cancel()
    job:wait()
    assert(db:merge())
  end)

  it("goes on when it is dropped", function()
    assert(db:merge_async())
    collectgarbage()
    collectgarbage()
    local merges
    for _ = 1, 1000 do
      merges = db:stats().merges
      if merges > 0 then break end
      os.execute "sleep 0.01"
    end
    assert.equals(1, merges)
    assert(db:merge())
    contents.check(db, expected)
  end)

  it("ends with its store", function()
    local job = assert(db:merge_async { rate = 1000 })
    db:close()
    assert.has_error(function() job:progress() end)
    assert.has_error(function() job:wait() end)
    assert.is_true(job:close())
    db = assert(bitcask.open(path))
    contents.check(db, expected)
  end)

  it("does several merges of a plan, one after the other", function()
    local sealed = contents.sealed(db)
    local job <close> = assert(db:merge_async { { sealed[1], sealed[2] }, { sealed[3] } })
    local report = assert(job:wait())
    assert.equals(3, report.segments_in)
    assert.equals(2, #report.merges)
    contents.check(db, expected)
  end)

  it("cancelled between the merges of a plan does no more of them", function()
    local sealed = contents.sealed(db)
    local job <close> = assert(db:merge_async { { sealed[1] }, { sealed[2] }, rate = 1000 })
    job:cancel()
    assert.equals("cancelled", (select(3, job:wait())))
    local left = {}
    for _, id in ipairs(contents.sealed(db)) do
      left[id] = true
    end
    assert.is_true(left[sealed[2]])
  end)

  it("of an empty plan is done at once", function()
    local job <close> = assert(db:merge_async {})
    assert.is_true(job:progress().finished)
    assert.equals(0, assert(job:wait()).segments_in)
  end)

  it("takes no progress function", function()
    assert.has_error(function() db:merge_async { progress = print } end)
  end)
end)

describe("a segment of which nothing is needed any more", function()
  local path, db

  before_each(function()
    path = scratch.path()
    db = assert(bitcask.open(path, { segment_size = 4096, policy = false }))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  local function seal()
    return assert(db:seal())
  end

  local function put_all(value, opts)
    for i = 1, 10 do assert(db:put("k" .. i, value, opts)) end
    return seal()
  end

  it("goes without being read", function()
    local first = put_all "old"
    put_all "new"
    local report = assert(db:merge { first })
    assert.equals(0, report.bytes_read)
    assert.equals(10, report.records_dropped)
    assert.equals(1, report.segments_in)
    assert.equals(0, report.segments_out)
    contents.check(db, { k1 = "new", k2 = "new", k3 = "new", k4 = "new", k5 = "new", k6 = "new",
      k7 = "new", k8 = "new", k9 = "new", k10 = "new" })
  end)

  it("goes unread with tombstones that hide nothing, and with what has expired", function()
    local puts = put_all "value"
    for i = 1, 10 do assert(db:delete("k" .. i)) end
    local tombstones = seal()
    local report = assert(db:merge { puts, tombstones })
    assert.equals(0, report.bytes_read)
    assert.equals(10, report.tombstones_dropped)
    local expiring = put_all("value", { ttl = 0.001 })
    repeat until db:count() == 0
    report = assert(db:merge { expiring })
    assert.equals(0, report.bytes_read)
    assert.equals(10, report.records_dropped)
    assert.equals(0, db:segments().bytes)
  end)

  it("is read where its tombstones hide something", function()
    put_all "value"
    for i = 1, 10 do assert(db:delete("k" .. i)) end
    local tombstones = seal()
    local report = assert(db:merge { tombstones })
    assert.is_true(report.bytes_read > 0)
    db:close()
    db = assert(bitcask.open(path, { policy = false }))
    contents.check(db, {})
  end)

  -- The first byte of the header of the first record; nothing else tells what the segment holds.
  local function damage(id)
    local name = ("%s/%06d.seg"):format(path, id)
    local bytes = scratch.read(name)
    scratch.write(name, bytes:sub(1, 70) .. "?" .. bytes:sub(72))
    os.remove((name:gsub("seg$", "hint")))
    os.remove(path .. "/KEYDIR")
    return name
  end

  -- Nobody has looked at it before the merge does.
  it("is kept with a damaged tombstone in it, which may hide something", function()
    assert(db:put("key", "value"))
    seal()
    assert(db:delete "key")
    local tombstone = seal()
    -- The reopened store writes no hint file anew for one that was there when it was opened.
    db:close()
    db = assert(bitcask.open(path, { policy = false }))
    assert.equals(0, db:count())
    local name = damage(tombstone)
    assert.equals(1, assert(db:merge { tombstone }).segments_damaged)
    assert.is_string(scratch.read(name))
  end)

  for openings = 1, 2 do
    it("is read, and kept, where opening met damage in it, the last of " .. openings, function()
      local first = put_all "old"
      put_all "new"
      assert(db:close())
      local name = damage(first)
      for _ = 1, openings do
        db:close()
        db = assert(bitcask.open(path, { policy = false }))
        assert(db:put("another", "write"))
      end
      assert.equals(1, assert(db:merge { first }).segments_damaged)
      assert.is_string(scratch.read(name))
    end)
  end
end)

describe("a segment of which only live records are needed", function()
  local path, db

  before_each(function()
    path = scratch.path()
    db = assert(bitcask.open(path, { segment_size = 1 << 20, policy = false }))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  -- One record in ten stays live, each among dead ones of so many bytes.
  local function put_sparse(size)
    local live = {}
    for i = 1, 100 do
      local key, value = "k" .. i, ("v%d "):format(i) .. ("x"):rep(size)
      assert(db:put(key, value))
      if i % 10 == 0 then live[key] = value end
    end
    local first = assert(db:seal())
    for i = 1, 100 do
      if i % 10 ~= 0 then
        assert(db:put("k" .. i, "new"))
        live["k" .. i] = "new"
      end
    end
    return first, live
  end

  local function damage(id, text)
    local name = ("%s/%06d.seg"):format(path, id)
    local bytes = scratch.read(name)
    local at = assert(bytes:find(text, 1, true))
    -- In place: the store has it open.
    local file <close> = assert(io.open(name, "r+b"))
    file:seek("set", at - 1)
    file:write "?"
    return name
  end

  it("is read where those are", function()
    local first, live = put_sparse(5000)
    local bytes = db:segments().segments[1].bytes
    local report = assert(db:merge { first })
    assert.is_true(report.bytes_read < bytes / 5)
    assert.equals(10, report.records_kept)
    assert.equals(90, report.records_dropped)
    assert.equals(0, report.tombstones_dropped)
    contents.check(db, live)
    db:close()
    db = assert(bitcask.open(path, { policy = false }))
    contents.check(db, live)
  end)

  it("is read page by page where they stand near each other", function()
    local first = put_sparse(10)
    local bytes = db:segments().segments[1].bytes
    assert.equals(bytes, assert(db:merge { first }).bytes_read)
  end)

  it("may have damage among the dead, which goes with them", function()
    local first, live = put_sparse(5000)
    damage(first, "k55")
    local report = assert(db:merge { first })
    assert.equals(0, report.segments_damaged)
    assert.equals(90, report.records_dropped)
    contents.check(db, live)
  end)

  for what, text in pairs { key = "k50", value = "v50 " } do
    it("is kept as it is with damage in the " .. what .. " of a live record", function()
      local first, live = put_sparse(5000)
      local name = damage(first, text)
      local report = assert(db:merge { first })
      assert.equals(1, report.segments_damaged)
      assert.equals(0, report.records_dropped)
      assert.is_string(scratch.read(name))
      assert.equals("corrupt", select(3, db:get "k50"))
      live.k50 = nil
      for key, value in pairs(live) do assert.equals(value, (db:get(key))) end
    end)
  end

  -- Versions 1 to 100 stand in the first segment, and 101 to 190 supersede some of them.
  it("tells what is dropped from the versions of what is not", function()
    local first = put_sparse(5000)
    assert(db:merge { first })
    assert.equals("notfound", select(3, db:changes(98)))
    assert(db:changes(99))
  end)

  -- Now the same versions stand in one segment in no order.
  it("tells too much of what is dropped, never too little", function()
    local first = put_sparse(5000)
    local second = assert(db:seal())
    assert(db:merge { second })
    assert(db:merge { first })
    assert.equals("notfound", select(3, db:changes(98)))
    local mixed = contents.sealed(db)
    assert(db:put("k1", "newer still"))
    assert(db:seal())
    local report = assert(db:merge(mixed))
    assert.equals(1, report.records_dropped)
    assert.equals("notfound", select(3, db:changes(100)))
  end)
end)

describe("a large segment", function()
  after_each(scratch.clean)

  it("is gone by name when the merge is done, and all of it soon", function()
    local path = scratch.path()
    local db <close> = assert(bitcask.open(path, { policy = false }))
    for i = 1, 90 do
      assert(db:put("k" .. i % 3, ("x"):rep(100000)))
    end
    local large = assert(db:seal())
    local function is_pinned() return db:segments().segments[1].pinned end
    local hint = ("^%06d.hint$"):format(large)
    eventually(function() return #scratch.files(path, hint) == 1 and not is_pinned() end,
      "its hint file")
    assert(db:merge { large })
    for _, name in ipairs(scratch.files(path)) do
      assert.is_falsy(name:find(("^%06d"):format(large)), name)
    end
    eventually(function() return db:stats().pinned_segments == 0 end, "the rest of it to go")
    assert.equals(3, db:count())
  end)
end)

describe("the description of a store", function()
  local db

  before_each(function()
    db = assert(bitcask.open(scratch.path(), { segment_size = 512 }))
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("of an empty one is empty", function()
    local description = db:segments()
    assert.same({}, description.segments)
    assert.equals(0, description.bytes)
    assert.equals(0, description.keys)
  end)

  it("tells the segment size, and how many bytes tombstones take", function()
    assert(db:put("key", "value"))
    assert(db:delete("key"))
    local description = db:segments()
    assert.equals(512, description.segment_size)
    assert.equals(1, description.active.tombstones)
    assert.equals(32, description.active.tombstone_bytes)
  end)

  it("has the sealed segments, oldest first, and the active one apart", function()
    for i = 1, 40 do
      assert(db:put("k" .. i % 30, ("v"):rep(50)))
    end
    local before = os.time()
    local description = db:segments()
    assert.is_truthy(#description.segments > 2)
    assert.equals(30, description.keys)
    assert.is_truthy(math.abs(description.now - before) < 10)
    local all = table.move(description.segments, 1, #description.segments, 1, {})
    if description.active then all[#all + 1] = description.active end
    local sums, version = { bytes = 0, live_bytes = 0, dead_bytes = 0, live_records = 0 }, 0
    for _, segment in ipairs(all) do
      assert.equals("integer", math.type(segment.id))
      assert.is_truthy(segment.min_version > version)
      assert.is_truthy(segment.max_version >= segment.min_version)
      version = segment.max_version
      assert.is_truthy(segment.live_records <= segment.records)
      assert.is_truthy(segment.live_bytes <= segment.bytes)
      assert.is_truthy(math.abs(segment.created - before) < 10)
      assert.is_boolean(segment.pinned)
      for name in pairs(sums) do
        sums[name] = sums[name] + segment[name]
      end
    end
    for _, segment in ipairs(description.segments) do
      assert.is_truthy(segment.sealed >= segment.created)
    end
    assert.equals(30, sums.live_records)
    for _, name in ipairs { "bytes", "live_bytes", "dead_bytes" } do
      assert.equals(sums[name], description[name])
    end
  end)

  it("tells the time of the store's disk, by which segments are sealed and keys expire", function()
    local disk = bitcask.sim.disk { seed = 1 }
    local simulated <close> = assert(bitcask.open("store", { disk = disk, policy = false }))
    local before = simulated:segments().now
    disk:advance(3600)
    assert.equals(before + 3600, simulated:segments().now)
    assert(simulated:put("a", "1"))
    assert(simulated:seal())
    assert.equals(before + 3600, simulated:segments().segments[1].sealed)
  end)

  it("tells which segments readers hold", function()
    for i = 1, 20 do
      assert(db:put("k" .. i, ("v"):rep(100)))
    end
    local function pinned()
      local count = 0
      for _, segment in ipairs(db:segments().segments) do
        if segment.pinned then count = count + 1 end
      end
      return count
    end
    for _ in db:pairs() do
      assert.is_truthy(pinned() > 0)
      break
    end
    -- What works in the background after a rotation reads segments, too, for a moment.
    for _ = 1, 1000 do
      if pinned() == 0 then break end
      os.execute "sleep 0.01"
    end
    assert.equals(0, pinned())
  end)

  it("feeds a policy, whose plan merges", function()
    local function stale_first(store)
      local plan = {}
      for _, segment in ipairs(store.segments) do
        if segment.dead_bytes > 0.5 * segment.bytes then plan[#plan + 1] = segment.id end
      end
      return plan
    end
    assert.equals(0, assert(db:merge(stale_first(db:segments()))).segments_in)
    for i = 1, 100 do
      assert(db:put("k" .. i % 5, ("v"):rep(50)))
    end
    local report = assert(db:merge(stale_first(db:segments())))
    assert.is_truthy(report.segments_in > 0)
    assert.same({}, stale_first(db:segments()))
    assert.equals(5, db:count())
  end)
end)
