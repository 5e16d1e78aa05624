-- The examples of merging inside other people's event loops, where their libraries are.

local child = require "spec.support.child"
local scratch = require "spec.support.scratch"

local function has(library)
  return (select(2, child.run("os.exit(pcall(require, ...) and 0 or 1)", library))) == 0
end

describe("merging in steps", function()
  after_each(scratch.clean)

  for example, library in pairs { merging_luv = "luv", merging_cqueues = "cqueues" } do
    it("goes on inside " .. library, function()
      if not has(library) then return pending(library .. " is not installed") end
      local output, status = child.run([[
        local example, directory = ...
        arg = { [0] = example, directory }
        dofile(example)
      ]], ("examples/%s.lua"):format(example), scratch.path())
      assert.equals(0, status, output)
      local merged, into, turns = output:match "^merged (%d+) segments into (%d+) in (%d+) turns"
      assert(merged, output)
      assert.is_true(tonumber(merged) > tonumber(into))
      assert.is_true(tonumber(turns) > 10)
    end)
  end
end)
