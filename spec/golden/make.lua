-- Makes the golden stores anew: `lua5.4 spec/golden/make.lua`, in the root of the tree, after
-- `make all internals`. They are made once for each version of the format, and committed; so
-- this is to be run only when a new version comes, into directories of its own.

package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
package.cpath = "./build/?.so;" .. package.cpath

local bitcask = require "bitcask"
local expected = require "spec.golden.expected"
local format_reader = require "spec.support.format_reader"
local internals = require "bitcask.internals"
local scratch = require "spec.support.scratch"

local OTHER_BOOT <const> = 0x0B007

-- What an open store has in its directory that says nothing of what it holds.
local passing = { LOCK = true, RESERVE = true, ["RESERVE.edit"] = true }

local function keep(path, name)
  local golden = "spec/golden/" .. name
  scratch.remove(golden)
  assert(require "lfs".mkdir(golden))
  for _, file in ipairs(scratch.files(path)) do
    if not passing[file] then
      scratch.write(golden .. "/" .. file, scratch.read(path .. "/" .. file))
    end
  end
  return golden
end

-- The header of a segment, as one made in another boot.
local function of_another_boot(bytes)
  local header = assert(internals.header.decode(bytes, "segment"))
  header.boot = OTHER_BOOT
  return internals.header.encode(header) .. bytes:sub(65)
end

-- Change the active segment of a store whose process is to look killed: `cut` gets its bytes
-- and its records, and returns what it is to be.
local function kill(path, name, cut)
  local golden = keep(path, name)
  local _, about = format_reader.read(golden)
  local segment = about.active
  local file = golden .. "/" .. segment.name
  local bytes = scratch.read(file):sub(1, segment.length)
  scratch.write(file, of_another_boot(cut(bytes, segment.records)) .. ("\0"):rep(200))
end

local function clean(path)
  local db <close> = assert(bitcask.open(path, { segment_size = 512 }))
  for i = 1, 30 do
    assert(db:put("k" .. i, ("first %d"):format(i)))
  end
  for i = 1, 30 do
    assert(db:put("k" .. i, ("second %d"):format(i)))
    if i % 3 == 0 then assert(db:delete("k" .. i)) end
  end
  for _, key in ipairs { "ada", "alan", "grace", "", "empty", "every byte" } do
    assert(db:put(key, expected.clean.contents[key]))
  end
  assert(db:put("for long", "until 4461", { ttl = 2435 * 365.25 * 86400 }))
  assert(db:put("for long ago", "gone", { ttl = 0.001 }))
  local batch <close> = db:batch()
  assert(batch:put("of a batch 1", "one"):put("of a batch 2", "two"):delete("k1"))
  assert(batch:put("k1", "second 1"):commit())
end

local function merged(path)
  local db <close> = assert(bitcask.open(path, { segment_size = 512 }))
  for _, word in ipairs { "first", "second", "third" } do
    for i = 1, 40 do
      assert(db:put("k" .. i, ("%s %d"):format(word, i)))
      if i % 4 == 0 then assert(db:delete("k" .. i)) end
    end
  end
  assert(db:seal())
  local ids = {}
  for i, segment in ipairs(assert(db:segments()).segments) do
    ids[i] = segment.id
  end
  -- The newer half first: its tombstones are needed, for the older half is outside.
  local report = assert(db:merge(table.move(ids, #ids // 2, #ids, 1, {})))
  assert(report.tombstones_kept > 0)
end

-- An open store, to be looked at as a kill would leave it; nothing in it was flushed.
local function unflushed(path, writes)
  local db = assert(bitcask.open(path))
  assert(db:put("ada", "1815"))
  writes(db)
  return db
end

local function checkpointed(path)
  local db = assert(bitcask.open(path, { segment_size = 512 }))
  for i = 1, 30 do
    assert(db:put("k" .. i, ("first %d"):format(i)))
  end
  assert(db:put("for long", "until 4461", { ttl = 2435 * 365.25 * 86400 }))
  assert(db:delete "k7")
  assert(db:checkpoint())
  for i = 5, 30, 5 do
    assert(db:put("k" .. i, ("second %d"):format(i)))
  end
  for i = 14, 28, 7 do
    assert(db:delete("k" .. i))
  end
  assert(db:put("ada", "1815"))
  return db
end

local path = scratch.path()
clean(path)
local golden = keep(path, "clean")
keep(golden, "hintless")
for _, file in ipairs(scratch.files("spec/golden/hintless", "%.hint$")) do
  os.remove("spec/golden/hintless/" .. file)
end

path = scratch.path()
merged(path)
keep(path, "merged")

path = scratch.path()
local db = unflushed(path, function(store)
  assert(store:put("alan", "1912"))
  assert(store:put("before", "the last whole one"))
  assert(store:put("torn", ("never whole "):rep(10)))
end)
kill(path, "killed", function(bytes, records)
  return bytes:sub(1, records[4].offset + 77)
end)
db:close()

path = scratch.path()
db = unflushed(path, function(store)
  assert(store:put("before", "the hole"))
  assert(store:put("in it", ("lost "):rep(10)))
  assert(store:put("behind", "the hole"))
end)
kill(path, "hole", function(bytes, records)
  local hole = records[3]
  return bytes:sub(1, hole.offset) .. ("\0"):rep(hole.size) ..
    bytes:sub(hole.offset + hole.size + 1)
end)
db:close()

path = scratch.path()
db = unflushed(path, function(store)
  local batch <close> = store:batch()
  assert(batch:put("ada", "wrong"):put("alan", "wrong"):put("grace", "wrong"):commit())
end)
kill(path, "batch", function(bytes, records)
  return bytes:sub(1, records[4].offset)
end)
db:close()

path = scratch.path()
db = checkpointed(path)
kill(path, "checkpointed", function(bytes)
  return bytes
end)
db:close()

scratch.clean()
