--- Merging inside luv's event loop, in bounded steps between everything else.
--
--   lua5.4 examples/merging_luv.lua [DIR]
--
-- DIR   where the store is made; a temporary one otherwise
--
-- A timer stands for the program's own work: it writes and reads. An idle handle has the
-- coroutine of the merge do one step a turn, or rest as long as its rate asks for. Exit status:
-- 0 when every value is what it should be, 1 when one is not, 2 without luv.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/../lua/?.lua;%s/../lua/?/init.lua;"):format(here, here) .. package.path
package.cpath = ("%s/../build/?.so;"):format(here) .. package.cpath

local is_there, uv = pcall(require, "luv")
if not is_there then
  io.stderr:write "merging_luv: needs luv (Debian: lua-luv)\n"
  os.exit(2)
end
local bitcask = require "bitcask"

local directory = arg[1] or os.tmpname()
if not arg[1] then os.remove(directory) end
local db <close> = assert(bitcask.open(directory, { segment_size = 1 << 20, policy = false }))
for i = 1, 40000 do
  assert(db:put("key" .. i % 4000, ("value %d "):format(i):rep(20)))
end
assert(db:seal())

-- ---- The merge, a coroutine ------------------------------------------------------------

local report

local merge = coroutine.wrap(function()
  for p in db:merging { step = 64 * 1024, rate = 2 ^ 27, reason = "an example" } do
    report = p.report or report
    coroutine.yield(p)
  end
end)

local idle, rest = uv.new_idle(), uv.new_timer()
local turns, rests = 0, 0
local work -- the timer below

local function step()
  local p = merge()
  if not p then -- it is done: nothing keeps the loop alive
    for _, handle in ipairs { idle, rest, work } do
      handle:close()
    end
    return
  end
  turns = turns + 1
  if p.delay == 0 then return end
  rests = rests + 1
  idle:stop()
  rest:start(math.ceil(p.delay * 1000), 0, function() idle:start(step) end)
end

-- ---- The program's own work --------------------------------------------------------------

local written, wrong = 0, 0

work = uv.new_timer()
work:start(0, 1, function()
  written = written + 1
  local key = "key" .. written % 4000
  assert(db:put(key, "written meanwhile " .. written))
  if db:get(key) ~= "written meanwhile " .. written then wrong = wrong + 1 end
end)

idle:start(step)
uv.run()

print(("merged %d segments into %d in %d turns and %d rests; %d writes meanwhile"):format(
  report.segments_in, report.segments_out, turns, rests, written))
if db:count() ~= 4000 or wrong > 0 then
  io.stderr:write "merging_luv: a value is not what it should be\n"
  os.exit(1, true)
end
