-- See spec/threads/failed_flush.c.

local bitcask = require "bitcask"
local scratch = require "spec.support.scratch"
local sim = require "bitcask.sim"

local BUILD = os.getenv "B" or "build"

describe("a flush that fails while another thread waits to flush", function()
  after_each(scratch.clean)

  for _, sync in ipairs { "none", "always" } do
    it("is tried again by nobody, and nothing is said to be durable: sync = " .. sync, function()
      local program = ("%s/spec/failed_flush '%s' %s"):format(BUILD, scratch.path(), sync)
      local pipe <close> = assert(io.popen(program .. " 2>&1"))
      assert.equals("io stopped 0\n", pipe:read "a")
    end)
  end
end)

-- What a process wrote without a flush, and left to an open whose own flush fails.
describe("an open that cannot flush what a dead process has written", function()
  local function killed()
    local disk = sim.disk()
    local db = assert(bitcask.open("/store", { disk = disk, sync = "none" }))
    for i = 1, 20 do
      assert(db:put("k" .. i, "v" .. i))
    end
    return assert(disk:kill())
  end

  it("fails, and what the next one says is durable survives a power cut", function()
    local left = killed()
    left:fail { op = "sync", file = ".seg" }
    local refused, message, code = bitcask.open("/store", { disk = left })
    assert(refused == nil and code == "io", message)
    local db = assert(bitcask.open("/store", { disk = left }))
    assert(db:sync())
    local states = 0
    for survivor, name in left:crash_states { limit = 200 } do
      local after <close> = assert(bitcask.open("/store", { disk = survivor }))
      for i = 1, 20 do
        assert(after:get("k" .. i) == "v" .. i, "k" .. i .. " is lost in " .. name)
      end
      states = states + 1
    end
    assert.is_true(states > 0)
    db:close()
  end)
end)
