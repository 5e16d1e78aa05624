-- See spec/threads/closing.c: handles of Lua close their merges before the store, C programs
-- need not.

local scratch = require "spec.support.scratch"

local BUILD = os.getenv "B" or "build"

describe("a store that a C program closes while a merge", function()
  after_each(scratch.clean)

  local cases = {
    running = "runs on a thread of its own",
    waited = "is waited for by another thread",
    stepped = "is between two steps",
    begun = "is begun",
  }
  for how, what in pairs(cases) do
    it(what .. " has it cancelled, and is whole", function()
      local program = ("timeout 60 %s/spec/closing '%s' %s"):format(BUILD, scratch.path(), how)
      local pipe <close> = assert(io.popen(program .. " 2>&1"))
      assert.equals("finished\ncancelled\n2000 keys, 2000000 bytes dead\n", pipe:read "a")
    end)
  end
end)
