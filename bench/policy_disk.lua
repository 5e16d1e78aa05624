--- What real stores take on disk while they are written over as fast as they can be, with a
-- policy in charge of merging in the background.
--
--   lua5.4 bench/policy_disk.lua [KEYS [WRITES [DIRECTORY]]]     prints a table of docs/policies.md
--
-- Each store is filled with KEYS (1,000,000) keys of 16 bytes, values of 100, and written over
-- WRITES (5,000,000) times. All files count, in blocks of the disk. They are held against the same
-- store after everything in it was merged, which is what its live data take.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/../lua/?.lua;%s/../lua/?/init.lua;"):format(here, here) .. package.path
package.cpath = ("%s/../build/?.so;"):format(here) .. package.cpath

local bitcask = require "bitcask"
local chance = require "bitcask.lab.chance"

local keys = math.tointeger(tonumber(arg[1] or 1000000))
local writes = math.tointeger(tonumber(arg[2] or 5000000))
local root = arg[3] or os.tmpname()

local samples = 400 -- of the disk, over all writes
local value = ("v"):rep(100)

-- Files come and go meanwhile, which du tells of.
local function on_disk(path)
  local pipe <close> = assert(io.popen(("du -s --block-size=1 '%s' 2>/dev/null"):format(path)))
  return assert(pipe:read "n", "du is needed")
end

local function name(key)
  return ("%016d"):format(key)
end

local choosers = {
  uniform = function()
    local even = chance.even(1)
    return function() return even(keys) end
  end,
  zipf = function() return chance.zipf(1, keys, 0.99) end,
}

-- Write over the store; the most and the mean on disk, bytes.
local function write_over(db, path, choose)
  local every = math.min(writes, math.max(1000, writes // samples))
  local most, sum, count = 0, 0, 0
  for i = 1, writes do
    assert(db:put(name(choose()), value))
    if i % every == 0 then
      local bytes = on_disk(path)
      most, sum, count = math.max(most, bytes), sum + bytes, count + 1
    end
  end
  return most, sum / count
end

-- What is left when nothing is dead.
local function live_on_disk(db, path)
  assert(db:seal() ~= nil)
  assert(db:merge())
  return on_disk(path)
end

local function measure(kind, segment_size, policy)
  local path = ("%s/%s-%d"):format(root, kind, segment_size)
  local db = assert(bitcask.open(path, { segment_size = segment_size, policy = policy }))
  for key = 1, keys do
    assert(db:put(name(key), value))
  end
  local before = db:stats()
  local most, mean = write_over(db, path, choosers[kind]())
  local after = db:stats()
  local user = writes * (before.bytes / keys)
  local merged = after.merge_bytes_written - before.merge_bytes_written
  local live = live_on_disk(db, path)
  assert(db:close())
  os.execute(("rm -rf '%s'"):format(path))
  print(("| %s, segments of %d MiB | %.2f | %.2f | %.2f |"):format(kind, segment_size >> 20,
    (user + merged) / user, mean / live, most / live))
  io.stdout:flush()
end

os.remove(root)
assert(os.execute(("mkdir -p '%s'"):format(root)))
print "| | write amplification | disk, mean | disk, most |"
print "|---|---|---|---|"
for _, kind in ipairs { "uniform", "zipf" } do
  for _, size in ipairs { 32, 256 } do
    measure(kind, size << 20, bitcask.policy.default())
  end
end
os.remove(root) -- unless it was there, and is not empty
