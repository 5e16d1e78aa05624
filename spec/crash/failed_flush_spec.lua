-- See spec/threads/failed_flush.c.

local scratch = require "spec.support.scratch"

local BUILD = os.getenv "B" or "build"

describe("a flush that fails while another thread waits to flush", function()
  after_each(scratch.clean)

  for _, sync in ipairs { "none", "always" } do
    it("is tried again by nobody, and nothing is said to be durable: sync = " .. sync, function()
      local program = ("%s/spec/failed_flush '%s' %s"):format(BUILD, scratch.path(), sync)
      local pipe <close> = assert(io.popen(program .. " 2>&1"))
      assert.equals("io stopped 0\n", pipe:read "a")
    end)
  end
end)
