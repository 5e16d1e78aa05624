--- Merging inside cqueues, one coroutine among others.
--
--   lua5.4 examples/merging_cqueues.lua [DIR]
--
-- DIR   where the store is made; a temporary one otherwise
--
-- One coroutine merges in bounded steps and lets the others run between them, and rests as long
-- as its rate asks for; two others write and read meanwhile. Exit status: 0 when every value is
-- what it should be, 1 when one is not, 2 without cqueues.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/../lua/?.lua;%s/../lua/?/init.lua;"):format(here, here) .. package.path
package.cpath = ("%s/../build/?.so;"):format(here) .. package.cpath

local is_there, cqueues = pcall(require, "cqueues")
if not is_there then
  io.stderr:write "merging_cqueues: needs cqueues (Debian: lua-cqueues)\n"
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

local loop = cqueues.new()
local report
local turns, written, wrong = 0, 0, 0

loop:wrap(function()
  for p in db:merging { step = 64 * 1024, rate = 2 ^ 27, reason = "an example" } do
    turns = turns + 1
    report = p.report or report
    cqueues.sleep(p.delay) -- of 0 seconds: the others have their turn
  end
end)

for worker = 1, 2 do
  loop:wrap(function()
    while not report do
      written = written + 1
      local key, value = "key" .. written % 4000, ("by %d: %d"):format(worker, written)
      assert(db:put(key, value))
      if db:get(key) ~= value then wrong = wrong + 1 end
      cqueues.sleep(0)
    end
  end)
end

assert(loop:loop())
print(("merged %d segments into %d in %d turns; %d writes meanwhile"):format(
  report.segments_in, report.segments_out, turns, written))
if db:count() ~= 4000 or wrong > 0 then
  io.stderr:write "merging_cqueues: a value is not what it should be\n"
  os.exit(1, true)
end
