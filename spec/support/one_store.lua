--- A store of the file's own: `the.path` is where it is to be, `the.db` its handle once `open`
--- was called. A file says `before_each(the.begin)` and `after_each(the.finish)`, so that each
--- spec has one of its own. What fails raises.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local scratch = require "spec.support.scratch"

local the = {}

--- Before a spec: a path at which nothing is.
function the.begin()
  the.path = scratch.path()
end

--- After a spec: the store is closed, and gone.
function the.finish()
  if the.db then the.db:close() end
  the.db = nil
  scratch.clean()
end

--- Open the store, with options. Returns its handle.
function the.open(options)
  the.db = assert(bitcask.open(the.path, options))
  return the.db
end

--- Close and open it.
function the.restart(options)
  assert(the.db:close())
  return the.open(options)
end

function the.put(key, value)
  return assert(the.db:put(key, value))
end

function the.delete(key)
  local version, message = the.db:delete(key)
  assert(version ~= nil, message)
  return version
end

--- Returns the id of the segment that was active, or false.
function the.seal()
  local id, message = the.db:seal()
  assert(id ~= nil, message)
  return id
end

--- Put the pair into a segment of its own. Returns that one's id.
function the.put_alone(key, value)
  the.put(key, value)
  return the.seal()
end

--- The same for the tombstone of a key.
function the.delete_alone(key)
  the.delete(key)
  return the.seal()
end

--- Merge all sealed segments.
function the.merge_all()
  return assert(the.db:merge(contents.sealed(the.db)))
end

return the
