--- Directories for specs, removed again: `after_each(scratch.clean)`.

local lfs = require "lfs"

local scratch = {}

local root = os.getenv "TMPDIR" or "/tmp"
local made, count = {}, 0

local function remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then remove(path .. "/" .. name) end
    end
    lfs.rmdir(path)
  else
    os.remove(path)
  end
end

--- A path below `directory` at which nothing is, and at which no other process will make
-- anything.
function scratch.unused(directory)
  local name = os.tmpname() -- makes a file of a name that nobody else has
  os.remove(name)
  count = count + 1
  return ("%s/bitcask-spec-%s-%d"):format(directory, name:match "[^/_]*$", count)
end

--- A path at which nothing is yet.
function scratch.path()
  local path = scratch.unused(root)
  made[#made + 1] = path
  return path
end

--- A new directory.
function scratch.directory()
  local path = scratch.path()
  assert(lfs.mkdir(path))
  return path
end

--- Remove everything that was made here.
function scratch.clean()
  collectgarbage() -- stores that specs left open
  for i = #made, 1, -1 do
    remove(made[i])
    made[i] = nil
  end
end

scratch.remove = remove

--- The names of the files in a directory, sorted; those that match the pattern, if given.
function scratch.files(directory, pattern)
  local names = {}
  for name in lfs.dir(directory) do
    local is_file = lfs.attributes(directory .. "/" .. name, "mode") == "file"
    if is_file and name:find(pattern or "") then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

function scratch.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

function scratch.write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
end

--- Copy the files of one directory into a new one, and return it.
function scratch.copy(directory)
  local copy = scratch.directory()
  for _, name in ipairs(scratch.files(directory)) do
    scratch.write(copy .. "/" .. name, scratch.read(directory .. "/" .. name))
  end
  return copy
end

--- Flip a bit in the only place in the directory's files where `text` stands, and return
-- the file's name and the place.
function scratch.damage(directory, text)
  local found
  for _, name in ipairs(scratch.files(directory)) do
    local path = directory .. "/" .. name
    local bytes = scratch.read(path)
    local at = bytes:find(text, 1, true)
    if at then
      assert(not found, "it stands in more than one place")
      found = { name = name, at = at }
      -- In place, for a store that has the file open.
      local file <close> = assert(io.open(path, "r+b"))
      assert(file:seek("set", at - 1))
      assert(file:write(string.char(text:byte(1) ~ 0x10)))
    end
  end
  assert(found, "it stands nowhere")
  return found.name, found.at
end

--- Bytes of all files in the directory whose names match the pattern.
function scratch.size(directory, pattern)
  local bytes = 0
  for _, name in ipairs(scratch.files(directory, pattern)) do
    -- Files come and go in the background: one that is gone by now has no size.
    bytes = bytes + (lfs.attributes(directory .. "/" .. name, "size") or 0)
  end
  return bytes
end

--- File descriptors of this process that lead into a directory, or all.
function scratch.descriptors(directory)
  local open = {}
  local pipe <close> = io.popen("ls -l /proc/" .. scratch.process_id() .. "/fd 2>/dev/null")
  for line in pipe:lines() do
    local target = line:match "%-> (.*)$"
    if target and target:find(directory or "", 1, true) then open[#open + 1] = target end
  end
  return open
end

function scratch.process_id()
  local file <close> = assert(io.open("/proc/self/stat", "rb"))
  return file:read "n"
end

return scratch
