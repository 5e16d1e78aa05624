-- Merges in bounded steps, for event loops; and merges on a disk that is nearly full.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local overwritten = require "spec.support.overwritten"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "B" or "build"

describe("merging in steps", function()
  local path, db, expected

  before_each(function()
    path = scratch.path()
    db, expected = overwritten(path, 1 << 14, 600, 100, 20)
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

  -- See spec/threads/nearly_full.c.
  it("takes what the merge before is about to give back", function()
    finally(scratch.clean)
    local program = ("timeout 60 %s/spec/nearly_full '%s' 2>&1"):format(BUILD, scratch.path())
    local pipe <close> = assert(io.popen(program))
    assert.equals("3 waiting\n2 merged\n", pipe:read "a")
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
