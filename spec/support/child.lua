--- Lua programs in processes of their own, under the interpreter that runs the specs.

local scratch = require "spec.support.scratch"

local child = {}

local function interpreter()
  local lowest = 0
  while arg and arg[lowest - 1] do
    lowest = lowest - 1
  end
  return lowest < 0 and arg[lowest] or "lua5.4"
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local preamble = [[
package.path, package.cpath = %q, %q
local bitcask = require "bitcask"
local options = require "bitcask.options"
local default_policy = options.open.policy.default
options.open.policy.default = false
]]

--- A shell command that runs `code` with the arguments after it as `...`; in the code,
-- `bitcask` is the module. As in the specs, stores merge by themselves only where they are given
-- a policy; `options.open.policy.default = default_policy` has it as it is for everybody else.
function child.command(code, ...)
  local path = scratch.path()
  scratch.write(path, preamble:format(package.path, package.cpath) .. code)
  local words = { quote(interpreter()), quote(path) }
  for i = 1, select("#", ...) do
    words[#words + 1] = quote(tostring((select(i, ...))))
  end
  return table.concat(words, " ")
end

-- Longer than anything takes here, seconds: what runs on after that waits for ever.
local limit = 60

--- Run `code` to its end.
---@return string output of both streams
---@return integer status the exit status, or 128 and the signal; 124 where it did not end
function child.run(code, ...)
  local command = ("timeout %d "):format(limit) .. child.command(code, ...) .. " 2>&1"
  local pipe = assert(io.popen(command))
  local output = pipe:read "a"
  local _, how, status = pipe:close()
  return output, how == "signal" and 128 + status or status
end

--- Start `code` and leave it running: a pipe to its standard input. It ends when the pipe is
-- closed, if it reads until then.
function child.start(code, ...)
  return assert(io.popen(child.command(code, ...), "w"))
end

return child
