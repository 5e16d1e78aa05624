-- What `make test` does with several spec files: each in a process of its own, one answer.

local child = require "spec.support.child"
local scratch = require "spec.support.scratch"

describe("spec files on several processes", function()
  local directory

  before_each(function()
    directory = scratch.directory()
  end)
  after_each(scratch.clean)

  local function file(name, code)
    scratch.write(("%s/%s_spec.lua"):format(directory, name), code)
  end

  -- The output of a run over the directory, or these files of it, and its exit status.
  local function run(arguments)
    return child.run([[
      local status = select(3, os.execute(...))
      os.exit(status)
    ]], ("JOBS=3 lua5.4 spec/run.lua %s"):format(arguments or directory))
  end

  it("give one sum, and success", function()
    file("one", [[it("a", function() end) it("b", function() end)]])
    file("two", [[it("c", function() end)]])
    local output, status = run()
    assert.equals(0, status)
    assert.matches("one_spec.lua +2 passed", output)
    assert.matches("two_spec.lua +1 passed", output)
    assert.matches("\n3 passed, 0 failed, 0 pending; 2 files on 3 processes", output)
  end)

  it("fail together where one of them fails, which says where and why", function()
    file("good", [[it("a", function() end)]])
    file("bad", [[describe("the moon", function()
      it("is cheese", function() assert.equals("cheese", "rock") end)
    end)]])
    local output, status = run()
    assert.equals(1, status)
    assert.matches("bad_spec.lua +0 passed, 1 FAILED", output)
    assert.matches("bad_spec.lua @ 2\nthe moon is cheese\n", output)
    assert.matches("rock", output)
    assert.matches("\n1 passed, 1 failed, 0 pending", output)
  end)

  it("fail where one cannot be loaded", function()
    file("good", [[it("a", function() end)]])
    file("bad", [[it("a", function( end)]])
    local output, status = run()
    assert.equals(1, status)
    assert.matches("1 passed, 1 failed", output)
  end)

  it("fail where a process dies, and tell what it said last", function()
    file("good", [[it("a", function() end)]])
    file("bad", [[it("dies", function() print "last words" os.exit(7) end)]])
    local output, status = run()
    assert.equals(1, status)
    assert.matches("bad_spec.lua: ended with status 7 before its specs did\n.*last words", output)
    assert.matches("\n1 passed, 1 failed", output)
  end)

  it("fail where a process dies after its specs", function()
    file("good", [[it("a", function() end)]])
    file("bad", [[
      it("passes", function() end)
      setmetatable({}, { __gc = function() os.exit(3) end })
      last = setmetatable({}, { __gc = function() os.exit(3) end })
      it("keeps it", function() package.loaded.last = last end)
    ]])
    local output, status = run()
    assert.equals(1, status)
    assert.matches("bad_spec.lua: its specs pass, its process ends with status 3", output)
  end)

  it("tell what waits, without failing", function()
    file("one", [[it("a", function() pending "no such tool" end)]])
    file("two", [[it("b", function() end)]])
    local output, status = run()
    assert.equals(0, status)
    assert.matches("no such tool", output)
    assert.matches("\n1 passed, 0 failed, 1 pending", output)
  end)

  it("show what they print under their file, and collect what they counted", function()
    file("one", [[it("a", function() print "count states 17" print "by the way" end)]])
    file("two", [[it("b", function() print "count moves 4" end)]])
    local output = run()
    assert.matches("one_spec.lua[^\n]*\n    count states 17\n    by the way\n", output)
    assert.matches("\n\ncount moves 4\ncount states 17\n", output)
  end)

  it("get busted's options", function()
    file("one", [[it("a", function() end) it("b", function() end)]])
    file("two", [[it("c", function() end)]])
    assert.matches("\n2 passed, 0 failed", (run("--filter-out=b " .. directory)))
  end)

  it("run in one process where there is one only", function()
    file("one", [[it("a", function() end)]])
    local output, status = run()
    assert.equals(0, status)
    assert.matches("1 success / 0 failures", output)
  end)
end)
