local bits = require "spec.support.bits"
local internals = require "bitcask.internals"
local layers = require "spec.support.layers"
local refusal = require "spec.support.refusal"
local scratch = require "spec.support.scratch"

local segments = internals.segment

-- A few records of every kind.
local records = {
  { "a", "1" }, { "", "" }, { "gone" }, { "key", ("v"):rep(60) },
  { "e", "soon", flags = 2, expires = 99 }, { ("k"):rep(60), ("w"):rep(40) }, { "a", "2" },
}

-- A segment of these records, closed: directory, path of the file, facts, what it holds.
local function written(list)
  local directory, path = layers.directory()
  local segment = layers.segment(directory)
  local expected = layers.fill(segment, list or records)
  local facts = layers.facts(segment)
  assert(segment:sync())
  segment:close()
  path = path .. "/000001.seg"
  scratch.write(path, scratch.read(path):sub(1, facts.length)) -- no space ahead
  return directory, path, facts, expected
end

-- What a scan of the file as it is now meets: a list, with the text for each item.
local function scan(directory, facts, size, check_values)
  local length = { id = 1, length = math.min(size, facts.length) }
  for _, growing in ipairs { false, true } do
    local segment <close> = assert(segments.open(directory, layers.store, length, growing))
    local met = assert(segment:scan(size, check_values))
    if growing then return met end
  end
end

local function check_record(expected, met)
  assert(met.offset == expected.offset and met.version == expected.version)
  assert(met.key == expected.key and met.flags == expected.flags)
  assert(met.kind ~= "record" or met.value == expected.value)
end

describe("a segment", function()
  after_each(scratch.clean)

  it("names itself where something is wanted that it has not", function()
    local directory, _, facts = written()
    for _, growing in ipairs { false, true } do -- mapped, and not
      local segment <close> = assert(segments.open(directory, layers.store, facts, growing))
      for _, offset in ipairs { 64, facts.length, facts.length + 8, 1 << 40 } do
        local bytes, message, code = segment:view(offset, facts.length)
        assert.is_nil(bytes)
        assert.equal("corrupt", code)
        assert.matches("^000001%.seg: ", message)
      end
    end
  end)

  it("is met by a scan as it was appended", function()
    local directory, path, facts, expected = written()
    local met = scan(directory, facts, #scratch.read(path), true)
    assert.equal(#expected, #met)
    local at = 64
    for i, record in ipairs(expected) do
      check_record(record, met[i])
      assert.equal("record", met[i].kind)
      assert.equal(at, met[i].offset)
      at = at + met[i].size
    end
    assert.equal(facts.length, at)
  end)

  it("counts what is in it", function()
    local _, _, facts = written()
    assert.equal(7, facts.records)
    assert.equal(1, facts.tombstones)
    assert.equal(32, facts.tombstone_bytes)
    assert.equal(1, facts.min_version)
    assert.equal(7, facts.max_version)
    assert.equal(1, facts.min_put_version)
    local _, _, none = written {}
    assert.same({ 64, 0, 0, 0, -1, 0 }, { none.length, none.records, none.min_version,
      none.max_version, none.min_put_version, none.digest })
    local _, _, gone = written { { "a" }, { "b" } }
    assert.same({ 2, 2, -1 }, { gone.records, gone.tombstones, gone.min_put_version })
  end)

  it("tells with each record what was durable when it was appended", function()
    local directory = layers.directory()
    local segment = layers.segment(directory)
    layers.fill(segment, { { "a", "1" } })
    assert(segment:sync())
    local durable = segment:facts().length
    layers.fill(segment, { { "b", "2" } }, 2)
    local met = segment:scan(segment:facts().length, true)
    assert.same({ 0, durable // 8 }, { met[1].synced, met[2].synced })
  end)

  it("is appended to again after it was closed", function()
    local directory, _, facts, expected = written()
    local segment = assert(segments.reopen(directory, layers.store, facts, 1 << 20))
    assert.equal(facts.length, segment:facts().synced_length)
    expected[#expected + 1] = layers.fill(segment, { { "new", "3" } }, 8)[1]
    local met = segment:scan(segment:facts().length, true)
    for i, record in ipairs(expected) do
      check_record(record, met[i])
    end
    assert.equal(8, #met)
    assert.equal(8, segment:facts().records)
  end)

  it("takes several records as one, as if they had come one by one", function()
    local directory = layers.directory()
    local one_by_one, at_once = layers.segment(directory, 1), layers.segment(directory, 2)
    local list, offsets = {}, {}
    for i = 1, 60 do
      list[i] = { key = "k" .. i, value = ("v"):rep(i * i), version = i, flags = i < 60 and 4 or 0 }
      offsets[i] = assert(one_by_one:append(list[i]))
    end
    assert.same(offsets, at_once:append_all(list))
    assert.equal(one_by_one:facts().length, at_once:facts().length)
    assert.equal(60, at_once:facts().records)
    local expected = one_by_one:scan(one_by_one:facts().length, true)
    assert.same(expected, at_once:scan(at_once:facts().length, true))
  end)

  it("takes all of several records or none, in want of memory and of room", function()
    local directory = layers.directory()
    local segment = layers.segment(directory, 1, 4096)
    local list = {}
    for i = 1, 60 do
      list[i] = { key = "k" .. i, value = "v", version = i, flags = 4 }
    end
    refusal.everywhere(function()
      assert.equal(64, segment:facts().length)
      return segment:append_all(list)
    end)
    local facts = segment:facts()
    assert.equal(60, facts.records)
    list[1].value = ("v"):rep(4096)
    assert.has_error(function() segment:append_all(list) end)
    assert.same(facts, segment:facts())
    assert.equal(60, #segment:scan(facts.length, true))
  end)

  it("is refused where it is missing, short, damaged, or another's", function()
    local directory, path, facts = written()
    local bytes = scratch.read(path)
    local function code(store, id, length)
      local wanted = { id = id or 1, length = length or facts.length }
      return select(3, segments.open(directory, store or layers.store, wanted))
    end
    assert.is_nil(code())
    assert.equal("corrupt", code(nil, 2))
    assert.equal("corrupt", code(("x"):rep(16)))
    scratch.write(path:gsub("000001", "000002"), bytes)
    assert.equal("corrupt", code(nil, 2))
    assert.equal("corrupt", code(nil, 1, facts.length + 1))
    for flipped in bits.flips(bytes, 1, 64) do
      scratch.write(path, flipped)
      assert.equal("corrupt", code())
    end
    for kept = 0, 63 do
      scratch.write(path, bytes:sub(1, kept))
      assert.equal("corrupt", code(nil, 1, 0))
    end
  end)

  it("is made once", function()
    local directory = layers.directory()
    layers.segment(directory, 1)
    assert.equal("exists", select(3, segments.create(directory, layers.store, 1, 100)))
  end)

  it("that is obsolete goes with the last who holds it, its hint file too", function()
    local directory, path = layers.directory()
    local segment = layers.segment(directory)
    layers.fill(segment, records)
    assert(segment:write_hint(layers.store))
    assert.same({ "000001.hint", "000001.seg" }, scratch.files(path))
    local keydir = assert(internals.keydir.new())
    assert(keydir:reserve(5, 1, true))
    keydir:insert(5, 8, 32)
    keydir:remove(5, 8, { at = 8, size = 32, born = 1, died = 2, segment = segment })
    segment:make_obsolete()
    segment:close()
    assert.same({ "000001.hint", "000001.seg" }, scratch.files(path))
    keydir:prune(2)
    assert.same({}, scratch.files(path))
  end)

  it("opened in want of memory leaves none behind", function()
    local directory, _, facts = written()
    assert.is_true(refusal.everywhere(function()
      return segments.open(directory, layers.store, facts)
    end) > 1)
    assert.is_true(refusal.everywhere(function()
      return segments.reopen(directory, layers.store, facts, 1 << 20)
    end) > 1)
    assert.is_true(refusal.everywhere(function()
      return segments.create(directory, layers.store, 9, 1 << 20)
    end) > 1)
  end)
end)

describe("a scan", function()
  after_each(scratch.clean)

  it("ends at the record of which a byte is missing", function()
    local directory, path, facts, expected = written()
    local bytes = scratch.read(path)
    local ends = {}
    for i = 1, #expected do
      ends[expected[i].offset] = i - 1
    end
    ends[#bytes] = #expected
    local whole = 0
    for size = 64, #bytes do
      scratch.write(path, bytes:sub(1, size))
      whole = ends[size] or whole
      local met = scan(directory, facts, size, true)
      assert.equal(whole + (ends[size] and 0 or 1), #met)
      for i = 1, whole do
        check_record(expected[i], met[i])
      end
      assert.equal(ends[size] ~= nil, #met == 0 or met[#met].kind == "record")
    end
  end)

  it("meets every record but the one with a wrong bit", function()
    local directory, path, facts, expected = written()
    local bytes = scratch.read(path)
    expected[#expected + 1] = { offset = #bytes }
    for i = 1, #expected - 1 do
      for flipped in bits.flips(bytes, expected[i].offset + 1, expected[i + 1].offset) do
        scratch.write(path, flipped)
        local met = scan(directory, facts, #bytes, true)
        assert.equal(#expected - 1, #met)
        for k, item in ipairs(met) do
          if k ~= i then
            assert.equal("record", item.kind)
            check_record(expected[k], item)
          else
            assert.equal(expected[k].offset, item.offset)
            if item.kind ~= "damaged" then check_record(expected[k], item) end
          end
        end
      end
    end
  end)

  it("looks at no value unless it is asked to", function()
    local directory, path, facts, expected = written()
    local bytes = scratch.read(path)
    local at = expected[4].offset + 28 + 3 + 50
    scratch.write(path, bytes:sub(1, at) .. "X" .. bytes:sub(at + 2))
    assert.equal("damaged value", scan(directory, facts, #bytes, true)[4].kind)
    assert.equal("record", scan(directory, facts, #bytes, false)[4].kind)
  end)

  it("finds its way again behind anything that fills whole units", function()
    local directory, path, facts, expected = written()
    local bytes = scratch.read(path)
    local fill = {
      zeros = ("\0"):rep(40 << 10),
      ones = ("\xFF"):rep(4096),
      marks = ("\xB5"):rep(800),
      ["the same records of another place"] = bytes:sub(65),
      ["a size that reaches far behind the end"] =
        ("\1"):rep(16) .. ("\xFF"):rep(4) .. "\0\0\0\xB5" .. ("\0"):rep(8),
    }
    for _, between in pairs(fill) do
      -- Only what stands before keeps its place: records know theirs.
      local head = expected[4].offset
      local torn = bytes:sub(1, head) .. between .. bytes:sub(head + #between + 1)
      scratch.write(path, torn)
      local met = scan(directory, facts, #torn, true)
      for i = 1, 3 do
        check_record(expected[i], met[i])
      end
      for i = 4, #expected do
        if expected[i].offset >= head + #between then
          check_record(expected[i], met[#met - #expected + i])
        end
      end
      assert.truthy(met[4].kind == "damaged" or met[4].kind == "zeros")
    end
  end)

  it("tells zeros up to the end from damage", function()
    local directory, path, facts, expected = written()
    local bytes = scratch.read(path)
    for _, size in ipairs { 1, 7, 8, 28, 1000, 1 << 20, (1 << 20) + 5 } do
      scratch.write(path, bytes .. ("\0"):rep(size))
      local met = scan(directory, facts, #bytes + size, true)
      assert.same({ #expected + 1, "zeros", size }, { #met, met[#met].kind, met[#met].size })
      scratch.write(path, bytes .. ("\0"):rep(size) .. "\1")
      met = scan(directory, facts, #bytes + size + 1, true)
      assert.same({ #expected + 1, "damaged" }, { #met, met[#met].kind })
    end
  end)

  it("of any bytes ends, and meets each once", function()
    local directory, path, facts = written()
    local head = scratch.read(path):sub(1, 64)
    math.randomseed(7)
    for _ = 1, 300 do
      local bytes = { head }
      for i = 1, math.random(0, 300) do
        bytes[i + 1] = string.char(math.random(0, 2) == 0 and 0xB5 or math.random(0, 255))
      end
      local all = table.concat(bytes)
      scratch.write(path, all)
      local at = 64
      for _, item in ipairs(scan(directory, { length = 64 }, #all, true)) do
        assert.equal(at, item.offset)
        assert.is_true(item.size > 0)
        at = at + item.size
      end
      assert.equal(#all, at)
    end
    assert.equal(1, facts.id)
  end)
end)
