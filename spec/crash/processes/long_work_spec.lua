-- Long work in one store holds up nobody.

local program = require "spec.support.program"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

describe("S76 long work", function()
  program("a merge does not hold up reads and writes", [[
    local path = ...
    local db = assert(bitcask.open(path, { segment_size = 4 * 2 ^ 20, policy = false }))
    for i = 1, 30000 do -- every second one is written again: half of each segment is dead
      assert(db:put("k" .. (i > 20000 and 2 * i or i) % 20000, ("v"):rep(1000)))
    end
    assert(db:seal())
    local job = assert(db:merge_async { rate = 40 * 2 ^ 20 })
    local longest, count = 0, 0
    repeat
      local began = process.seconds()
      assert(db:put("n" .. count % 1000, ("w"):rep(100)))
      assert(db:get("k" .. count % 20000))
      assert(db:has("k" .. count % 20000))
      longest = math.max(longest, process.seconds() - began)
      count = count + 1
    until job:progress().finished
    local report = assert(job:wait())
    assert(report.bytes_read > 2 ^ 20 * 10)
    assert(count > 1000, "hardly anything was done: " .. count)
    -- One call; other processes may have the processor meanwhile.
    assert(longest < 0.5, "a call took " .. longest .. " seconds")
    assert(db:close())
    os.execute("rm -r " .. path)
    print "ok"
  ]])

  program("a merge or a walk in one store does not hold up another", [[
    local path = ...
    local slow = assert(bitcask.open(path, { segment_size = 65536 }))
    for i = 1, 16000 do -- of the first eight thousand every second one is written again
      assert(slow:put("k" .. (i > 8000 and 2 * i or i) % 8000, ("v"):rep(1000)))
    end
    local job = assert(slow:merge_async { rate = 500000 }) -- some fifteen seconds
    local walk, iterator = slow:pairs()
    walk(iterator)
    for round = 1, 5 do
      local other = assert(bitcask.open(path .. "-" .. round, { segment_size = 4096 }))
      for i = 1, 500 do assert(other:put("k" .. i % 50, ("v"):rep(100))) end
      assert(other:merge())
      assert(other:close())
      os.execute("rm -r " .. path .. "-" .. round)
    end
    assert(not job:progress().finished, "the slow one was waited for")
    assert(slow:put("k1", "w"))
    assert(slow:seal())
    assert((slow:get "k1") == "w")
    job:cancel()
    iterator:close()
    assert(slow:close())
    print "ok"
  ]])
end)
