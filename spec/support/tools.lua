--- What the machine may or may not have, and how to use it.

local tools = {}

local function succeeds(command)
  return (os.execute("( " .. command .. " ) >/dev/null 2>&1")) == true
end

local known = {}

local function once(name, ask)
  if known[name] == nil then known[name] = ask() end
  return known[name]
end

--- Whether strace is there and allowed to trace.
function tools.has_strace()
  return once("strace", function()
    return succeeds "strace -f -o /dev/null -e trace=fsync -e inject=fsync:error=EIO true"
  end)
end

--- Whether a small file system of one's own can be mounted: as root, or in a user namespace.
function tools.has_mount()
  return tools.mounting "true" ~= nil
end

--- A command that runs another in a place where it may mount, or nil.
function tools.mounting(command)
  local prefix = once("mounting", function()
    for _, way in ipairs { "unshare -m", "unshare -Urm" } do
      if succeeds(way .. " mount -t tmpfs -o size=64k none /mnt") then return way end
    end
    return false
  end)
  return prefix and ("%s sh -c '%s'"):format(prefix, command:gsub("'", "'\\''")) or nil
end

--- The file of a C module of the specs, or nil and what to do about it.
function tools.module(name)
  local path = package.searchpath(name, package.cpath)
  if path then return path end
  return nil, name .. " is not built: make crash-tools"
end

--- A command with the shim before the C library.
function tools.preloaded(command)
  local path = assert(tools.module "spec.shim")
  if path:sub(1, 1) ~= "/" then
    path = require "lfs".currentdir() .. "/" .. path
  end
  return ('LD_PRELOAD="%s${LD_PRELOAD:+:$LD_PRELOAD}" %s'):format(path, command)
end

return tools
