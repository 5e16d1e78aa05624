-- Who writes waits for no flush: all of them are held here until the writes are done.

local scratch = require "spec.support.scratch"
local shimmed = require "spec.support.shimmed"

local preparation <const> = [[
  local bitcask = require "bitcask"
  local eventually = require "spec.support.eventually"
  local shim = require "spec.shim"
  local MIB = 1 << 20
  local value = ("v"):rep(MIB // 8)
  local path = %q
  local written, asked = 0, 4 * MIB
  local db = assert(bitcask.open(path,
    { segment_size = 64 * MIB, policy = function() return { seal = asked } end }))
  assert(db:put("first", value))
  assert(db:seal()) -- so it is asked, and says so
  assert(db:put("second", value))
  local function put(mebibytes)
    for _ = 1, mebibytes * 8 do
      written = written + 1
      assert(db:put("k" .. written, value .. written))
    end
  end
  local function hold()
    shim.arm { calls = "fdatasync,fsync", at = 1, times = -1, hold = true }
  end
  local function count_sealed() return #db:segments().segments end
  local function check()
    for i = 1, written do assert(db:get("k" .. i) == value .. i) end
    assert(db:get "first" == value)
  end
]]

local function told(code)
  local output, message = shimmed.output(preparation:format(scratch.path()) .. code)
  if not output then
    pending(message)
    return
  end
  return output
end

describe("the active segment", function()
  after_each(scratch.clean)

  it("goes on beyond the size that a policy has asked for, while the next one is made", function()
    local output = told [[
      hold()
      put(12)
      io.write(count_sealed(), " ")
      check()
      shim.disarm()
      eventually(function() put(1) return count_sealed() >= 3 end, "the next segments")
      check()
      assert(db:close())
      db = assert(bitcask.open(path, { policy = false }))
      check()
      assert(db:close())
      io.write "all there"
    ]]
    assert.equal("1 all there", output)
  end)

  it("goes on, too, when it is beyond that size by the time that it is asked for", function()
    local output = told [[
      asked = 64 * MIB
      assert(db:seal())
      assert(db:put("third", value))
      put(7)
      asked = 4 * MIB
      assert(#assert(db:maintain()) == 0)
      hold()
      put(4)
      io.write(count_sealed(), " ")
      check()
      shim.disarm()
      eventually(function() put(1) return count_sealed() >= 4 end, "the next segments")
      check()
      io.write "all there"
    ]]
    assert.equal("2 all there", output)
  end)

  it("becomes full, and the next one takes writes, while others are made durable", function()
    local output = told [[
      put(3)
      eventually(function() return io.open(path .. "/000003.seg") ~= nil end, "the next segment")
      eventually(function() put(1) return count_sealed() == 2 end, "a full segment")
      hold()
      put(10)
      check()
      shim.disarm()
      eventually(function() put(1) return count_sealed() >= 4 end, "the next segments")
      assert(db:merge())
      check()
      assert(db:close())
      io.write "all there"
    ]]
    assert.equal("all there", output)
  end)

  it("is followed by no more than a manifest can have open, whatever becomes of those before it",
    function()
      local output = told [[
        put(3)
        eventually(function() put(1) return count_sealed() >= 2 end, "a full segment")
        shim.arm { calls = "ftruncate", at = 1, times = -1, error = "EIO" } -- so none is settled
        local ok, message, code = true, nil, nil
        while ok do -- at last there are too many bytes, too
          ok, message, code = db:put("k" .. written + 1, value .. written + 1)
          if ok then written = written + 1 end
        end
        shim.disarm()
        check()
        io.write(code, message:find "Input/output error" and "; " or message)
        eventually(function() return db:put("after", "all") end, "room")
        check()
        assert(db:close())
        db = assert(bitcask.open(path, { policy = false }))
        check()
        io.write "all there"
      ]]
      assert.equal("io; all there", output)
    end)
end)
