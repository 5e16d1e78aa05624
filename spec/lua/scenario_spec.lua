-- The scenario language: how stories are told, checked, cut and reported. What it finds is in
-- scenario_finds_spec.lua.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local scratch = require "spec.support.scratch"
local story_of = require "spec.support.small_story"

local scenario = bitcask.scenario

local function raised(...)
  local ok, message = pcall(...)
  assert.is_false(ok)
  return message
end

local function explore(change, parts) return scenario.explore(story_of(change, parts)) end

describe("a story", function()
  it("is checked before it is told, and what is wrong is named", function()
    local function with(parts)
      return raised(scenario.explore, story_of(nil, parts))
    end
    assert.matches("'colour'", with { colour = "red" })
    assert.matches("'doing'.*a function", with { doing = "putting" })
    assert.matches("'states'.*whole number above 0", with { states = 0 })
    assert.matches("'depth'", with { depth = 1.5 })
    assert.matches("'from_nothing'.*true or false", with { from_nothing = "yes" })
    assert.matches("'options'.*a table", with { options = 3 })
    assert.matches("needs a name", raised(scenario.explore, { doing = print }))
    assert.matches("'nameless' needs 'doing'", raised(scenario.faults, { name = "nameless" }))
    assert.has_error(function() scenario.explore "a story" end)
    assert.has_error(function() scenario.check() end)
    local unknown = { name = "x", doing = print, options = { colour = 1 } }
    assert.matches("'colour'", raised(scenario.explore, unknown))
    assert.matches("'size'", raised(scenario.explore, { name = "x", doing = print,
      disk = { size = 1 } }))
    -- It is the caller who is pointed at.
    assert.matches("^[^:]*scenario_spec.lua:%d+:", raised(function()
      scenario.explore { name = "x" }
    end))
  end)

  it("that fails by itself raises what it raised", function()
    local object = {}
    assert.equal(object, raised(explore, nil, { doing = function() error(object) end }))
    assert.matches("nothing there", raised(explore, nil, {
      given = function() error "nothing there" end,
    }))
    assert.matches("no store", raised(explore, nil, {
      open = function() return nil, "no store", "io" end,
    }))
    assert.matches("in the end, without a crash: .* \"ada\" is nothing", raised(explore, nil, {
      doing = function(db) db.keydir.ada = nil end,
    }))
  end)

  it("is explored with a count of what was tried, and nothing is found in a good store", function()
    local report = scenario.check(story_of())
    assert.same({}, report.failures)
    assert.is_true(report.changes >= 7)
    assert.equal(report.changes + 1, report.cuts)
    assert.is_true(report.states >= report.distinct and report.distinct > 50)
    assert.is_true(report.nested > 0 and report.kills > 40)
    local text = tostring(report)
    assert.matches("^a story: " .. report.changes .. " changes of the disk", text)
    assert.matches(report.kills .. " deaths of the process$", text)
  end)

  it("is explored in the same way each time, and otherwise by another seed", function()
    local parts = { disk = { sector = 16 }, states = 20 }
    local first, second = explore(nil, parts), explore(nil, parts)
    assert.equal(tostring(first), tostring(second))
    parts.seed = 5
    local third = explore(nil, parts)
    assert.not_equal(tostring(first), tostring(third))
  end)

  it("is explored in the same way in every process, call by call", function()
    finally(scratch.clean)
    local program = [[
      local log = require "examples.flawed.log"
      local story_of = require "spec.support.small_story"
      local class, calls = log.class(), {}
      for _, name in ipairs { "put", "delete", "get" } do
        class[name] = function(self, key, value)
          calls[#calls + 1] = name .. key
          return log[name](self, key, value)
        end
      end
      local report = bitcask.scenario.explore(story_of(nil, {
        open = function(disk) return log.open(class, disk) end,
      }))
      print(#calls, bitcask.hash.xxh3(table.concat(calls, " ")), report)
    ]]
    local first, status = child.run(program)
    assert.equal(0, status, first)
    for _ = 1, 3 do
      assert.equal(first, (child.run(program)))
    end
  end)

  it("is cut where it says", function()
    local seen = {}
    local report = explore(nil, {
      cut = function(change, operation)
        seen[#seen + 1] = { change, operation }
        return change == 3
      end,
    })
    assert.equal(1, report.cuts)
    assert.equal(report.changes + 1, #seen)
    for i, pair in ipairs(seen) do
      assert.equal(i - 1, pair[1])
      assert.is_true(math.type(pair[2]) == "integer")
      assert.is_true(i == 1 or pair[2] >= seen[i - 1][2])
    end
  end)

  it("has fewer states by `states`, no second cuts by `depth`, fewer deaths by stride", function()
    local sector = { disk = { sector = 16 } }
    local all = explore(nil, sector)
    sector.states = 10
    assert.is_true(explore(nil, sector).distinct < all.distinct / 2)
    assert.equal(0, explore(nil, { depth = 1 }).nested)
    assert.is_true(explore(nil, { second_stride = 1 }).nested > explore().nested)
    assert.is_true(explore(nil, { torn_stride = 10 }).kills < explore().kills / 2)
  end)

  it("dies at each byte of small writes, and here and there in large ones", function()
    local function kills_of(size)
      return explore(nil, {
        given = function() end,
        doing = function(db) assert(db:put("k", ("v"):rep(size - 13))) end,
        states = 1, depth = 1,
      }).kills
    end
    local few = kills_of(100)
    local more = kills_of(1000) - few -- what is cut before a zero is as if it were not cut
    assert.is_true(more >= 895 and more <= 905, more)
    assert.is_true(kills_of(20000) > few + 1000)
    assert.is_true(kills_of(20000) < few + 1300)
  end)

  it("may begin with the making of the store", function()
    local report = explore(nil, { from_nothing = true })
    assert.same({}, report.failures)
    assert.is_true(report.changes > explore().changes)
  end)

  it("is told to the engine where no other store is named, with its options", function()
    local policy_calls = 0
    local report = scenario.check {
      name = "an engine's", depth = 1, states = 2, torn_stride = 4096,
      options = { segment_size = 256, policy = function() policy_calls = policy_calls + 1 end },
      disk = { mapped = false },
      doing = function(db)
        assert(db:put("ada", ("x"):rep(300)))
        assert(db:put("ada", ("x"):rep(300)))
      end,
    }
    assert.is_true(policy_calls > 0)
    assert.is_true(report.distinct > 5)
  end)
end)

describe("an expectation", function()
  it("is asked for every store that survives, and given all it holds", function()
    local seen, count = {}, 0
    local report = explore(nil, {
      expect = function(store, found)
        count = count + 1
        seen[found.grace or "none"] = true
        assert.equal(found.ada, (store:get "ada"))
      end,
    })
    assert.same({}, report.failures)
    assert.same({ none = true, ["1906"] = true }, seen)
    assert.is_true(count >= report.distinct + report.kills)
  end)

  it("that is wrong is reported, with the state, and what the disk had done", function()
    local report = explore(nil, {
      expect = function(_, found) assert(found.grace, "grace is not there") end,
    })
    assert.equal(1, #report.failures)
    local failure = report.failures[1]
    assert.matches("grace is not there", failure.complaint)
    assert.matches("^0:", failure.name)
    local text = tostring(report)
    assert.matches("\n  .*at 0:[^\n]*: [^\n]*grace is not there\n", text)
    assert.is_truthy(text:find("\n  BITCASK_SCENARIO='a story@" .. failure.name .. "'", 1, true))
    assert.matches("grace is not there", raised(scenario.check, story_of(nil, {
      expect = function(_, found) assert(found.grace, "grace is not there") end,
    })))
  end)

  it("that fails often is reported as often as is wanted", function()
    for wanted = 1, 3 do
      local report = explore(nil, { expect = function() error "no" end, failures = wanted })
      assert.equal(wanted, #report.failures)
    end
  end)
end)

describe("a state", function()
  it("has a line that makes it again in the environment of the same program", function()
    local program = [[
      local log = require "examples.flawed.log"
      local class = log.class()
      function class.sync() return true end
      local looked = 0
      local function story(name)
        return {
          name = name,
          open = function(disk) return log.open(class, disk) end,
          given = function(db) assert(db:put("ada", "1815")) end,
          doing = function(db) assert(db:put("alan", "1912")) end,
          expect = function() looked = looked + 1 end,
        }
      end
      for _, name in ipairs { "one", "two" } do
        local report = bitcask.scenario.explore(story(name))
        print(name, report.is_skipped, looked)
        print(report)
      end
    ]]
    finally(scratch.clean)
    local output = child.run(program)
    local line = output:match "BITCASK_SCENARIO='two@[^'\n]+'"
    assert.is_truthy(line, output)
    local complaint = output:match("at ([^\n]*)\n  " .. line:gsub("%p", "%%%0"))
    local pipe = assert(io.popen(line .. " " .. child.command(program) .. " 2>&1"))
    local again = pipe:read "a"
    pipe:close()
    assert.matches("one\ttrue\t0\n", again)
    assert.matches("two\tnil\t%d\n", again)
    assert.is_truthy(again:find(complaint, 1, true), again)
    assert.is_truthy(again:find(line, 1, true), again)
  end)

  it("of a story that is not told makes the program fail, with the names there are", function()
    local program = [[
      for _, name in ipairs { "one", "two" } do
        bitcask.scenario.explore { name = name, doing = function(db) assert(db:put("a", "b")) end }
      end
      print "end"
    ]]
    local function run(wanted)
      local command = ("BITCASK_SCENARIO='%s' %s 2>&1"):format(wanted, child.command(program))
      local pipe = assert(io.popen(command))
      local output = pipe:read "a"
      return output, (select(3, pipe:close()))
    end
    finally(scratch.clean)
    local output, status = run "too@1:-"
    assert.equals("end\nBITCASK_SCENARIO asks for the story 'too', and there is none of that name; "
      .. "there are 'one', 'two'\n", output)
    assert.equals(1, status)
    output, status = run "two@0:-"
    assert.equals("end\n", output)
    assert.equals(0, status)
    output, status = run "two"
    assert.matches("BITCASK_SCENARIO='two' names no state: ", output, 1, true)
    assert.equals(1, status)
  end)

  it("that there is none of raises", function()
    local story = story_of()
    for _, name in ipairs { "", "x", "1", "999:-", "1:nonsense", "2:kill999", "1:sync:io:never",
      "99:append:io:once" } do
      assert.has_error(function() scenario.again(story, name) end, nil, name)
    end
    assert.has_error(function() scenario.again(story) end)
  end)

  it("that is well is reported so, with the trace of the story", function()
    -- The first change of the disk makes the file longer, the second writes to it.
    for _, name in ipairs { "0:-", "2:kill", "1:kill3", "0:kill" } do
      local report = scenario.again(story_of(), name)
      assert.same({}, report.failures)
      assert.matches("append +000001.data", report.trace)
    end
  end)
end)

describe("the failures of the disk", function()
  it("are all tried, and leave a good store good", function()
    local report = scenario.check({
      name = "writing", options = { segment_size = 512, policy = false },
      given = function(db) assert(db:put("ada", "1815")) end,
      doing = function(db)
        db:put("ada", "1815-1852")
        db:sync()
      end,
    }, scenario.faults)
    assert.is_true(report.faults > 15)
    assert.matches("^writing: %d+ faults$", tostring(report))
  end)
end)
