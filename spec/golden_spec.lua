-- Stores that were written long ago, in spec/golden: they open, hold what they held, go on,
-- and nothing that was in their segments is touched.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local expected = require "spec.golden.expected"
local format_reader = require "spec.support.format_reader"
local internals = require "bitcask.internals"
local scratch = require "spec.support.scratch"

local function golden(name)
  return "spec/golden/" .. name
end

-- Every segment is in the copy still, and begins with the bytes that it had.
local function check_segments(name, copy, is_exact)
  for _, file in ipairs(scratch.files(golden(name), "%.seg$")) do
    local before = scratch.read(golden(name) .. "/" .. file)
    local after = scratch.read(copy .. "/" .. file)
    if not is_exact then after = after:sub(1, #before) end
    assert(before == after, file .. " was changed")
  end
end

local function snapshot(directory)
  local files = {}
  for _, file in ipairs(scratch.files(directory)) do
    files[file] = scratch.read(directory .. "/" .. file)
  end
  return files
end

describe("a store of version 1", function()
  after_each(scratch.clean)

  for name, wanted in pairs(expected) do
    it("is what docs/format.md says: " .. name, function()
      local now = internals.disk.clocks()
      assert.same(wanted.contents, (format_reader.read(golden(name), now)))
    end)

    it("is read by who may only read, and nothing is written: " .. name, function()
      local copy = scratch.copy(golden(name))
      local before = snapshot(copy)
      local db = assert(bitcask.open(copy, { readonly = true }))
      contents.check(db, wanted.contents)
      assert(db:close())
      assert.same(before, snapshot(copy))
    end)

    it("opens with what it held, and its segments as they were: " .. name, function()
      local copy = scratch.copy(golden(name))
      local recovered, damage
      local db = assert(bitcask.open(copy, { on_event = function(event)
        if event.kind == "recovered" then recovered = event end
        if event.kind == "corruption" then damage = event.message end
      end }))
      contents.check(db, wanted.contents)
      check_segments(name, copy, true)
      assert.equal(wanted.torn_bytes or false, recovered.torn_bytes > 0)
      if not wanted.torn_bytes then assert.is_nil(damage) end
      assert(db:close())
      check_segments(name, copy, true)
      assert.same(wanted.contents, (format_reader.read(copy, (internals.disk.clocks()))))
    end)

    it("goes on: " .. name, function()
      local copy = scratch.copy(golden(name))
      local _, about = format_reader.read(copy)
      local model = {}
      for key, value in pairs(wanted.contents) do
        model[key] = value
      end
      for round = 1, 3 do
        local db = assert(bitcask.open(copy))
        local version = assert(db:put("new", "value " .. round))
        assert(math.ult(about.newest, version), "a version was given out again")
        assert(db:put("ada", "1815 again"))
        assert(db:delete "ada")
        model.new, model.ada = "value " .. round, nil
        contents.check(db, model)
        assert(db:close())
        check_segments(name, copy)
      end
      local db = assert(bitcask.open(copy))
      assert(db:seal())
      assert(db:merge(contents.sealed(db)))
      contents.check(db, model)
      assert(db:close())
      assert.same(model, (format_reader.read(copy, (internals.disk.clocks()))))
    end)
  end

  it("needs what came after its keydir checkpoint alone", function()
    local copy, recovered = scratch.copy(golden "checkpointed"), nil
    local _, about = format_reader.read(copy)
    assert.equal(30, about.checkpoint.entries)
    local db = assert(bitcask.open(copy, { readonly = true, on_event = function(event)
      if event.kind == "recovered" then recovered = event end
    end }))
    contents.check(db, expected.checkpointed.contents)
    assert.equal(10, recovered.replayed)
    assert(db:close())
  end)

  it("gets the hint files back that it lacks", function()
    local copy = scratch.copy(golden "hintless")
    assert(assert(bitcask.open(copy)):close())
    local had = #scratch.files(golden "clean", "%.hint$")
    assert.equal(had, #scratch.files(copy, "%.hint$"))
  end)
end)
