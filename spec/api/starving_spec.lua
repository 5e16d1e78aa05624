-- Lua that runs out of memory inside any call, at every allocation in turn: the call raises, the
-- store is what it was before or after the call, no lock stays taken, and once there is memory
-- again it goes on, merges, closes and opens.

local tally = require "spec.support.tally"
local tools = require "spec.support.tools"

teardown(tally.report)

local before = ([[
package.path, package.cpath = %q, %q
bitcask = require "bitcask"
contents = require "spec.support.contents"
history = require "spec.support.history"
disk = bitcask.sim.disk {}
db = assert(bitcask.open("store", { disk = disk, segment_size = 512 }))
for i = 1, 12 do assert(db:put("k" .. i %% 8, ("v%%d "):format(i):rep(10))) end
assert(db:delete "k3")
assert(db:seal() ~= nil)
assert(db:put("k4", "in the active one"))
old = contents.of(db)
new = history.copy(old)
]]):format(package.path, package.cpath)

local after = [[
collectgarbage()
if bitcask.type(db) ~= "store" then
  db = assert(bitcask.open("store", { disk = disk, segment_size = 512 }))
end
local function check(found, when)
  local difference = history.difference(found, old) and history.difference(found, new)
  assert(not difference, difference and when .. ": " .. difference)
end
check(contents.of(db), "with memory again")
assert(db:put("after", "v"))
old.after, new.after = "v", "v"
assert(db:seal() ~= nil)
assert(db:merge())
check(contents.of(db), "merged")
local stats = db:stats()
assert(stats.snapshots == 0 and stats.pinned_segments == 0, "something is still held")
assert(db:close())
local again <close> = assert(bitcask.open("store", { disk = disk }))
check(contents.of(again), "opened again")
]]

local bodies = {
  ["a put"] = [[new.k1 = "w" assert(db:put("k1", "w"))]],
  ["a put with options"] = [[new.new = "w" assert(db:put("new", "w", { if_absent = true }))]],
  ["a delete"] = [[new.k1 = nil assert(db:delete "k1")]],
  ["look-ups"] = [[
    for i = 0, 8 do db:get("k" .. i) db:has("k" .. i) db:stat("k" .. i) end
    assert(db:get_many { "k1", "k2", "k4", "none" })
  ]],
  ["a batch"] = [[
    new.k1, new.k2, new.k9 = "b", nil, "b"
    local batch <close> = db:batch()
    batch:put("k1", "b"):delete("k2"):put("k9", "b")
    assert(batch:commit())
  ]],
  ["a transaction"] = [[
    new.k1 = old.k1 .. "+"
    assert(db:transaction(function(tx) tx:put("k1", tx:get "k1" .. "+") end))
  ]],
  ["an iteration"] = [[for _ in db:pairs() do end for _ in db:keys { prefix = "k" } do end]],
  ["an iteration that is left"] = [[for _ in db:pairs() do break end]],
  ["a snapshot"] = [[
    local snapshot <close> = assert(db:snapshot())
    snapshot:get "k1"
    for _ in snapshot:pairs() do end
  ]],
  ["changes"] = [[for _ in assert(db:changes(assert(db:stat "k4").version - 1)) do end]],
  ["a merge"] = [[assert(db:merge())]],
  ["a merge in steps"] = [[for _ in db:merging { step = 100 } do end]],
  ["a merge on a thread"] = [[
    local job <close> = assert(db:merge_async())
    assert(job:wait())
  ]],
  ["figures"] = [[db:stats() db:segments() tostring(db) assert(db:count())]],
  ["a seal, a sync"] = [[new.k1 = "w" assert(db:put("k1", "w")) db:seal() assert(db:sync())]],
  ["a second handle"] = [[
    local other <close> = assert(bitcask.open("store", { disk = disk }))
    assert(other:get "k1")
  ]],
  ["closing and opening"] = [[
    assert(db:close())
    db = assert(bitcask.open("store", { disk = disk, segment_size = 512 }))
  ]],
}

describe("Lua that runs out of memory in", function()
  local names = {}
  for name in pairs(bodies) do
    names[#names + 1] = name
  end
  table.sort(names)

  for _, name in ipairs(names) do
    it(name, function()
      local path, missing = tools.module "spec.starved"
      if not path then return pending(missing) end
      local starved = require "spec.starved"
      local n = 0
      repeat
        n = n + 1
        local ok, hungry, message = pcall(starved.run, before, bodies[name], after, n)
        assert(ok, ("at allocation %d: %s"):format(n, tostring(hungry)))
        if message then assert.matches("memory", message, nil, ("at allocation %d"):format(n)) end
      until not hungry -- a put needs none from the beginning
      tally.add("starved_calls", n - 1)
    end)
  end
end)
