-- Merging where there is damage: what could be read before can be read after it.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local damaging = require "spec.support.damaging"
local forge = require "spec.support.forge"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local open_listening, count_of = damaging.open_listening, damaging.count_of

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

describe("S35 a merge that meets", function()
  local directory, db, events

  before_each(function()
    directory, events = ramdisk.path(), {}
    local writer <close> = assert(bitcask.open(directory, { segment_size = 8192 }))
    for i = 1, 200 do
      assert(writer:put("k" .. i, ("value %d;"):format(i):rep(10)))
    end
    for i = 1, 200, 3 do
      assert(writer:put("k" .. i, ("newer %d;"):format(i):rep(10)))
    end
  end)

  after_each(function()
    if db then db:close() end
  end)

  local function value_of(i)
    return ((i % 3 == 1 and "newer %d;" or "value %d;"):format(i)):rep(10)
  end

  local function readable()
    local found = {}
    for i = 1, 200 do
      local value, _, code = db:get("k" .. i)
      if value then
        assert.equals(value_of(i), value)
        found[#found + 1] = "k" .. i
      else
        assert.is_truthy(code == nil or code == "corrupt")
      end
    end
    return found
  end

  local function check(least)
    db = assert(open_listening(directory, events, { segment_size = 8192 }))
    assert(db:seal() ~= nil)
    local before = readable()
    assert.is_truthy(#before >= least and #before < 200)
    local damaged = {}
    for _, name in ipairs(scratch.files(directory, "seg$")) do
      damaged[name] = scratch.read(directory .. "/" .. name)
    end
    local report = assert(db:merge(contents.sealed(db)))
    assert.is_truthy(report.segments_damaged >= 1)
    assert.is_truthy(report.segments_out >= 1, "the whole ones are merged all the same")
    assert.is_truthy(count_of(events, "corruption") >= 1)
    assert.same(before, readable())
    -- The damaged files are kept, byte for byte.
    local kept = 0
    for _, name in ipairs(scratch.files(directory, "seg$")) do
      if damaged[name] then
        assert.is_true(damaged[name] == scratch.read(directory .. "/" .. name))
        kept = kept + 1
      end
    end
    assert.is_truthy(kept >= report.segments_damaged)
    for _ = 1, 2 do
      assert(db:close())
      db = assert(bitcask.open(directory))
      assert.same(before, readable())
      assert(db:merge())
      assert.same(before, readable())
    end
  end

  local function damage(text, at)
    for _, name in ipairs(scratch.files(directory, "seg$")) do
      local path = directory .. "/" .. name
      local bytes = scratch.read(path)
      for _, record in ipairs(forge.records(bytes)) do
        if bytes:find(text, record.value_at + 1, true) == record.value_at + 1 then
          scratch.write(path, forge.flip(bytes, record[at] + 1, 0x21))
          return
        end
      end
    end
    error("it stands nowhere: " .. text)
  end

  it("one bad header", function()
    damage("value 50;", "offset")
    check(199)
  end)

  it("one bad header, and no hints", function()
    damage("value 50;", "offset")
    for _, name in ipairs(scratch.files(directory, "hint$")) do
      os.remove(directory .. "/" .. name)
    end
    check(199)
  end)

  it("one bad value", function()
    damage("value 51;", "value_at")
    check(199)
  end)

  it("one bad key", function()
    damage("value 51;", "key_at")
    check(199)
  end)

  it("25 bad values", function()
    for i = 2, 74, 3 do
      damage(("value %d;"):format(i), "value_at")
    end
    check(175)
  end)
end)
