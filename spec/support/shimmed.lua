--- Programs that run with the shim before the C library.

local child = require "spec.support.child"
local tools = require "spec.support.tools"

local shimmed = {}

--- Run a command, for at most two minutes: what it says.
function shimmed.run(command)
  local pipe = assert(io.popen("timeout -s KILL 120 " .. command .. " 2>&1"))
  local output = pipe:read "a"
  pipe:close()
  return output
end

--- Run `code` as spec.support.child does: what it says; or nil and why it cannot be run.
function shimmed.output(code)
  for _, module in ipairs { "spec.shim", "spec.process" } do
    local path, message = tools.module(module)
    if not path then return nil, message end
  end
  local command = tools.preloaded(child.command(code)):gsub("'", "'\\''")
  return shimmed.run("sh -c '" .. command .. "'")
end

return shimmed
