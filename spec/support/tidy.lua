--- Whether the directory of a store holds the files of the store and no others.

local scratch = require "spec.support.scratch"

local tidy = {}

--- The names that a closed store should have, from what it says of itself while open.
local function expected_names(db)
  local names, hints = { CURRENT = true, LOCK = true }, {}
  local description = assert(db:segments())
  for _, segment in ipairs(description.segments) do
    names[("%06d.seg"):format(segment.id)] = true
    hints[("%06d.hint"):format(segment.id)] = true
  end
  if description.active then
    names[("%06d.seg"):format(description.active.id)] = true
  end
  return names, hints
end

--- Close the store and raise unless its files are those it had named, and the one manifest.
function tidy.close(db, directory)
  local names, hints = expected_names(db)
  assert(db:close())
  local manifests = 0
  for _, name in ipairs(scratch.files(directory)) do
    if name:find "^MANIFEST%-%d+$" then
      manifests = manifests + 1
    elseif not name:find "^RESERVE" and name ~= "KEYDIR" then
      assert(names[name] or hints[name], "left over: " .. name)
      names[name] = nil
    end
  end
  assert(next(names) == nil, "missing: " .. tostring(next(names)))
  assert(manifests == 1, "manifests: " .. manifests)
end

return tidy
