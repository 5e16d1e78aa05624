local guard = require("bitcask.internals").guard

local ROUNDS <const> = 2000

describe("a guard", function()
  for threads = 1, 4 do
    it(("of %d readers: nothing is taken away that one of them may see"):format(threads), function()
      assert.same({ true, 0, 0 }, { guard.race(threads, ROUNDS, true) })
    end)
  end

  it("the same of readers who share their counters, as without a barrier for all", function()
    assert.same({ true, 0, 0 }, { guard.race(3, ROUNDS, false) })
  end)
end)
