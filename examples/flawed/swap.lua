--- Delete, then rename: a merge that writes everything anew beside the store, closes the store,
-- removes its files, and gives the new ones their names. Several well-read stores do so.
--
-- Between the last removal and the last rename the data have no name that recovery knows; a
-- crash there loses them for good, and no flush can help. Meanwhile nobody can read or write.

local log = require "examples.flawed.log"

local swap = log.class()

local output_size = 256

local function output_name(i) return ("merged-%06d.tmp"):format(i) end

-- What a merge that did not end has left is of no use to anybody, or so it seems.
local function sweep(self)
  for _, name in ipairs(assert(self.directory:list())) do
    if name:find "^merged%-" then assert(self.directory:remove(name)) end
  end
end

function swap:load()
  sweep(self)
  log.load(self)
end

-- Write every live pair to new files; their number.
local function write_outputs(self, pause)
  local count, file = 0, nil
  for key, value in self:pairs() do
    if not file or file:size() >= output_size then
      if file then assert(file:sync()) end
      count = count + 1
      file = assert(self.directory:create(output_name(count)))
    end
    assert(file:append(log.encode(key, value)))
    pause()
  end
  if file then assert(file:sync()) end
  assert(self.directory:sync())
  return count
end

function swap:steps(pause)
  -- The active segment is merged as well, so nobody may write to it any more.
  self:seal()
  self.is_merging = true
  local count = write_outputs(self, pause)
  local old = self:ids()
  for _, file in pairs(self.handles) do
    file:close()
  end
  self.handles = {}
  pause()
  for _, id in ipairs(old) do
    assert(self.directory:remove(log.name_of(id)))
    pause()
  end
  assert(self.directory:sync())
  for i = 1, count do
    assert(self.directory:rename(output_name(i), log.name_of(i)))
    pause()
  end
  assert(self.directory:sync())
  self:load()
  self.is_merging = false
end

function swap:put(key, value)
  if self.is_merging then return nil, "the store is closed while it is merged", "busy" end
  return log.put(self, key, value)
end

function swap:delete(key)
  if self.is_merging then return nil, "the store is closed while it is merged", "busy" end
  return log.delete(self, key)
end

--- Open such a store, as a story's `open`.
---@param disk bitcask.sim.disk
function swap.open(disk) return log.open(swap, disk) end

return swap
