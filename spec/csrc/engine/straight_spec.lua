local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local eventually = require "spec.support.eventually"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local random = require "spec.support.random"

local path, db

local function open()
  db = assert(bitcask.open(path, { segment_size = 2048, policy = false }))
end

local function fill(count)
  for i = 1, count do assert(db:put("k" .. i, "first " .. i)) end
end

local function merge_all()
  assert(db:seal() ~= nil)
  return assert(db:merge(contents.sealed(db)))
end

-- A walk that has begun, and what it is to see.
local function begin_walk(source, model)
  local next, state = source:pairs()
  local expected = {}
  for key, value in pairs(model) do expected[key] = value end
  return { next = next, state = state, expected = expected, left = #contents.keys(expected) }
end

-- One step of it; false at its end.
local function step(walk)
  local key, value = walk.next(walk.state)
  if key == nil then
    assert.equal(0, walk.left, "keys are missing")
    return false
  end
  assert.equal(walk.expected[key], value, key)
  walk.expected[key] = nil -- nor is it seen twice
  walk.left = walk.left - 1
  return true
end

local function finish(walk)
  while step(walk) do end
end

before_each(function()
  path = ramdisk.path()
  open()
end)

after_each(function()
  db:close()
  ramdisk.clean()
end)

describe("a walk through a store in which nothing is dead", function()
  local model

  before_each(function()
    fill(200)
    model = contents.of(db)
    assert.equal(200, #contents.keys(model))
  end)

  it("sees each key once, in segments that were closed, recovered, or merged", function()
    finish(begin_walk(db, model))
    for i = 1, 200, 3 do
      model["k" .. i] = "second " .. i
      assert(db:put("k" .. i, "second " .. i))
    end
    assert.is_true(merge_all().segments_in > 0)
    finish(begin_walk(db, model))
    db:close()
    open()
    finish(begin_walk(db, model))
  end)

  it("sees nothing of what comes while it goes on", function()
    local walk = begin_walk(db, model)
    for _ = 1, 10 do step(walk) end
    for i = 150, 260 do assert(db:put("k" .. i, "second")) end
    for i = 1, 50 do assert(db:delete("k" .. i)) end
    merge_all()
    finish(walk)
  end)

  it("sees what a snapshot does when only that knows what was replaced and merged away", function()
    local snap <close> = assert(db:snapshot())
    for i = 1, 200 do assert(db:put("k" .. i, "second")) end
    merge_all()
    finish(begin_walk(snap, model))
  end)

  it("sees what a snapshot does when what was deleted was merged away, tombstones too", function()
    local snap <close> = assert(db:snapshot())
    for i = 1, 100 do assert(db:delete("k" .. i)) end
    merge_all()
    finish(begin_walk(snap, model))
  end)

  it("does not see what a snapshot was too early for", function()
    local snap <close> = assert(db:snapshot())
    for i = 201, 300 do assert(db:put("k" .. i, "later")) end
    finish(begin_walk(snap, model))
  end)

  it("does not see what has died", function()
    for i = 1, 200, 20 do
      assert(db:delete("k" .. i))
      model["k" .. i] = nil
    end
    assert(db:put("k2", "second"))
    model.k2 = "second"
    finish(begin_walk(db, model))
  end)

  it("passes over damage that was met when the store was opened", function()
    local copy = scratch.copy(path) -- as if the process had been killed
    scratch.damage(copy, "k198") -- in the last segment, which has no hint file
    local other <close> = assert(bitcask.open(copy, { policy = false }))
    model.k198 = nil
    finish(begin_walk(other, model))
    finish(begin_walk(other, model))
    scratch.clean()
  end)

  it("lets go of the segments at its end", function()
    local walk = begin_walk(db, model)
    for _ = 1, 50 do step(walk) end
    for i = 1, 200 do assert(db:put("k" .. i, "second")) end
    assert.is_true(merge_all().segments_in > 0)
    assert.is_true(db:stats().pinned_segments > 0)
    finish(walk)
    eventually(function() return db:stats().pinned_segments == 0 end, "nothing is held")
  end)
end)

describe("walks beside writes and merges", function()
  it("see what was there when they began", function()
    local seed = random.begin()
    for round = 1, random.effort(20) do
      local model, walks, snaps, last = {}, {}, {}, 0
      local acts = {
        add = function()
          for _ = 1, 20 do
            last = last + 1
            model["n" .. last] = "new " .. last
            assert(db:put("n" .. last, "new " .. last))
          end
        end,
        replace = function()
          local key = "n" .. math.random(last + 1)
          model[key] = "round " .. round .. " " .. math.random(1000)
          assert(db:put(key, model[key]))
        end,
        delete = function()
          local key = "n" .. math.random(last + 1)
          model[key] = nil
          assert(db:delete(key) ~= nil)
        end,
        merge = function()
          db:seal()
          assert(db:merge(contents.sealed(db)))
        end,
        snapshot = function()
          local copy = {}
          for key, value in pairs(model) do copy[key] = value end
          snaps[#snaps + 1] = { snap = assert(db:snapshot()), model = copy }
        end,
        walk = function() walks[#walks + 1] = begin_walk(db, model) end,
        walk_snapshot = function()
          local one = snaps[math.random(#snaps + 1)]
          if one then walks[#walks + 1] = begin_walk(one.snap, one.model) end
        end,
        step = function()
          local walk = walks[math.random(#walks + 1)]
          for _ = 1, walk and math.random(30) or 0 do
            if walk.left > 0 then step(walk) end
          end
        end,
      }
      local names = { "add", "add", "merge", "snapshot", "walk", "walk_snapshot", "step", "step",
        "replace", "delete" }
      local ok, message = pcall(function()
        for _ = 1, 60 do acts[random.pick(names)]() end
        for _, walk in ipairs(walks) do finish(walk) end
        finish(begin_walk(db, model))
      end)
      assert(ok, ("%s (SEED=%d, round %d)"):format(message, seed, round))
      for _, one in ipairs(snaps) do one.snap:close() end
      db:close()
      path = ramdisk.path()
      open()
    end
  end)
end)
