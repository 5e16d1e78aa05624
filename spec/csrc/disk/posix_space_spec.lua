-- See spec/threads/ready.c.

local random = require "spec.support.random"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "B" or "build"

describe("a file that one thread makes ready while another appends to it", function()
  after_each(scratch.clean)

  for round = 1, 4 do
    it("holds what was appended, and nothing else: round " .. round, function()
      random.begin(round)
      local program = ("%s/spec/ready '%s' %d 2>&1"):format(BUILD, scratch.directory(),
        math.random(1 << 31))
      local pipe <close> = assert(io.popen(program))
      local output = pipe:read "a"
      local size = tonumber(output:match "^ready: SEED=%d+\n(%d+)\n$")
      assert(size, output)
      assert.is_true(size > (16 << 20) - (40 << 10))
    end)
  end
end)
