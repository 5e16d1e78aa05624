-- Merges on a thread of their own, and what can be asked of them meanwhile.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local overwritten = require "spec.support.overwritten"
local scratch = require "spec.support.scratch"

describe("a job", function()
  local path, db, expected

  before_each(function()
    path = scratch.path()
    db, expected = overwritten(path, 1 << 16, 2000, 300, 50)
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
    eventually(function() return job:progress().finished end, "the end of the job")
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
    eventually(function() return job:progress().delay > 0 end, "the rest")
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
    eventually(function() return db:stats().merges > 0 end, "the merge")
    assert.equals(1, db:stats().merges)
    -- It is counted a moment before it gives its turn to the next one.
    eventually(function()
      local report, message, code = db:merge()
      if code ~= "busy" then return assert(report, message) end
    end, "its end")
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
