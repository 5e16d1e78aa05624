-- What a failure says is what failed, not what was met while clearing up after it.

local bitcask = require "bitcask"
local sim = require "bitcask.sim"

-- A store of which a merge has much to write anew, and much to give back if it fails.
local function overwritten()
  local disk = sim.disk()
  local db = assert(bitcask.open("/store", { disk = disk, segment_size = 4096 }))
  for round = 1, 3 do
    for i = 1, 60 do
      assert(db:put("k" .. i, ("v"):rep(60) .. round))
    end
  end
  return disk, db
end

describe("a merge of which an operation fails", function()
  for _, operation in ipairs {
    { "create", ".seg" }, { "append", ".seg" }, { "sync", ".seg" }, { "finish", ".seg" },
    { "append", "MANIFEST" }, { "sync", "MANIFEST" },
  } do
    local op, file = table.unpack(operation)
    it(("names the file: %s of %s"):format(op, file), function()
      local failures = 0
      repeat
        local disk, db = overwritten()
        disk:fail { op = op, file = file, at = failures + 1 }
        local merged, message = db:merge()
        if not merged then
          failures = failures + 1
          assert.is_truthy(message:find(file, 1, true), failures .. ": " .. message)
        end
        db:close()
      until merged
      assert(failures > 0, "it never failed")
    end)
  end
end)

describe("a put that needs a new segment, on a disk that refuses", function()
  for _, operation in ipairs {
    { "create", ".seg" }, { "append", "MANIFEST" }, { "append", ".seg" },
  } do
    local op, file = table.unpack(operation)
    for _, code in ipairs { "nospace", "io" } do
      it(("names the file: %s of %s, %s"):format(op, file, code), function()
        local disk, db = overwritten()
        disk:fail { op = op, file = file, error = code, times = math.huge }
        local message, what
        for i = 1, 100 do
          local _
          _, message, what = db:put("new" .. i, ("v"):rep(100))
          if message then break end
        end
        assert.equals(code, what)
        assert.is_truthy(message:find(file, 1, true), message)
        db:close()
      end)
    end
  end
end)
