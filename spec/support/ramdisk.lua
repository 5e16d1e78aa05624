--- Directories like those of spec.support.scratch, but in memory where the system has such
-- a place: a flush costs nothing there, and a killed process leaves the same behind.

local lfs = require "lfs"
local scratch = require "spec.support.scratch"

local ramdisk = {}

local made = {}

local function is_usable(root)
  local probe = root .. os.tmpname():gsub("/", "-")
  if not lfs.mkdir(probe) then return false end
  return lfs.rmdir(probe) == true
end

local root = is_usable "/dev/shm" and "/dev/shm" or os.getenv "TMPDIR" or "/tmp"

--- A path at which nothing is yet.
function ramdisk.path()
  local path = scratch.unused(root)
  made[#made + 1] = path
  return path
end

--- A new directory.
function ramdisk.directory()
  local path = ramdisk.path()
  assert(lfs.mkdir(path))
  return path
end

--- The files of a directory, by name; those that match the pattern, if given. A store's
-- reserve, whose content means nothing, is left out.
function ramdisk.load(directory, pattern)
  local files = {}
  for _, name in ipairs(scratch.files(directory, pattern)) do
    if not name:find "^RESERVE" then files[name] = scratch.read(directory .. "/" .. name) end
  end
  return files
end

--- Put files, by name, into a directory.
function ramdisk.store(directory, files)
  for name, bytes in pairs(files) do
    scratch.write(directory .. "/" .. name, bytes)
  end
end

--- A new directory with these files.
function ramdisk.with(files)
  local directory = ramdisk.directory()
  ramdisk.store(directory, files)
  return directory
end

--- A copy of a directory in use: as its files are now, but without those that go meanwhile,
-- as temporary files do.
function ramdisk.copy(directory)
  local copy = ramdisk.directory()
  for _, name in ipairs(scratch.files(directory)) do
    local file <close> = io.open(directory .. "/" .. name, "rb")
    if file then scratch.write(copy .. "/" .. name, file:read "a") end
  end
  return copy
end

--- Make a directory hold just these files.
function ramdisk.reset(directory, files)
  for _, name in ipairs(scratch.files(directory)) do
    if not files[name] then os.remove(directory .. "/" .. name) end
  end
  ramdisk.store(directory, files)
end

--- Remove everything that was made here.
function ramdisk.clean()
  collectgarbage() -- stores that specs left open
  for i = #made, 1, -1 do
    scratch.remove(made[i])
    made[i] = nil
  end
end

return ramdisk
