--- Stores with keydir checkpoints, and without: what can be told of them must be the same.

local assert = require "luassert"
local bitcask = require "bitcask"
local history = require "spec.support.history"
local internals = require "bitcask.internals"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"

local checkpoints = { NAME = "KEYDIR" }

function checkpoints.clean()
  ramdisk.clean()
  scratch.clean()
end

function checkpoints.without(files)
  local copy = history.copy(files)
  copy[checkpoints.NAME] = nil
  return copy
end

function checkpoints.with(files, bytes)
  local copy = history.copy(files)
  copy[checkpoints.NAME] = bytes
  return copy
end

function checkpoints.open(directory, options)
  local events = {}
  options = history.copy(options or {})
  function options.on_event(event)
    events[event.kind] = event
  end
  local db, message, code = bitcask.open(directory, options)
  if not db then return nil, message, code end
  db:count() -- hands out the events
  return db, events
end

local compared = { "expiring", "keys", "bytes", "live_bytes", "dead_bytes", "segments", "version",
  "snapshots", "old_versions", "pinned_segments", "stopped" }

local function every_segment(seen)
  local list = table.move(seen.segments.segments, 1, #seen.segments.segments, 1, {})
  list[#list + 1] = seen.segments.active
  return list
end

-- All that can be told of a store: contents with versions, and the statistics.
function checkpoints.picture(db)
  local all = { values = {}, versions = {}, stats = {} }
  for key in db:keys() do
    all.values[key], all.versions[key] = db:get(key)
  end
  all.count = db:count()
  local stats = assert(db:stats())
  for _, name in ipairs(compared) do
    all.stats[name] = stats[name]
  end
  all.segments = assert(db:segments())
  all.segments.now = nil
  for _, segment in ipairs(every_segment(all)) do
    segment.sealed = nil -- of one that this very opening has sealed: now
    segment.pinned = nil -- as long as its hint file is being written
  end
  return all
end

function checkpoints.look(files, options)
  local directory = ramdisk.with(files)
  local db, events = assert(checkpoints.open(directory, options))
  local seen = checkpoints.picture(db)
  assert(db:close())
  scratch.remove(directory)
  return seen, events.recovered, events.corruption
end

-- A key that expired, or was to, and was put again: who saw it knows, who came later does not.
local function forget_estimates(seen)
  for _, segment in ipairs(every_segment(seen)) do
    segment.expired_bytes, segment.expired = nil, nil
  end
  seen.stats.expiring = nil
end

-- The store is the same with its checkpoint and without. Returns how many records had to be
-- loaded with it, and without it.
function checkpoints.must_not_matter(files, case)
  local replayed = {}
  for _, options in ipairs { { readonly = true }, {} } do
    local plain, about = checkpoints.look(checkpoints.without(files), options)
    local seen, recovered, damage = checkpoints.look(files, options)
    if case then
      forget_estimates(plain)
      forget_estimates(seen)
      local difference = history.difference(seen.values, plain.values)
      assert(not difference, difference and case .. ": " .. difference)
    end
    assert.same(plain, seen)
    assert.is_nil(damage)
    replayed = { recovered.replayed, about.replayed }
  end
  return table.unpack(replayed)
end

-- A store of small segments, after `work`: as a clean close leaves it, and as a kill would.
function checkpoints.store(work, options)
  local directory = ramdisk.path()
  options = history.copy(options or {})
  options.segment_size = options.segment_size or 1024
  local db = assert(bitcask.open(directory, options))
  work(db, directory)
  local killed = ramdisk.load(ramdisk.copy(directory))
  assert(db:close())
  killed.LOCK = nil
  return ramdisk.load(directory), killed, directory
end

-- What was put to live for a millisecond is gone afterwards.
function checkpoints.let_expire()
  local begun = internals.disk.clocks()
  repeat until internals.disk.clocks() > begun + 2
end

function checkpoints.puts(db, first, last, word)
  for i = first, last do
    assert(db:put("key " .. i, ("%s %d "):format(word or "value", i):rep(3)))
  end
end

return checkpoints
