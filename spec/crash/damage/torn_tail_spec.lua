-- The end of the segment that a process was writing to when it died: what is torn there is no
-- record, and no damage.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local damaging = require "spec.support.damaging"
local forge = require "spec.support.forge"
local history = require "spec.support.history"
local killed = require "spec.support.killed"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local with, active_of, open_listening = damaging.with, damaging.active_of, damaging.open_listening
local count_of, recovered_event = damaging.count_of, damaging.recovered_event

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

describe("S58 torn tail:", function()
  local files, name, bytes, last, model

  before_each(function()
    local directory = ramdisk.path()
    model = killed.store(directory, 20)
    killed.run([[
      local db = assert(bitcask.open((...)))
      for i = 1, 3 do assert(db:put("late" .. i, ("z"):rep(20))) end
      assert(db:put("last", ("the last value "):rep(4)))
    ]], directory)
    for i = 1, 3 do
      model["late" .. i] = ("z"):rep(20)
    end
    files = ramdisk.load(directory)
    name, bytes = active_of(files)
    local records = forge.records(bytes)
    last = records[#records]
    assert.equals("last", last.key)
  end)

  -- Open what is left, write, and open again.
  local function check(case, active, is_whole)
    local directory = ramdisk.with(with(files, name, active))
    local events = {}
    local db, message = open_listening(directory, events)
    assert(db, message and case .. ": " .. message)
    local expected = history.copy(model)
    if is_whole then expected.last = ("the last value "):rep(4) end
    local found = contents.of(db)
    local difference = history.difference(found, expected)
    assert(not difference, difference and case .. ": " .. difference)
    assert.equals(0, count_of(events, "corruption"), case)
    assert(db:put("after", "the tear"))
    expected.after = "the tear"
    assert(db:close())
    for _ = 1, 2 do
      db = assert(bitcask.open(directory))
      difference = history.difference(contents.of(db), expected)
      assert(not difference, difference and case .. ", restarted: " .. difference)
      assert(db:close())
    end
    scratch.remove(directory)
    return recovered_event(events)
  end

  it("the last record cut at every byte", function()
    for cut = 0, last.size - 1 do
      local event = check("cut at " .. cut, bytes:sub(1, last.offset + cut))
      assert.equals(cut, event.torn_bytes, "cut at " .. cut)
    end
  end)

  it("the last record zero from every byte on", function()
    for cut = 0, last.bare_size - 1 do
      local rest = ("\0"):rep(#bytes - last.offset - cut)
      check("zero from " .. cut, bytes:sub(1, last.offset + cut) .. rest)
    end
    -- What only fills up to the next record is no part of it.
    for cut = last.bare_size, last.size do
      local rest = ("\0"):rep(#bytes - last.offset - cut)
      check("zero from " .. cut, bytes:sub(1, last.offset + cut) .. rest, true)
    end
  end)

  it("1 to 60 bytes of garbage behind the last record, and behind the file", function()
    random.begin(58)
    for size = 1, 60 do
      local garbage = {}
      for i = 1, size do
        garbage[i] = string.char(math.random(1, 255))
      end
      garbage = table.concat(garbage)
      local finish = last.offset + last.size
      local event = check("garbage in the file", forge.patch(bytes, finish, garbage), true)
      assert.is_truthy(event.torn_bytes > 0)
      check("garbage at the end", bytes:sub(1, finish) .. garbage, true)
      check("garbage behind the space", bytes .. garbage, true)
    end
  end)

  it("a batch cut at every byte counts for nothing", function()
    local directory = ramdisk.path()
    killed.run([[
      local db = assert(bitcask.open((...)))
      for i = 1, 6 do assert(db:put("k" .. i, "before")) end
      local batch = db:batch()
      for i = 1, 3 do batch:put("k" .. i, ("in the batch %d "):format(i):rep(i)) end
      batch:delete("k4"):put("last", "in the batch")
      assert(batch:commit())
    ]], directory)
    local dead = ramdisk.load(directory)
    local active, whole = active_of(dead)
    local records = forge.records(whole)
    assert.equals(11, #records)
    local finish = records[11].offset + records[11].size
    for cut = records[7].offset, finish do
      for _, rest in ipairs { "", ("\0"):rep(finish - cut) } do
        local copy = ramdisk.with(with(dead, active, whole:sub(1, cut) .. rest))
        local expected = {}
        for i = 1, 6 do
          expected["k" .. i] = "before"
        end
        local is_whole = cut == finish or rest ~= "" and cut >= records[11].offset +
          records[11].bare_size
        if is_whole then
          for i = 1, 3 do
            expected["k" .. i] = ("in the batch %d "):format(i):rep(i)
          end
          expected.k4, expected.last = nil, "in the batch"
        end
        for _ = 1, 2 do
          local db <close> = assert(bitcask.open(copy))
          local difference = history.difference(contents.of(db), expected)
          assert(not difference, difference and ("cut at %d: %s"):format(cut, difference))
        end
        do
          local db <close> = assert(bitcask.open(copy))
          assert(db:put("after", "it"))
          assert(db:seal())
          assert(db:merge(contents.sealed(db)))
          expected.after = "it"
          assert.is_nil(history.difference(contents.of(db), expected))
        end
        scratch.remove(copy)
      end
    end
  end)

  it("a copy of an earlier record behind the last one is no record", function()
    for _, record in ipairs(forge.records(bytes)) do
      local copy = bytes:sub(record.offset + 1, record.offset + record.size)
      check("copy of " .. record.offset, bytes:sub(1, last.offset + last.size) .. copy, true)
    end
  end)
end)
