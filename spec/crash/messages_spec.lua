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

-- The first refusal that a store meets which grows by some segments.
local function refusal(fault)
  local disk = sim.disk()
  local db = assert(bitcask.open("/store", { disk = disk, segment_size = 4096 }))
  disk:fail(fault)
  local count = 0
  local version, message, code
  repeat
    count = count + 1
    version, message, code = db:put("k" .. count, ("v"):rep(100))
  until not version or count == 200
  db:close() -- on a disk that goes on refusing
  return message, code
end

-- What was made for nothing is removed, its hint file, too, which was never there.
describe("a put that needs a new segment, on a full disk", function()
  for _, op in ipairs { "create", "append", "sync_directory" } do
    it("is told what was refused: " .. op, function()
      for at = 1, 5 do
        local file = op == "append" and "MANIFEST" or ""
        local message, code = refusal {
          op = op, file = file, at = at, error = "nospace", times = math.huge,
        }
        assert.equals("nospace", code, message)
        assert.is_truthy(message:find("cannot " .. op, 1, true), at .. ": " .. message)
      end
    end)
  end
end)
