--- What must hold of a store whose process died, whenever that was.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local history = require "spec.support.history"
local tidy = require "spec.support.tidy"

local recovered = {}

local function match(found, allowed)
  if type(allowed) == "function" then return allowed(found) end
  local difference
  for _, model in ipairs(allowed) do
    local this = history.difference(found, model)
    if not this then return model end
    difference = difference or this
  end
  error(difference, 0)
end

-- A store that was being made when its process died is not there yet.
local function look(directory, options)
  local db <close>, message, code = bitcask.open(directory, options)
  if code == "notfound" then return {} end
  return contents.of(assert(db, message))
end

local function must_be_same(directory, expected, when)
  local difference = history.difference(look(directory), expected)
  assert(not difference, difference and when .. ": " .. difference)
end

--- Look at the store in every way. It must hold one of the `allowed` tables, or what the
-- function `allowed(found)` raises no error at and returns: that is returned, with the
-- version of a write that was made to see that it can be.
function recovered.check(directory, allowed, options)
  local seen = look(directory, { readonly = true })
  local model = history.copy(match(seen, allowed))
  must_be_same(directory, model, "opened for writing")
  must_be_same(directory, model, "opened again")
  local version
  do
    local db = assert(bitcask.open(directory, options))
    version = assert(db:put("a new write", "works"))
    model["a new write"] = "works"
    tidy.close(db, directory)
  end
  must_be_same(directory, model, "after a write")
  do
    local db = assert(bitcask.open(directory, options))
    assert(db:seal() ~= nil)
    assert(db:merge())
    contents.check(db, model)
    tidy.close(db, directory)
  end
  must_be_same(directory, model, "after a merge")
  return model, version
end

return recovered
