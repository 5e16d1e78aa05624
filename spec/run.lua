-- Runs the specs: `lua5.4 spec/run.lua`, with busted's own arguments behind it. (Debian's
-- busted runs under another Lua; this runs under the one that it was started with.)
--
-- Several files run on several processes, JOBS=n of them, or as many as there are processors;
-- one file, or whatever asks busted for another kind of output, runs in this process.

package.path = "./?.lua;" .. package.path
local parallel = require "spec.support.parallel"

local plan = parallel.plan(arg, tonumber(os.getenv "JOBS"))
if plan then os.exit(parallel.run(plan) and 0 or 1, true) end

table.insert(arg, 1, "--ignore-lua") -- it would start the interpreter that .busted names
require "busted.runner" { standalone = false }
