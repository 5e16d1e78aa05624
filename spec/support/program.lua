--- A spec that runs a program which needs the C module spec.process: with `process`, `contents`
--- and `history` for it, and a path on the RAM disk as its argument. It prints "ok", or what
--- `check` expects.

local assert = require "luassert"
local busted = require "busted"
local child = require "spec.support.child"
local ramdisk = require "spec.support.ramdisk"
local shimmed = require "spec.support.shimmed"
local tools = require "spec.support.tools"

return function(name, code, check)
  busted.it(name, function()
    local found, message = tools.module "spec.process"
    if not found then
      busted.pending(message)
      return
    end
    local output = shimmed.run(child.command([[
      local process = require "spec.process"
      local contents = require "spec.support.contents"
      local history = require "spec.support.history"
    ]] .. code, ramdisk.path()))
    if check then
      check(output)
    else
      assert.equals("ok\n", output)
    end
  end)
end
