--- A merge in small steps, with the spec's own work between them.

local core = require "bitcask.core"

local steps = {}

--- Merge the segments `ids` (nil: all with anything to drop), so many bytes at a time, and
-- call `between()` before the first step and after each; after the last one with true.
function steps.merge(db, ids, size, between)
  local merge <close> = assert(core.merge.open(db, ids, 0))
  between(false)
  while true do
    local finished, message = merge:step(size)
    assert(finished ~= nil, message)
    between(finished)
    if finished then return merge:report() end
  end
end

return steps
