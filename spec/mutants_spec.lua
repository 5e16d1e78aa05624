-- The deliberate defects of csrc/base/mutant.h: the stories find every one, as spec/mutants.lua
-- tells, and nothing of them is shipped.

local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local BUILD = os.getenv "B" or "build"

local function names()
  local list = {}
  for name in scratch.read "csrc/base/mutant.h":gmatch "X%(([A-Z_]+)," do
    list[#list + 1] = name
  end
  return list
end

local function run(arguments)
  local pipe <close> = assert(io.popen("lua5.4 spec/mutants.lua " .. arguments .. " 2>&1; echo $?"))
  local output = pipe:read "a"
  return output, tonumber(output:match "(%d+)\n$")
end

teardown(tally.report)

describe("deliberate defects", function()
  it("are fifteen at least, and each is somewhere in the engine", function()
    local used = {}
    local pipe <close> = assert(io.popen "grep -rhoE 'MUTANT\\([A-Z_]+\\)' csrc --include=*.c")
    for line in pipe:lines() do
      used[line:match "%((.*)%)"] = true
    end
    for _, name in ipairs(names()) do
      assert.is_true(used[name], name)
      used[name] = nil
    end
    assert.is_nil(next(used))
    assert.is_true(#names() >= 15)
  end)

  it("are not in what is shipped", function()
    for _, file in ipairs { "bitcask/core.so", "libbitcask.so", "libbitcask.a" } do
      local bytes = scratch.read(BUILD .. "/" .. file)
      for _, name in ipairs(names()) do
        assert.is_nil(bytes:find(name, 1, true), file .. " has " .. name)
      end
      assert.is_nil(bytes:find("mutant", 1, true), file)
    end
    local core = require "bitcask.core"
    assert.is_nil(core.trial)
  end)

  it("are all found", function()
    local output, status = run ""
    assert.equals(0, status, output)
    tally.add("mutants_killed", tonumber(output:match "count mutants_killed (%d+)"))
    assert.matches(("count mutants_killed %d\n"):format(#names()), output, 1, true)
  end)

  it("are found by a story that is named", function()
    local output = run "SWITCHED_BLINDLY"
    assert.matches("found by 'merging step by step while writing'", output, 1, true)
  end)

  it("that are none are not said to be found", function()
    local output, status = run "NO_SUCH_MUTANT"
    assert.equals(1, status)
    assert.matches("no such mutant", output, 1, true)
  end)
end)
