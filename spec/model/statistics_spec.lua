-- S75: what a description tells of each segment is what a stranger counts in the files: after
-- any history of writes, expiry, seals and merges of some segments, while the store is open,
-- after a clean end, and after the death of the process.

local lfs = require "lfs"

local bitcask = require "bitcask"
local eventually = require "spec.support.eventually"
local format_reader = require "spec.support.format_reader"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local tools = require "spec.support.tools"

local clock_is_there, missing = tools.module "spec.clock"
local clock = clock_is_there and require "spec.clock"

-- Their names and sizes, but for hint files, which come in the background.
local function listing(path)
  local lines = {}
  for _, name in ipairs(scratch.files(path)) do
    local size = lfs.attributes(path .. "/" .. name, "size")
    if not name:find "%.hint" and not name:find "^RESERVE" then
      lines[#lines + 1] = ("%s %s"):format(name, size)
    end
  end
  return lines
end

-- False when one of the files has gone meanwhile.
local function copy_files(path, copied, lines)
  for _, line in ipairs(lines) do
    local name = line:match "^%S+"
    local file <close> = io.open(path .. "/" .. name, "rb")
    if not file then return false end
    scratch.write(copied .. "/" .. name, file:read "a")
  end
  return true
end

-- The files of a store as they are at one moment: full segments are sealed, and files that a merge
-- has replaced removed, in the background.
local function copy(path)
  local copied, lines
  eventually(function()
    copied, lines = scratch.directory(), listing(path)
    return copy_files(path, copied, lines) and
      table.concat(lines, "\n") == table.concat(listing(path), "\n")
  end, "a moment in which the files stay as they are")
  return copied
end

-- ---- Counting ----

local function newest_of_all(about)
  local newest = {}
  local function look(segment)
    for _, record in ipairs(segment.records) do
      local other = newest[record.key]
      if not other or record.version > other.version then newest[record.key] = record end
    end
  end
  for _, segment in pairs(about.sealed) do
    look(segment)
  end
  if about.active then look(about.active) end
  for _, segment in pairs(about.full) do look(segment) end
  return newest
end

local function count(segment, newest, now)
  local facts = {
    bytes = 0, records = 0, tombstones = 0, tombstone_bytes = 0, live_bytes = 0, live_records = 0,
    expired = 0, min_version = math.huge, max_version = 0,
  }
  local function add(what, number)
    facts[what] = facts[what] + number
  end
  for _, record in ipairs(segment.records) do
    add("bytes", record.size)
    add("records", 1)
    facts.min_version = math.min(facts.min_version, record.version)
    facts.max_version = math.max(facts.max_version, record.version)
    local is_newest = newest[record.key] == record
    local has_expired = record.expires and record.expires <= now
    if record.is_tombstone then
      add("tombstones", 1)
      add("tombstone_bytes", record.size)
    elseif is_newest and has_expired then
      add("expired", record.size)
    elseif is_newest then
      add("live_bytes", record.size)
      add("live_records", 1)
    end
  end
  return facts
end

local exact = {
  "bytes", "records", "tombstones", "tombstone_bytes", "live_bytes", "live_records", "min_version",
  "max_version",
}

local function check_segment(told, counted, is_fresh)
  for _, name in ipairs(exact) do
    assert(told[name] == counted[name],
      ("segment %d: %s is %s, counted %s"):format(told.id, name, told[name], counted[name]))
  end
  local dead = counted.bytes - counted.live_bytes
  local least = is_fresh and dead or dead - counted.tombstone_bytes
  assert(told.dead_bytes <= dead and told.dead_bytes >= least,
    ("segment %d: dead_bytes is %d of %d"):format(told.id, told.dead_bytes, dead))
  assert(told.expired_bytes >= counted.expired and told.expired_bytes <= dead,
    ("segment %d: expired_bytes is %d, counted %d"):format(told.id, told.expired_bytes,
      counted.expired))
end

-- Hold what the store tells against the files. `is_fresh`: it was opened just now.
local function check(db, path, is_fresh)
  local now = math.floor(clock.now() * 1000)
  local description = db:segments()
  local contents, about = format_reader.read(copy(path), now)
  local newest, keys, seen = newest_of_all(about), 0, 0
  for _ in pairs(contents) do
    keys = keys + 1
  end
  assert(description.keys == keys and db:count() == keys, "keys")
  local sums = { bytes = 0, live_bytes = 0, dead_bytes = 0 }
  local all = table.move(description.segments, 1, #description.segments, 1, {})
  all[#all + 1] = description.active
  for _, told in ipairs(all) do
    local segment = told.active and about.active or about.sealed[told.id] or about.full[told.id]
    if #segment.records > 0 then check_segment(told, count(segment, newest, now), is_fresh) end
    seen = seen + 1
    for name in pairs(sums) do
      sums[name] = sums[name] + told[name]
    end
  end
  for name, sum in pairs(sums) do
    assert(description[name] == sum and db:stats()[name] == sum, name)
  end
  for _, kind in ipairs { about.sealed, about.full } do
    for _ in pairs(kind) do
      seen = seen - 1
    end
  end
  assert(seen == (description.active and 1 or 0), "segments")
end

-- ---- A history ----

local actions = {}

function actions.put(db)
  local ttl = math.random(3) == 1 and math.random(1, 100) or nil
  assert(db:put("k" .. math.random(30), random.bytes(80), { ttl = ttl }))
end

function actions.delete(db)
  assert(db:delete("k" .. math.random(30)) ~= nil)
end

function actions.batch(db)
  local batch = db:batch()
  for _ = 1, math.random(5) do
    batch:put("k" .. math.random(30), random.bytes(20))
    batch:delete("k" .. math.random(30))
  end
  assert(batch:commit())
end

function actions.time() clock.move(math.random(30)) end

function actions.seal(db) assert(db:seal() ~= nil) end

function actions.merge(db)
  local ids = {}
  for i, segment in ipairs(db:segments().segments) do
    ids[i] = segment.id
  end
  assert(db:merge(random.some(ids)))
end

function actions.filter(db)
  assert(db:merge { filter = function(_, value)
    local chance = math.random(10)
    if chance == 1 then return false end
    return chance == 2 and value .. "!" or true
  end })
end

function actions.job(db)
  local job <close> = assert(db:merge_async())
  actions.put(db)
  actions.delete(db)
  assert(job:wait())
end

local often = {
  "put", "put", "put", "put", "put", "put", "put", "put", "delete", "delete", "batch", "time",
  "seal", "merge", "merge", "filter", "job",
}

local function play(path)
  local options = { segment_size = 600, policy = false }
  local db = assert(bitcask.open(path, options))
  for _ = 1, 12 do
    for _ = 1, math.random(25) do
      actions[random.pick(often)](db)
    end
    check(db, path, false)
    -- A process that dies leaves what is there at this moment.
    local left = copy(path)
    local killed <close> = assert(bitcask.open(left, options))
    check(killed, left, true)
    if math.random(3) == 1 then
      assert(db:close())
      db = assert(bitcask.open(path, options))
      check(db, path, true)
    end
  end
  db:close()
end

describe("S75 the statistics of segments", function()
  after_each(function()
    if clock then clock.reset() end
    scratch.clean()
  end)

  it("are those that a stranger counts", function()
    if not clock then return pending(missing) end
    local seed = random.begin()
    for round = 1, random.effort(6) do
      clock.stop()
      local ok, message = pcall(play, scratch.path())
      assert(ok, ("SEED=%d, round %d: %s"):format(seed, round, tostring(message)))
      scratch.clean()
    end
  end)
end)
