local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local scratch = require "spec.support.scratch"

-- A closed store with three keys.
local function store()
  local path = scratch.path()
  local db <close> = assert(bitcask.open(path))
  for i = 1, 3 do assert(db:put("k" .. i, "v" .. i)) end
  return path
end

describe("what is found in a directory", function()
  after_each(scratch.clean)

  it("is no store, where nothing is there and none is to be made", function()
    local db, _, code = bitcask.open(scratch.directory(), { create = false })
    assert.is_nil(db)
    assert.equal("notfound", code)
  end)

  it("is a new store, where a crash left the first manifest and no word that it counts", function()
    local path = scratch.directory()
    scratch.write(path .. "/MANIFEST-000001", "anything")
    local db <close> = assert(bitcask.open(path))
    assert.same({}, contents.of(db))
  end)

  for _, name in ipairs { "000001.seg", "MANIFEST-000002" } do
    it("is refused where it has " .. name .. ", and no CURRENT", function()
      local path = scratch.directory()
      scratch.write(path .. "/" .. name, "anything")
      local db, message, code = bitcask.open(path)
      assert.is_nil(db)
      assert.equal("corrupt", code)
      assert.matches("CURRENT: is missing", message, 1, true)
      assert.equal("anything", scratch.read(path .. "/" .. name))
    end)
  end

  it("is every segment file, with salvage, where no manifest can be believed", function()
    local path = store()
    os.remove(path .. "/CURRENT")
    local told = {}
    local db <close> = assert(bitcask.open(path, {
      salvage = true, on_event = function(event) told[#told + 1] = event end,
    }))
    assert.same({ k1 = "v1", k2 = "v2", k3 = "v3" }, contents.of(db))
    assert.equal("CURRENT", told[1].file:match "[^/]*$")
  end)

  it("decides that no number of a file that is there is given out again", function()
    local path = store()
    scratch.write(path .. "/000900.seg", "of nobody")
    local db <close> = assert(bitcask.open(path))
    assert(db:put("k4", "v4"))
    assert.is_true(assert(db:seal()) > 0)
    assert(db:put("k5", "v5"))
    assert.is_true(assert(db:seal()) > 900)
  end)
end)
