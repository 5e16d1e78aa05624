local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local scratch = require "spec.support.scratch"

-- A closed store with some keys, and the directory that it was copied from once it had the first.
local function store()
  local path = scratch.path()
  local db <close> = assert(bitcask.open(path, { segment_size = 4096, policy = false }))
  assert(db:put("k0", "v0"))
  local early = scratch.copy(path)
  for i = 1, 60 do assert(db:put("k" .. i, ("v"):rep(200))) end
  assert(db:sync())
  return path, early
end

local function recovered(path)
  local told
  local db <close> = assert(bitcask.open(path, {
    policy = false, on_event = function(event)
      if event.kind == "recovered" then told = event end
    end,
  }))
  return told, contents.of(db)
end

describe("a file that the manifest does not name", function()
  local path, early

  before_each(function() path, early = store() end)
  after_each(scratch.clean)

  it("is removed where it is one that a crash leaves", function()
    local names = { "900001.hint.tmp", "KEYDIR.tmp" }
    for _, name in ipairs(names) do scratch.write(path .. "/" .. name, "left over") end
    scratch.write(path .. "/MANIFEST-900001", scratch.read(path .. "/"
      .. scratch.files(path, "^MANIFEST")[1]))
    local event = recovered(path)
    assert.equal(#names + 1, event.orphans)
    assert.same({}, scratch.files(path, "900001"))
    assert.same({}, scratch.files(path, "tmp$"))
  end)

  it("stays where it is none of ours, or another store's", function()
    local other = store()
    local segment = scratch.read(other .. "/000001.seg")
    scratch.write(path .. "/900001.seg", segment)
    scratch.write(path .. "/notes.txt", "of somebody")
    local event = recovered(path)
    assert.equal(0, event.orphans)
    assert.equal(segment, scratch.read(path .. "/900001.seg"))
    assert.equal("of somebody", scratch.read(path .. "/notes.txt"))
  end)

  it("has the store refused where it has a newer write than that tells of", function()
    for _, name in ipairs(scratch.files(path, "%.seg$")) do
      if #scratch.files(early, name) == 0 then
        scratch.write(early .. "/" .. name, scratch.read(path .. "/" .. name))
      end
    end
    local db, message, code = bitcask.open(early)
    assert.is_nil(db)
    assert.equal("corrupt", code)
    assert.matches("holds writes that the manifest knows nothing of", message, 1, true)
  end)
end)
