--- A small store on a simulated disk, to build merges on: segments of records that are
-- appended to, a keydir in memory, and a recovery that reads the segments in the order of their
-- numbers. What it does is right, as long as nothing is merged: see the specs. How to merge is
-- for others to say, who get it wrong: swap.lua and renumber.lua.
--
-- It has no manifest: whatever is called like a segment is one, and a higher number is newer.

local xxh32 = require("bitcask.hash").xxh32

local log = {}
log.__index = log

local segment_size = 256

--- The name of a segment.
function log.name_of(id) return ("%06d.data"):format(id) end

-- ---- Records: checksum, sizes, key, value; a size of -1 is a tombstone ----------------------

--- A record as bytes.
---@param key string
---@param value string|false false: it was deleted
function log.encode(key, value)
  local body = ("<s4i4"):pack(key, value and #value or -1) .. (value or "")
  return ("<I4"):pack(xxh32(body)) .. body
end

-- The record at `at` of some bytes: key, value, and where the next one is; nil where it is torn.
local function decode(bytes, at)
  if #bytes - at < 12 then return nil end
  local sum, key_size = ("<I4I4"):unpack(bytes, at + 1)
  local head = at + 12 + key_size
  if head > #bytes then return nil end
  local key, value_size = ("<s4i4"):unpack(bytes, at + 5)
  local next = head + math.max(value_size, 0)
  if next > #bytes or xxh32(bytes:sub(at + 5, next)) ~= sum then return nil end
  return key, value_size >= 0 and bytes:sub(head + 1, next), next
end

--- Every record of some bytes, up to the first that is torn: key, value, offset, size.
function log.records(bytes)
  local at = 0
  return function()
    local key, value, next = decode(bytes, at)
    if not key then return nil end
    local offset = at
    at = next
    return key, value, offset, next - offset
  end
end

-- ---- Opening ----------------------------------------------------------------------------------

--- The numbers of the segments that are there, oldest first.
function log:ids()
  local ids = {}
  for _, name in ipairs(assert(self.directory:list())) do
    local id = name:match "^(%d+)%.data$"
    if id then ids[#ids + 1] = tonumber(id) end
  end
  table.sort(ids)
  return ids
end

-- Open a segment, and let the keydir know what is in it. What a process that died had not
-- flushed yet is flushed: somebody may read it from now on.
local function load_segment(self, id)
  local file = assert(self.directory:open(log.name_of(id)))
  assert(file:sync())
  self.handles[id] = file
  for key, value, offset, size in log.records(assert(file:read())) do
    self.keydir[key] = value and { id = id, offset = offset, size = size } or nil
  end
end

--- Forget everything, and find it again in the files.
function log:load()
  self.keydir, self.handles, self.active = {}, {}, nil
  assert(self.directory:sync())
  self.last = 0
  for _, id in ipairs(self:ids()) do
    load_segment(self, id)
    self.last = id
  end
end

--- Open a store of a class: this one, or one that inherits from it.
---@param class table
---@param disk bitcask.sim.disk
---@return table|nil store nil, message where the disk fails
function log.open(class, disk)
  local self = setmetatable({}, class)
  local ok, failure = pcall(function()
    self.directory = assert(disk:directory "store")
    self:load()
  end)
  if not ok then return nil, failure, "io" end
  return self
end

--- A class that inherits from this one.
function log.class()
  local class = setmetatable({}, log)
  class.__index = class
  return class
end

-- ---- Writing --------------------------------------------------------------------------------

-- A new segment is durable, name and all, before anything is written to it.
local function begin_segment(self)
  self.last = self.last + 1
  self.active = self.last
  self.handles[self.active] = assert(self.directory:create(log.name_of(self.active)))
  assert(self.directory:sync())
end

local function write(self, key, value)
  if not self.active then begin_segment(self) end
  local file = self.handles[self.active]
  local record = log.encode(key, value)
  local offset, message, code = file:append(record)
  if not offset then return nil, message, code end
  self.keydir[key] = value and { id = self.active, offset = offset, size = #record } or nil
  if file:size() >= segment_size then self:seal() end
  return true
end

function log:put(key, value) return write(self, key, value) end

function log:delete(key)
  if not self.keydir[key] then return false end
  return write(self, key, false)
end

function log:sync() return not self.active or self.handles[self.active]:sync() end

--- End the active segment. What is sealed is durable, so that nothing newer ever is alone.
function log:seal()
  if not self.active then return false end
  assert(self:sync())
  local id = self.active
  self.active = nil
  return id
end

function log:close()
  assert(self:sync())
  for _, file in pairs(self.handles) do
    file:close()
  end
  self.handles = {}
  return true
end

-- ---- Reading ----------------------------------------------------------------------------------

--- The file of a segment, open.
function log:file_of(id)
  local file = self.handles[id]
  if not file then return nil, log.name_of(id) .. ": no handle leads to it", "io" end
  return file
end

--- The value at a place; nil, message, code where it cannot be read.
function log:read(place)
  local file, why, kind = self:file_of(place.id)
  if not file then return nil, why, kind end
  local bytes, message, code = file:read(place.offset, place.size)
  if not bytes then return nil, message, code end
  local _, value = decode(bytes, 0)
  return value
end

function log:get(key)
  local place = self.keydir[key]
  if not place then return nil end
  return self:read(place)
end

function log:count()
  local count = 0
  for _ in pairs(self.keydir) do
    count = count + 1
  end
  return count
end

--- Every pair as it is now, whatever is written meanwhile.
function log:pairs()
  local places, keys = {}, {}
  for key, place in pairs(self.keydir) do
    keys[#keys + 1], places[key] = key, place
  end
  table.sort(keys)
  local i = 0
  return function()
    i = i + 1
    local key = keys[i]
    if key then return key, assert(self:read(places[key])) end
  end
end

-- ---- Merging: for those who inherit ------------------------------------------------------------

--- What a merge does, in steps.
---@param pause fun() is called between them
function log.steps(_, pause) pause() end

--- Merge step by step, as bitcask's db:merging does.
function log:merging()
  return coroutine.wrap(function()
    self:steps(function() coroutine.yield(true) end)
  end)
end

--- Merge, and wait.
function log:merge()
  self:steps(function() end)
  return true
end

return log
