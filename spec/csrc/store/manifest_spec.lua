local bits = require "spec.support.bits"
local internals = require "bitcask.internals"
local layers = require "spec.support.layers"
local refusal = require "spec.support.refusal"
local scratch = require "spec.support.scratch"

local manifests = internals.manifest

local function facts(id, tag)
  return { tag = tag, id = id, length = 64 + 32 * id, records = id, tombstones = 0,
    tombstone_bytes = 0, min_version = 1, max_version = id, min_put_version = 1, digest = -id,
    created_ms = 5, sealed_ms = 6, flags = 0 }
end

local function untagged(id)
  return facts(id)
end

-- A history of edits, and what they come to.
local edits = {
  { { tag = "A", id = 1 } },
  { facts(1, "S"), { tag = "A", id = 2 } },
  { facts(2, "S"), { tag = "A", id = 3 } },
  { { tag = "R", id = 1 }, { tag = "R", id = 2 }, facts(4, "S"), { tag = "D", version = 2 },
    { tag = "K", salt = -77 } },
  { facts(3, "C") },
}

local function state(sealed, active, last_version, others)
  local list = {}
  for i, id in ipairs(sealed) do
    list[i] = untagged(id)
  end
  local all = { sealed = list, open = active ~= 0 and { active } or {},
    last_version = last_version, next_id = 1, dropped_version = 0, checkpoint = 0 }
  for name, value in pairs(others or {}) do
    all[name] = value
  end
  return all
end

local states = {
  state({}, 1, 10),
  state({ 1 }, 2, 20),
  state({ 1, 2 }, 3, 30),
  state({ 4 }, 3, 40, { dropped_version = 2, checkpoint = -77 }),
  state({ 4 }, 3, 50, { dropped_version = 2, checkpoint = -77, closed = untagged(3) }),
}

-- A manifest of the first `count` edits, closed: directory, path, and its sizes after each.
local function written(count)
  local directory, path = layers.directory()
  local manifest = assert(manifests.init(directory))
  local sizes = {}
  for i = 1, count or #edits do
    assert(manifest:commit(10 * i, edits[i]))
    sizes[i] = #scratch.read(path .. "/MANIFEST-000001")
  end
  manifest:close()
  return directory, path .. "/MANIFEST-000001", sizes
end

local function load_state(directory)
  local manifest, message, code = manifests.load(directory)
  if not manifest then return nil, message, code end
  local loaded = manifest:state()
  local _, edit_number, torn = manifest:about()
  manifest:close()
  return loaded, edit_number, torn
end

describe("a manifest", function()
  after_each(scratch.clean)

  it("comes to the state that its edits add up to, after each", function()
    for count = 1, #edits do
      local directory = written(count)
      local loaded, number, torn = load_state(directory)
      assert.same(states[count], loaded)
      assert.same({ count, 0 }, { number, torn })
    end
  end)

  it("says that the store was closed until something may be written to the open segment", function()
    local closed = { dropped_version = 2, checkpoint = -77, closed = untagged(3) }
    local first = state({ 4 }, 3, 50, { dropped_version = 2, checkpoint = -77 })
    for _, case in ipairs {
      { { facts(5, "S") }, state({ 4, 5 }, 3, 60, closed) }, -- of a merge, say
      { { { tag = "R", id = 4 } }, state({}, 3, 60, closed) },
      { { { tag = "K", salt = -78 } },
        state({ 4 }, 3, 60, { dropped_version = 2, checkpoint = -78, closed = untagged(3) }) },
      { { { tag = "A", id = 3 } }, first },
      { { facts(3, "S") }, state({ 4, 3 }, 0, 60, { dropped_version = 2, checkpoint = -77 }) },
    } do
      local directory = written()
      local manifest = assert(manifests.load(directory))
      assert(manifest:commit(60, case[1])) -- begins a new file, by an edit of everything
      manifest:close()
      case[2].last_version = 60
      assert.same(case[2], (load_state(directory)))
    end
  end)

  it("is not there before the first commit", function()
    local directory, path = layers.directory()
    assert.equal("notfound", select(3, manifests.load(directory)))
    assert(manifests.init(directory)):close()
    assert.same({}, scratch.files(path))
  end)

  it("is one file that CURRENT names", function()
    local directory, path = written()
    assert.same({ "CURRENT", "MANIFEST-000001" }, scratch.files(path:match "^(.*)/"))
    local number, store = manifests.current(directory)
    local manifest = assert(manifests.load(directory))
    assert.equal(1, number)
    assert.equal(store, select(5, manifest:about()))
  end)

  it("cut anywhere in its last edit is the state before it", function()
    local directory, path, sizes = written()
    local bytes = scratch.read(path)
    for size = sizes[4], sizes[5] - 1 do
      scratch.write(path, bytes:sub(1, size))
      local loaded, number, torn = load_state(directory)
      assert.same(states[4], loaded)
      assert.same({ 4, size - sizes[4] }, { number, torn })
    end
  end)

  it("cut anywhere is the state of its whole edits, and nothing before the first", function()
    local directory, path, sizes = written()
    local bytes = scratch.read(path)
    local whole = #edits
    for size = #bytes - 1, 0, -1 do
      while whole > 0 and size < sizes[whole] do
        whole = whole - 1
      end
      scratch.write(path, bytes:sub(1, size))
      local loaded, _, code = load_state(directory)
      assert.same(states[whole], loaded)
      if whole == 0 then assert.equal("corrupt", code) end
    end
  end)

  it("with a wrong bit is refused, or is without its last edit", function()
    local directory, path, sizes = written()
    for flipped, at in bits.flips(scratch.read(path)) do
      scratch.write(path, flipped)
      local loaded, _, code = load_state(directory)
      if at <= sizes[4] then
        assert.equal("corrupt", code)
      else
        assert.same(states[4], loaded)
      end
    end
  end)

  it("with bad bytes before a whole edit is refused", function()
    local directory, path, sizes = written(4)
    local bytes = scratch.read(path)
    local _, last = written(5)
    last = scratch.read(last)
    assert.is_true(#last > #bytes)
    local edit = internals.edit.frame(internals.edit.encode { { tag = "A", id = 9 } }, 5,
      (string.unpack("<i8", bytes, 41)))
    scratch.write(path, bytes .. edit)
    assert.same({ 3, 9 }, load_state(directory).open) -- it is a good one
    for _, bad in ipairs { "x", ("\0"):rep(100), edit:sub(1, -2), ("junk"):rep(1000) } do
      scratch.write(path, bytes .. bad)
      assert.same(states[4], (load_state(directory)))
      scratch.write(path, bytes .. bad .. edit)
      assert.equal("corrupt", select(3, load_state(directory)))
    end
    for number = 0, 7 do -- out of order
      local other = internals.edit.frame(internals.edit.encode { { tag = "A", id = 9 } }, number,
        (string.unpack("<i8", bytes, 41)))
      scratch.write(path, bytes .. other)
      local loaded = load_state(directory)
      assert.equal(number == 5, loaded ~= nil)
    end
    assert.equal(4, #sizes)
  end)

  it("whose edits make no sense is refused, though they pass their checks", function()
    local directory, path = written(3)
    local bytes = scratch.read(path)
    local salt = string.unpack("<i8", bytes, 41)
    local senseless = {
      internals.edit.encode { facts(1, "S") }, -- sealed twice
      internals.edit.encode { { tag = "R", id = 99 } }, -- never there
      internals.edit.encode { facts(0, "S") },
      internals.edit.encode { { tag = "A", id = 0 } },
      internals.edit.encode { { tag = "A", id = 1 } }, -- sealed
      internals.edit.encode { facts(1, "C") },
      internals.edit.encode { facts(0, "C") },
      internals.edit.encode { facts(8, "S") }:sub(1, -2),
      "?",
    }
    for _, payload in ipairs(senseless) do
      scratch.write(path, bytes .. internals.edit.frame(payload, 4, salt))
      assert.equal("corrupt", select(3, load_state(directory)))
    end
    -- Edit 1 has to begin with the full set.
    local first = internals.edit.frame(internals.edit.encode { { tag = "A", id = 1 } }, 1, salt)
    scratch.write(path, bytes:sub(1, 64) .. first)
    assert.equal("corrupt", select(3, load_state(directory)))
    scratch.write(path, bytes:sub(1, 64) .. internals.edit.frame("", 1, salt))
    assert.equal("corrupt", select(3, load_state(directory)))
  end)

  it("of another store, or in another's place, is refused", function()
    local directory, path = written()
    local other, theirs = written()
    local mine = scratch.read(path)
    scratch.write(path, scratch.read(theirs))
    assert.equal("corrupt", select(3, load_state(directory)))
    scratch.write(theirs, mine)
    assert.equal("corrupt", select(3, load_state(other)))
    os.remove(path)
    assert.equal("corrupt", select(3, load_state(directory)))
  end)
end)

describe("CURRENT", function()
  after_each(scratch.clean)

  it("is refused with any bit wrong, and at every other length", function()
    local directory, path = written()
    path = path:gsub("MANIFEST%-000001", "CURRENT")
    local bytes = scratch.read(path)
    for flipped in bits.flips(bytes) do
      scratch.write(path, flipped)
      assert.equal("corrupt", select(3, manifests.current(directory)))
    end
    for cut in bits.cuts(bytes) do
      scratch.write(path, cut)
      assert.equal("corrupt", select(3, manifests.current(directory)))
    end
    for _, more in ipairs { "\n", " ", "\0", bytes, ("x"):rep(5000) } do
      scratch.write(path, bytes .. more)
      assert.equal("corrupt", select(3, manifests.current(directory)))
    end
    scratch.write(path, bytes)
    assert.equal(1, (manifests.current(directory)))
  end)
end)

describe("a session", function()
  after_each(scratch.clean)

  it("writes a manifest of its own, with all that was", function()
    local directory, path = written()
    local manifest = assert(manifests.load(directory))
    assert.equal(1, (manifest:about()))
    assert.is_nil(scratch.read(path):find("\0\0never", 1, true))
    assert(manifest:commit(60, { { tag = "A", id = 3 } }))
    assert.equal(2, (manifest:about()))
    assert.same({ "CURRENT", "MANIFEST-000002" }, scratch.files(path:match "^(.*)/"))
    manifest:close()
    local wanted = state({ 4 }, 3, 60, { dropped_version = 2, checkpoint = -77 })
    assert.same(wanted, (load_state(directory)))
  end)

  it("rolls over when its manifest gets long, and loses nothing by it", function()
    local directory, path = layers.directory()
    local manifest = assert(manifests.init(directory))
    local sealed = {}
    for id = 1, 40 do
      manifest:roll_over_at(id % 3 == 0 and 0 or 1 << 20)
      assert(manifest:commit(id, { facts(id, "S") }))
      sealed[id] = id
      local number = manifest:about()
      assert.same({ "CURRENT", ("MANIFEST-%06d"):format(number) }, scratch.files(path))
      assert.same(state(sealed, 0, id), (load_state(directory)))
    end
    assert.equal(14, (manifest:about()))
  end)

  it("takes the name of what a crash left behind", function()
    local directory, path = written()
    path = path:match "^(.*)/"
    scratch.write(path .. "/MANIFEST-000002", "left by a crash")
    scratch.write(path .. "/CURRENT.tmp", "left by a crash")
    local manifest = assert(manifests.load(directory))
    assert(manifest:commit(60, {}))
    manifest:close()
    assert.same(60, load_state(directory).last_version)
    assert.same({ "CURRENT", "MANIFEST-000002" }, scratch.files(path))
  end)

  it("hands out each id once", function()
    local directory = layers.directory()
    local manifest = assert(manifests.init(directory))
    for id = 1, 5 do
      assert.equal(id, manifest:take_id())
    end
    assert(manifest:commit(1, {}))
    assert.equal(6, manifest:take_id()) -- not yet written down
    manifest:close()
    assert.equal(6, assert(manifests.load(directory)):take_id())
  end)

  it("whose edit makes no sense is as it was, on disk too", function()
    local directory, path = written(3)
    local manifest = assert(manifests.load(directory))
    assert(manifest:commit(30, {}))
    path = path:gsub("000001", "000002")
    local bytes = scratch.read(path)
    local senseless = { { facts(1, "S") }, { { tag = "A", id = 7 }, { tag = "R", id = 99 } } }
    for _, items in ipairs(senseless) do
      assert.equal("corrupt", select(3, manifest:commit(99, items)))
      assert.same(states[3], manifest:state())
      assert.equal(bytes, scratch.read(path))
    end
    assert(manifest:commit(31, { { tag = "A", id = 8 } }))
    manifest:close()
    assert.same({ 3, 8 }, load_state(directory).open)
  end)

  it("in want of memory is as it was, and goes on", function()
    for _, roll_over in ipairs { 0, 1 << 20 } do
      local directory = written(3)
      local manifest = assert(manifests.load(directory))
      assert(manifest:commit(30, {}))
      local tries = refusal.everywhere(function()
        manifest:roll_over_at(roll_over)
        assert.same(states[3], manifest:state())
        return manifest:commit(40, edits[4])
      end)
      assert.is_true(tries > 2)
      assert.same(states[4], manifest:state())
      manifest:close()
      assert.same(states[4], (load_state(directory)))
      assert.is_true(refusal.everywhere(function() return manifests.load(directory) end) > 2)
    end
  end)
end)
