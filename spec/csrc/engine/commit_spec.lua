local commit = require "bitcask.internals".commit

local ROUNDS <const> = 60

describe("a group commit", function()
  it("lets nobody go on before what it wrote is durable, and never flushes twice at a time",
    function()
      for threads = 1, 8 do
        local race = commit.race(threads, ROUNDS, 0)
        assert.equals(threads * ROUNDS, race.waits)
        assert.equals(0, race.early)
        assert.equals(0, race.overlaps)
        assert.equals(0, race.failed_waits)
      end
    end)

  it("flushes once for each write of a single writer, and once for several of many", function()
    assert.equals(ROUNDS, commit.race(1, ROUNDS, 0).flushes)
    assert.is_true(commit.race(8, ROUNDS, 0).flushes < 8 * ROUNDS)
  end)

  it("lets those go on whose writes somebody else has made durable", function()
    for threads = 1, 8 do
      for _, every in ipairs { 0, 2 } do
        local race = commit.race(threads, ROUNDS, every, true)
        assert.equals(threads * ROUNDS, race.waits)
        assert.equals(0, race.early)
        assert.equals(0, race.overlaps)
        assert.equals(race.failed_flushes, race.failed_waits)
      end
    end
  end)

  it("tells of a failed flush the one who called it, and the next one flushes anew", function()
    for threads = 1, 8 do
      for _, every in ipairs { 1, 2, 7 } do
        local race = commit.race(threads, ROUNDS, every)
        assert.equals(0, race.early)
        assert.equals(0, race.overlaps)
        assert.is_true(race.failed_flushes > 0)
        assert.equals(race.failed_flushes, race.failed_waits)
      end
    end
  end)
end)
