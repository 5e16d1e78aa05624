-- docs/format.md against the engine: what that page alone lets a stranger read is what the
-- engine holds, and its examples are what the engine writes.

local bitcask = require "bitcask"
local bits = require "spec.support.bits"
local contents = require "spec.support.contents"
local format_reader = require "spec.support.format_reader"
local internals = require "bitcask.internals"
local killed = require "spec.support.killed"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"

local page = scratch.read "docs/format.md"

-- ---- Random stores -------------------------------------------------------------------

-- In the child that dies, too: so it is text.
local work = [[
  local random = require "spec.support.random"
  local operations = {}
  function operations.put(db)
    local key = "key " .. math.random(30)
    assert(db:put(key, random.bytes(random.pick { 0, 10, 100, 20000 })))
  end
  function operations.expiring(db)
    assert(db:put("key " .. math.random(30), "soon gone", { ttl = random.pick { 0.001, 1000 } }))
  end
  function operations.delete(db)
    assert(db:delete("key " .. math.random(30)) ~= nil)
  end
  function operations.batch(db)
    local batch <close> = db:batch()
    for _ = 1, math.random(6) do
      local key = "key " .. math.random(30)
      if math.random(4) == 1 then batch:delete(key) else batch:put(key, random.bytes(50)) end
    end
    assert(batch:commit())
  end
  function operations.seal(db)
    assert(db:seal() ~= nil)
  end
  function operations.merge(db)
    local ids = {}
    for _, segment in ipairs(assert(db:segments()).segments) do
      if math.random(2) == 1 then ids[#ids + 1] = segment.id end
    end
    assert(db:merge(ids))
  end
  local deck = { "put", "put", "put", "put", "expiring", "delete", "delete", "batch" }
  local function work(db, seed, count)
    math.randomseed(seed)
    for _ = 1, count do
      operations[math.random(40) == 1 and random.pick { "seal", "merge" } or random.pick(deck)](db)
    end
  end
]]

local do_work = assert(load(work .. " return work"))()

local function now()
  return (internals.disk.clocks())
end

-- What the page's reader and the engine say of the same files. What expires soon has, so that
-- both look at the same store.
local function check_agreement(path, db)
  local read, about = format_reader.read(path, now())
  local held = contents.of(db)
  assert.same(held, read)
  for key, version in pairs(about.versions) do
    assert(db:stat(key).version == version, "the version of " .. key)
  end
  return read, about
end

local function wait_until_expired()
  local until_ms = now() + 3
  repeat until now() > until_ms
end

describe("the files of a store", function()
  after_each(scratch.clean)

  local first = random.begin(os.time())
  for i = 0, random.effort(2) - 1 do
    local seed = first + i
    it("are what the page says, while it is open and when it is closed, SEED=" .. seed, function()
      math.randomseed(seed)
      local path = scratch.path()
      local db = assert(bitcask.open(path, { segment_size = random.pick { 256, 1024, 65536 } }))
      for round = 1, 5 do
        do_work(db, seed + 1000 * round, 120)
        wait_until_expired()
        check_agreement(path, db)
        assert(db:close())
        local _, about = format_reader.read(path, now())
        assert.is_not_nil(about.state.closed or #about.state.open == 0)
        db = assert(bitcask.open(path))
        check_agreement(path, db)
      end
      assert(db:merge(contents.sealed(db)))
      local read = check_agreement(path, db)
      assert(db:close())
      assert.same(read, (format_reader.read(path, now())))
    end)

    it("are what the page says when its process was killed, SEED=" .. seed, function()
      local path = scratch.path()
      for round = 1, 3 do
        killed.run(work .. [[
          local path, seed, count = ...
          local db = assert(bitcask.open(path, { segment_size = 2048 }))
          work(db, seed, count)
        ]], path, seed + round, 100 * round)
        wait_until_expired()
        local before, about = format_reader.read(path, now())
        assert.is_nil(about.state.closed)
        local db <close> = assert(bitcask.open(path))
        assert.same(before, contents.of(db))
        check_agreement(path, db)
      end
    end)
  end

  it("have a hint file for each sealed segment after a clean end", function()
    local path = scratch.path()
    local db = assert(bitcask.open(path, { segment_size = 1024 }))
    do_work(db, 7, 300)
    assert(db:close())
    local _, about = format_reader.read(path)
    local sealed = 0
    for _ in pairs(about.sealed) do
      sealed = sealed + 1
    end
    assert.is_true(sealed > 3)
    assert.equal(sealed, about.hints)
  end)

  it("hold no version twice, and none above the manifest's", function()
    local path = scratch.path()
    local db = assert(bitcask.open(path, { segment_size = 1024 }))
    do_work(db, 8, 500)
    local last = db:stats().version
    assert(db:close())
    local _, about = format_reader.read(path)
    assert.equal(last, about.state.last_version)
    local seen = {}
    about.sealed[0] = about.active
    for _, segment in pairs(about.sealed) do
      for _, record in ipairs(segment.records) do
        assert(not seen[record.version], "a version stands twice")
        assert(not math.ult(last, record.version))
        seen[record.version] = true
      end
    end
  end)
end)

-- ---- The reader itself ---------------------------------------------------------------

describe("the page's reader", function()
  after_each(scratch.clean)

  -- A small store, closed: its path.
  local function small_store()
    local path = scratch.path()
    local db = assert(bitcask.open(path))
    assert(db:put("ada", "1815"))
    assert(db:delete "ada")
    assert(db:put("alan", "1912"))
    assert(db:seal())
    assert(db:put("grace", "1906"))
    assert(db:close())
    return path
  end

  it("and the engine refuse the same damage of what names the segments", function()
    local path = small_store()
    local _, about = format_reader.read(path)
    for _, name in ipairs { "CURRENT", about.state.manifest } do
      local bytes = scratch.read(path .. "/" .. name)
      for turned in bits.turns(bytes) do
        scratch.write(path .. "/" .. name, turned)
        local is_read, read = pcall(format_reader.read, path)
        local db, _, code = bitcask.open(path, { readonly = true })
        if db then
          assert.is_true(is_read, read)
          assert.same(read, contents.of(db))
          assert(db:close())
        else
          assert.equal("corrupt", code)
          assert.is_false(is_read)
        end
      end
      scratch.write(path .. "/" .. name, bytes)
    end
  end)

  it("sees a wrong bit anywhere in a segment that counts, or its hint file", function()
    local path = small_store()
    for _, name in ipairs(scratch.files(path, "%.seg$")) do
      local bytes = scratch.read(path .. "/" .. name)
      for turned in bits.turns(bytes) do
        scratch.write(path .. "/" .. name, turned)
        assert.is_false((pcall(format_reader.read, path)))
      end
      scratch.write(path .. "/" .. name, bytes)
    end
    for _, name in ipairs(scratch.files(path, "%.hint$")) do
      local bytes = scratch.read(path .. "/" .. name)
      for turned in bits.turns(bytes) do
        scratch.write(path .. "/" .. name, turned)
        assert.is_false((pcall(format_reader.read, path)))
      end
      scratch.write(path .. "/" .. name, bytes)
    end
    assert(format_reader.read(path))
  end)
end)

-- ---- The page ------------------------------------------------------------------------

describe("the page", function()
  it("has an example that is a record, and the one that the engine writes", function()
    local example = page:match "## An example\n(.*)$"
    local salt = math.tointeger(tonumber(example:match "`(0x%x+)`"))
    local bytes = bits.from_hex(example:match "```\n(.-)```")
    assert.equal(32, #bytes)
    local record = assert(format_reader.record(("\0"):rep(64) .. bytes, 64, salt))
    assert.same({ "k", "v", 1, 0, "\0\0" },
      { record.key, record.value, record.version, record.synced, record.padding })
    assert.equal(bytes, internals.record.encode(
      { key = "k", value = "v", version = 1, flags = 0, synced = 0 }, salt, 64))
  end)

  it("has tables whose fields stand one behind the other", function()
    local tables, offset = 0, nil
    for line in page:gmatch "[^\n]+" do
      local at, size = line:match "^| (%d+)[%d or]* | (%d*) |"
      if line:find "^| offset | size |" then
        tables, offset = tables + 1, nil
      elseif at and offset ~= false then
        assert.is_true(offset == nil or offset == tonumber(at), line)
        -- A field whose size is not told is the last that stands at a fixed place.
        offset = size ~= "" and tonumber(at) + tonumber(size) or false
      end
    end
    assert.equal(8, tables)
  end)

  it("names the files that there are, and no others", function()
    local path = scratch.path()
    local db = assert(bitcask.open(path, { segment_size = 256 }))
    for i = 1, 50 do
      assert(db:put("k" .. i, ("v"):rep(50)))
    end
    assert(db:merge(contents.sealed(db)))
    assert(db:close())
    for _, name in ipairs(scratch.files(path)) do
      local general = name:gsub("%d%d%d%d%d%d", "000001")
      assert(page:find("`" .. general .. "`", 1, true), name)
      assert.not_equal("other", (internals.filename.parse(name)))
    end
    scratch.clean()
  end)
end)
