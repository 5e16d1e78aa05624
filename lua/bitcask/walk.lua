--- Beginning an iteration over a store or a snapshot.

local options = require "bitcask.options"

local walk = {}

-- Raise at the caller of the method that returns with walk.begin.
local function raise_there(ok, ...)
  if ok then return ... end
  error((...), 2)
end

local function open(opener, of, opts, keys_only)
  local checked = options.check(options.iterate, opts, 3)
  local skip = checked.on_damage == "skip"
  return pcall(opener, of, checked.prefix or "", keys_only, skip)
end

--- Open an iterator; to be called as the last thing that a method does. Mistakes are raised
-- where the method was called.
---@param opener function of the core
---@param of userdata a store or a snapshot
---@param opts? table `prefix`, `on_damage`
---@param keys_only boolean
function walk.begin(opener, of, opts, keys_only)
  return raise_there(open(opener, of, opts, keys_only))
end

return walk
