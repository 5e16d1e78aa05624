-- Any byte of a segment flipped: one key suffers at most, and what is damaged is told and never
-- returned.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local damaging = require "spec.support.damaging"
local forge = require "spec.support.forge"
local killed = require "spec.support.killed"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local without, sorted = damaging.without, damaging.sorted
local open_listening = damaging.open_listening
local count_of, recovered_event = damaging.count_of, damaging.recovered_event

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

-- Whatever has become of one record: the others are as they were; its key gives its value, or
-- fails as "corrupt", or, where even whose it is cannot be told, was reported, and then its
-- key is missing or older. Returns the keys that can be read.
local function check_victim(case, db, events, model, older)
  local readable, deviating = {}, 0
  for key, value in pairs(model) do
    local found, message, code = db:get(key)
    if found == value then
      readable[key] = value
    else
      deviating = deviating + 1
      if code ~= "corrupt" then
        assert(not code, message)
        assert(found == nil or older[key] and older[key][found],
          case .. ": a wrong value is returned for " .. key)
        local event = recovered_event(events)
        assert(count_of(events, "corruption") > 0 or event and event.torn_bytes > 0,
          case .. ": lost without a word: " .. key)
      end
    end
  end
  assert(deviating <= 1, case .. ": more than one key suffers")
  for key in db:keys { on_damage = "skip" } do
    assert(model[key] or count_of(events, "corruption") > 0 or
      recovered_event(events).torn_bytes > 0, case .. ": a deleted key is back: " .. key)
  end
  return readable
end

describe("S59 any byte flipped:", function()
  local closed, dead, model, older

  -- 18 records in three segments; several keys twice, one deleted.
  local fill = [[
    local db = assert(bitcask.open((...), { segment_size = 512 }))
    for i = 1, 8 do assert(db:put("k" .. i, "old" .. i)) end
    assert(db:seal())
    for i = 1, 6 do assert(db:put("k" .. i, ("new%d "):format(i):rep(3))) end
    assert(db:delete "k8")
    assert(db:seal())
    for i = 9, 11 do assert(db:put("k" .. i, "only" .. i)) end
  ]]

  setup(function()
    local one, other = ramdisk.path(), ramdisk.path()
    child.run(fill .. "assert(db:close())", one)
    closed = ramdisk.load(one)
    killed.run(fill, other)
    -- The hint files are written in the background: have them for sure.
    local reopened = assert(bitcask.open(other))
    assert(reopened:close())
    killed.run([[
      local db = assert(bitcask.open((...), { segment_size = 512 }))
      for i = 9, 11 do assert(db:put("k" .. i, "only" .. i)) end
    ]], other)
    dead = ramdisk.load(other)
    model, older = {}, {}
    for i = 1, 11 do
      model["k" .. i] = i <= 6 and ("new%d "):format(i):rep(3) or i <= 8 and "old" .. i
        or "only" .. i
      older["k" .. i] = { ["old" .. i] = true, ["only" .. i] = true }
    end
    model.k8 = nil
  end)

  -- Try every byte, or every so many. `use` does something with the store and its readable
  -- keys; without it the store is opened for reading only.
  local function each_flip(files, stride, use)
    random.begin(59)
    local directory = ramdisk.with(files)
    local tried, refused, names = 0, 0, sorted(files, "%.seg$")
    local function try(name, offset)
      local case = ("%s byte %d"):format(name, offset)
      local flipped = forge.flip(files[name], offset, math.random(255))
      if use then ramdisk.reset(directory, files) end
      ramdisk.store(directory, { [name] = flipped })
      local events = {}
      local db, message, code = open_listening(directory, events, { readonly = not use })
      if db then
        local readable = check_victim(case, db, events, model, older)
        if use then db = use(case, db, readable, directory) end
        assert(db:close())
      else
        -- Without its header a segment cannot be read at all.
        assert(offset < 64 and code == "corrupt", case .. ": " .. tostring(message))
        assert(message:find(name, 1, true), case .. ": " .. message)
        refused = refused + 1
      end
      tried = tried + 1
      tally.add "damage_in_files"
    end
    for _, name in ipairs(names) do
      for offset = 0, #files[name] - 1, stride do
        try(name, offset)
      end
      ramdisk.store(directory, { [name] = files[name] })
    end
    assert.is_truthy(tried > 800 // stride and refused <= #names * 64)
  end

  it("closed cleanly, with hints", function()
    assert.is_truthy(#sorted(closed, "hint$") >= 2)
    each_flip(closed, 1)
  end)

  it("closed cleanly, without hints", function()
    each_flip(without(closed, "hint$"), 1)
  end)

  it("killed, with hints", function()
    assert.is_truthy(#sorted(dead, "hint$") >= 2)
    each_flip(dead, 1)
  end)

  it("killed, without hints", function()
    each_flip(without(dead, "hint$"), 1)
  end)

  -- Merging and restarting lose nothing that could be read before.
  local function merge_and_restart(case, db, readable, directory)
    assert(db:put("new", "value"))
    readable.new = "value"
    assert(db:seal() ~= nil)
    local function check(when)
      for key, value in pairs(readable) do
        local found, message = db:get(key)
        assert(found == value, ("%s: %s, %s: %s"):format(case, key, when, tostring(message)))
      end
    end
    assert(db:merge(contents.sealed(db)))
    check "merged"
    assert(db:close())
    db = assert(bitcask.open(directory))
    check "restarted"
    return db
  end

  it("written to, merged and restarted: closed cleanly, with hints", function()
    each_flip(closed, 2, merge_and_restart)
  end)

  it("written to, merged and restarted: killed, without hints", function()
    each_flip(without(dead, "hint$"), 3, merge_and_restart)
  end)

  it("an open store whose file changes underneath: the victim fails, the others do not",
    function()
      local directory = ramdisk.with(closed)
      local db <close> = assert(bitcask.open(directory))
      scratch.damage(directory, model.k3)
      assert.equals("corrupt", (select(3, db:get "k3")))
      for key, value in pairs(model) do
        if key ~= "k3" then assert.equals(value, (db:get(key))) end
      end
      assert(db:put("k3", "whole again"))
      assert.equals("whole again", (db:get "k3"))
    end)
end)
