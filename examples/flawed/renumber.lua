--- Delete before the switch: a merge whose output gets a number of its own, behind all others,
-- so that the active segment has to be renumbered to stay the newest; then the old files are
-- removed, and at last the keydir learns where everything is now.
--
-- There are moments at which the output is newer than the active segment, at which old and
-- merged files are there side by side, and at which the keydir leads to files that are gone.
-- And a key that is written meanwhile gets its old value back at the end.

local log = require "examples.flawed.log"

local renumber = log.class()

-- No handle can be closed too early here: files are opened when they are read.
function renumber:file_of(id) return self.directory:open(log.name_of(id)) end

-- Copy what is live in the sealed segments; the key of each, and where it stands now.
local function write_output(self, id, sealed, pause)
  local file = assert(self.directory:create "merged.tmp")
  local moved = {}
  for key, value in self:pairs() do
    if sealed[self.keydir[key].id] then
      local record = log.encode(key, value)
      moved[key] = { id = id, offset = assert(file:append(record)), size = #record }
      pause()
    end
  end
  assert(file:sync())
  return file, moved
end

-- Let the active segment, and everything in it, have a higher number than the output.
local function renumber_active(self, id)
  local old = self.active
  if not old or old > id then return end
  assert(self.directory:rename(log.name_of(old), log.name_of(id)))
  self.handles[id], self.handles[old] = self.handles[old], nil
  self.active = id
  for key, place in pairs(self.keydir) do
    if place.id == old then
      self.keydir[key] = { id = id, offset = place.offset, size = place.size }
    end
  end
end

local function sealed_segments(self)
  local sealed, ids = {}, {}
  for _, id in ipairs(self:ids()) do
    if id ~= self.active then
      sealed[id], ids[#ids + 1] = true, id
    end
  end
  return sealed, ids
end

function renumber:steps(pause)
  local sealed, ids = sealed_segments(self)
  local output, active = self.last + 1, self.last + 2
  self.last = active
  local file, moved = write_output(self, output, sealed, pause)
  -- Two phases, and a moment between them.
  assert(self.directory:rename("merged.tmp", log.name_of(output)))
  pause()
  renumber_active(self, active)
  assert(self.directory:sync())
  pause()
  for _, id in ipairs(ids) do
    assert(self.directory:remove(log.name_of(id)))
    pause()
  end
  assert(self.directory:sync())
  -- Whatever was written to these keys meanwhile.
  self.handles[output] = file
  for key, place in pairs(moved) do
    self.keydir[key] = place
  end
end

function renumber:load()
  for _, name in ipairs(assert(self.directory:list())) do
    if name == "merged.tmp" then assert(self.directory:remove(name)) end
  end
  log.load(self)
end

--- Open such a store, as a story's `open`.
---@param disk bitcask.sim.disk
function renumber.open(disk) return log.open(renumber, disk) end

return renumber
