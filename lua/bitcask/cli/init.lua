--- The command line: which commands there are, and what every one of them has in common.
--
-- A command is a module `bitcask.cli.<name>` that returns `{name =, summary =, define =, run =}`:
-- `define(parser)` adds its arguments to a parser of argparse, `run(arguments, console)` does it,
-- and returns true, or nil and what went wrong. To add one: a file, and its name below.
--
-- Exit status: 0; 1 when it failed; 2 when it was called wrongly.

local cli = {}

local commands = { "policy" }

local function load_argparse()
  local ok, argparse = pcall(require, "argparse")
  if ok then return argparse end
  return nil, "argparse is missing: apt-get install lua-argparse, or luarocks install argparse"
end

--- Where a command speaks to: results, and everything else.
---@class bitcask.console
local function new_console(output, messages)
  local console = {}

  --- Print a line of the result.
  function console.print(text) output:write(text, "\n") end

  --- Say what is being done, to a person.
  function console.say(text) messages:write(text, "\n") end

  return console
end

local function new_parser(argparse)
  local parser = argparse("bitcask", "A key/value store that loses nothing.")
  parser:require_command(true)
  parser:command_target("command")
  local by_name = {}
  for _, name in ipairs(commands) do
    local command = require("bitcask.cli." .. name)
    by_name[name] = command
    command.define(parser:command(name, command.summary))
  end
  return parser, by_name
end

--- Run a command.
---@param arguments string[] as the shell gave them
---@param output? file* where results go; standard output when left out
---@param messages? file* where everything else goes; standard error
---@return integer status 0, 1 (it failed), 2 (it was called wrongly)
function cli.main(arguments, output, messages)
  output, messages = output or io.stdout, messages or io.stderr
  local argparse, missing = load_argparse()
  if not argparse then
    messages:write("bitcask: ", missing, "\n")
    return 1
  end
  local parser, by_name = new_parser(argparse)
  local is_right, parsed = parser:pparse(arguments)
  if not is_right then
    messages:write("bitcask: ", parsed, "\n", parser:get_usage(), "\n")
    return 2
  end
  local ok, message, code = by_name[parsed.command].run(parsed, new_console(output, messages))
  if ok then return 0 end
  messages:write("bitcask: ", message, "\n")
  return code == "usage" and 2 or 1
end

return cli
