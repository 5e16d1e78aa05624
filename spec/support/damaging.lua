--- Files of a store, as tables from name to bytes, to be damaged; and what a store tells of it.

local bitcask = require "bitcask"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"

local damaging = {}

--- The files with one of them changed, or added.
function damaging.with(files, name, bytes)
  local changed = {}
  for other, content in pairs(files) do
    changed[other] = content
  end
  changed[name] = bytes
  return changed
end

--- The files but those whose names match.
function damaging.without(files, pattern)
  local rest = {}
  for name, content in pairs(files) do
    if not name:find(pattern) then rest[name] = content end
  end
  return rest
end

--- The names of the files that match, sorted.
function damaging.sorted(files, pattern)
  local names = {}
  for name in pairs(files) do
    if name:find(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- The name and the bytes of the segment that a process that died was writing to.
function damaging.active_of(files)
  local name
  local directory = ramdisk.with(files)
  do
    local db <close> = assert(bitcask.open(directory, { readonly = true }))
    name = ("%06d.seg"):format(db:stat("last").segment)
  end
  scratch.remove(directory)
  return name, files[name]
end

--- Open the store, its events added to the list.
function damaging.open_listening(directory, events, options)
  options = options or {}
  function options.on_event(event)
    events[#events + 1] = event
  end
  return bitcask.open(directory, options)
end

--- How many of the events are of a kind.
function damaging.count_of(events, kind)
  local count = 0
  for _, event in ipairs(events) do
    if event.kind == kind then count = count + 1 end
  end
  return count
end

--- What the recovery told of itself.
function damaging.recovered_event(events)
  for _, event in ipairs(events) do
    if event.kind == "recovered" then return event end
  end
end

return damaging
