--- A small story of a small store, which specs change until something is wrong with it.

local log = require "examples.flawed.log"

--- A story of the log of examples/flawed, with what `change` does to its class.
---@param change? fun(class: table) overrides methods
---@param parts? table parts of the story that are otherwise
---@return table story as bitcask.scenario takes it
local function story_of(change, parts)
  local class = log.class()
  if change then change(class) end
  local story = {
    name = "a story",
    open = function(disk) return log.open(class, disk) end,
    given = function(db)
      assert(db:put("ada", "1815"))
      assert(db:put("alan", "1912"))
    end,
    doing = function(db)
      assert(db:put("ada", "1815-1852"))
      assert(db:delete "alan")
      assert(db:sync())
      assert(db:put("grace", "1906"))
    end,
  }
  for name, part in pairs(parts or {}) do
    story[name] = part
  end
  return story
end

return story_of
