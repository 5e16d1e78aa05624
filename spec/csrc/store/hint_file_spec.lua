local bits = require "spec.support.bits"
local internals = require "bitcask.internals"
local layers = require "spec.support.layers"
local refusal = require "spec.support.refusal"
local scratch = require "spec.support.scratch"

local records = {
  { "a", "1" }, { "", "" }, { "gone" }, { "e", "soon", flags = 2, expires = 99 },
  { ("k"):rep(40), ("w"):rep(100) },
}

-- A segment with its hint file: directory, path of the hint file, facts, records.
local function written()
  local directory, path = layers.directory()
  local segment = layers.segment(directory)
  local expected = layers.fill(segment, records)
  assert(segment:write_hint(layers.store))
  return directory, path .. "/000001.hint", layers.facts(segment), expected, segment
end

local function load(directory, facts, store)
  return internals.segment.load_hint(directory, store or layers.store, facts)
end

describe("a hint file", function()
  after_each(scratch.clean)

  it("tells of each record what opening needs", function()
    local directory, _, facts, expected = written()
    local entries = assert(load(directory, facts))
    assert.equal(#expected, #entries)
    assert.is_false(entries.failed)
    for i, record in ipairs(expected) do
      local entry = entries[i]
      assert.same({ record.key, record.version, record.offset, record.flags, record.expires or 0 },
        { entry.key, entry.version, entry.offset, entry.flags, entry.expires })
      local next_offset = expected[i + 1] and expected[i + 1].offset or facts.length
      assert.equal(next_offset, entry.offset + entry.size)
    end
  end)

  it("of any size is whole, one piece or many", function()
    for _, shape in ipairs {
      { 0, 0 }, { 1, 10 }, { 3000, 40 }, { 9000, 20 }, { 1, 65535 }, { 2, 65535 }, { 7, 65535 },
      { 300, 1000 },
    } do
      local count, key_size = table.unpack(shape)
      local directory = layers.directory()
      local segment, many = layers.segment(directory), {}
      for n = 1, count do
        many[n] = { ("%08d"):format(n) .. ("k"):rep(key_size - 8), "v" }
      end
      local expected = layers.fill(segment, many)
      local before = internals.memory.balance()
      assert(segment:write_hint(layers.store))
      assert.equal(before, internals.memory.balance())
      local entries = assert(load(directory, layers.facts(segment)))
      assert.equal(count, #entries)
      for n = 1, count do
        assert(entries[n].key == expected[n].key and entries[n].offset == expected[n].offset)
      end
    end
  end)

  it("that is missing is not found", function()
    local directory, path, facts = written()
    os.remove(path)
    assert.equal("notfound", select(3, load(directory, facts)))
  end)

  it("is refused at every other length", function()
    local directory, path, facts = written()
    local bytes = scratch.read(path)
    for cut in bits.cuts(bytes) do
      scratch.write(path, cut)
      assert.equal("corrupt", select(3, load(directory, facts)))
    end
    for _, more in ipairs { "\0", "junk", bytes, ("\0"):rep(4096) } do
      scratch.write(path, bytes .. more)
      assert.equal("corrupt", select(3, load(directory, facts)))
    end
    scratch.write(path, bytes)
    assert(load(directory, facts))
  end)

  it("is refused with any bit wrong", function()
    local directory, path, facts = written()
    for flipped in bits.flips(scratch.read(path)) do
      scratch.write(path, flipped)
      -- Its version, boot and time are covered by the check of the header like all else.
      assert.equal("corrupt", select(3, load(directory, facts)))
    end
  end)

  it("is refused beside another segment, or another state of its own", function()
    local directory, path, facts = written()
    local bytes = scratch.read(path)
    scratch.write(path:gsub("000001", "000002"), bytes)
    for name, value in pairs {
      id = 2, length = facts.length + 8, digest = facts.digest ~ 1, records = facts.records - 1,
    } do
      local other = setmetatable({ [name] = value }, { __index = facts })
      local copy = {}
      for key in pairs(facts) do
        copy[key] = other[key]
      end
      assert.equal("corrupt", select(3, load(directory, copy)))
    end
    assert.equal("corrupt", select(3, load(directory, facts, ("x"):rep(16))))
  end)

  it("of a segment that is not as it was is not written", function()
    local directory, path = layers.directory()
    local segment = layers.segment(directory)
    local expected = layers.fill(segment, records)
    segment:sync()
    local file = assert(io.open(path .. "/000001.seg", "r+b"))
    file:seek("set", expected[3].offset + 9)
    file:write "X"
    file:close()
    assert.equal("corrupt", select(3, segment:write_hint(layers.store)))
    assert.same({ "000001.seg" }, scratch.files(path))
  end)

  it("takes the place of whatever was there", function()
    local directory, path, facts, _, segment = written()
    scratch.write(path, "rubbish")
    scratch.write(path .. ".tmp", "left by a crash")
    assert(segment:write_hint(layers.store))
    assert(load(directory, facts))
    assert.same({ "000001.hint", "000001.seg" }, scratch.files(path:match "^(.*)/"))
  end)

  it("written or loaded in want of memory leaves none behind", function()
    local directory, path, facts, _, segment = written()
    assert.is_true(refusal.everywhere(function()
      return segment:write_hint(layers.store)
    end) > 1)
    assert.is_true(refusal.everywhere(function() return load(directory, facts) end) > 0)
    assert.same({ "000001.hint", "000001.seg" }, scratch.files(path:match "^(.*)/"))
  end)
end)
