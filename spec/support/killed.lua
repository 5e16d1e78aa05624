--- Stores whose process was killed.

local child = require "spec.support.child"

local killed = {}

local preamble = [[
  local function die()
    local stat <close> = io.open "/proc/self/stat"
    os.execute("kill -9 " .. stat:read "n")
    while true do end
  end
]]

--- Run `code`, with the arguments after it as `...`, in a process of its own that kills
-- itself at its end, or where the code calls `die()`.
function killed.run(code, ...)
  local output, status = child.run(preamble .. "do " .. code .. "\nend die()", ...)
  assert(status == 137, output)
end

--- A store in `directory`, of 1024 byte segments, in which so many keys were put, some twice,
-- and deleted, by a process that is dead. What was put stands in sealed segments, what was
-- deleted in one that is not, unless it is much. Its contents.
function killed.store(directory, count)
  killed.run([[
    local directory, count = ...
    local db = assert(bitcask.open(directory, { segment_size = 1024 }))
    for i = 1, count do assert(db:put("k" .. i, "old " .. ("x"):rep(i % 50))) end
    for i = 1, count, 2 do assert(db:put("k" .. i, ("new %d "):format(i) .. ("y"):rep(50))) end
    assert(db:seal()) -- else the last full ones may not be sealed yet
    for i = 1, count, 5 do assert(db:delete("k" .. i)) end
  ]], directory, count)
  local model = {}
  for i = 1, count do
    model["k" .. i] = i % 2 == 1 and ("new %d "):format(i) .. ("y"):rep(50)
      or "old " .. ("x"):rep(i % 50)
    if i % 5 == 1 then model["k" .. i] = nil end
  end
  return model
end

return killed
