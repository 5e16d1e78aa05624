local latch = require("bitcask.internals").latch

describe("a latch", function()
  it("lets one at a time in, and is free when all have left", function()
    for threads = 1, 4 do
      assert.same({ threads * 100000, true }, { latch.race(threads, 100000, 0) })
    end
  end)

  it("that is held for long is had by everyone who waits for it in the end", function()
    for threads = 2, 8 do
      for _, pause in ipairs { 1, 2, 7 } do
        assert.same({ threads * 40, true }, { latch.race(threads, 40, pause) })
      end
    end
  end)
end)
