-- Several segments that are open when a store is not closed: the full ones, which nobody has
-- flushed and sealed yet, and the active one. What is lost at the end of one shows in the next.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local forge = require "spec.support.forge"
local format_reader = require "spec.support.format_reader"
local history = require "spec.support.history"
local ramdisk = require "spec.support.ramdisk"
local sim = require "bitcask.sim"

local SEGMENT <const> = 512
local WRITES <const> = 11

-- Where the segments of a store that died are as if the machine had run on since.
local function this_boot()
  local directory = ramdisk.path()
  do
    local db <close> = assert(bitcask.open(directory))
    assert(db:put("k", "v"))
  end
  return ramdisk.load(directory, "%.seg$")["000001.seg"]:sub(13, 16)
end

local function set_boot(bytes, boot)
  return forge.reseal_header(forge.patch(bytes, 12, boot))
end

-- The files of a store that died with a full segment and an active one; `sync_at`: the write
-- after which everything was made durable; `seal_at`: after which all was sealed.
local function files_of(sync_at, seal_at)
  local disk = sim.disk()
  local db = assert(bitcask.open("store", { disk = disk, segment_size = SEGMENT, policy = false }))
  local model = {}
  for i = 1, WRITES do
    local key, value = "k" .. i, ("%d "):format(i):rep(40)
    assert(db:put(key, value))
    model[key] = value
    if i == sync_at then assert(db:sync()) end
    if i == seal_at then assert(db:seal()) end
  end
  local directory, files = disk:directory "store", {}
  for _, name in ipairs(assert(directory:list())) do
    local file = assert(directory:open(name))
    if not name:find "^RESERVE" then files[name] = file:read() end
    file:close()
  end
  return files, model
end

-- Open, or fail; what was told of damage, and of the recovery.
local function open(directory, options)
  local told, recovered = {}, nil
  options = options or {}
  function options.on_event(event)
    if event.kind == "corruption" then told[#told + 1] = event end
    if event.kind == "recovered" then recovered = event end
  end
  local db, message, code = bitcask.open(directory, options)
  return db, db and told or message, db and recovered or code
end

local function first_writes(model, count)
  local some = {}
  for i = 1, count do
    some["k" .. i] = model["k" .. i]
  end
  return some
end

describe("segments that were open at a crash", function()
  local files, model, full, active

  local function prepare(sync_at, boot)
    files, model = files_of(sync_at)
    local _, about = format_reader.read(ramdisk.with(files))
    full, active = next(about.full), about.active.id
    full, active = ("%06d.seg"):format(full), ("%06d.seg"):format(active)
    for _, name in ipairs { full, active } do
      if boot then files[name] = set_boot(files[name], boot) end
    end
  end

  -- Cut the records of the full segment from the nth on, as pages that were never written.
  local function lose(n)
    local bytes = files[full]
    local at = forge.records(bytes)[n].offset
    files[full] = bytes:sub(1, at) .. ("\0"):rep(#bytes - at)
    return forge.records(bytes)[n].version
  end

  local function check(expected, damaged)
    local directory = ramdisk.with(files)
    for _, options in ipairs { { readonly = true }, {}, {} } do
      local db <close>, told, recovered = open(directory, options)
      assert(db, told)
      local difference = history.difference(contents.of(db), expected)
      assert(not difference, difference)
      if damaged ~= nil then assert.equals(damaged, #told > 0) end
      assert.is_table(recovered)
    end
    local db <close> = assert(bitcask.open(directory))
    local last = db:stat("k" .. WRITES) or db:stat "k1"
    assert.is_true(assert(db:put("after", "it")) > last.version)
    assert(db:merge())
    expected.after = "it"
    assert.is_nil(history.difference(contents.of(db), expected))
  end

  -- All that is missing is what stood in the full segment from the second record on, and that is
  -- told of once.
  local function check_gap()
    local expected = history.copy(model)
    for n, record in ipairs(forge.records(files[full])) do
      if n > 1 then expected[record.key] = nil end
    end
    lose(2)
    local db <close>, told = open(ramdisk.with(files))
    assert(db, told)
    assert.is_nil(history.difference(contents.of(db), expected))
    assert.equals(1, #told)
    return told[1]
  end

  after_each(ramdisk.clean)

  it("are all read, in the order of their writes", function()
    for _, boot in ipairs { false, this_boot() } do
      prepare(nil, boot)
      check(model, false)
    end
  end)

  it("after a power cut: what was written behind the first loss is dropped, whole segments too",
    function()
      for n = 1, 3 do
        prepare()
        check(first_writes(model, lose(n) - 1))
      end
    end)

  it("after a power cut: a full segment without a record takes the later ones with it", function()
    prepare()
    local first = forge.records(files[full])[1].version
    files[full] = files[full]:sub(1, 64)
    check(first_writes(model, first - 1))
  end)

  it("while the machine runs on nothing can be lost: a gap is damage, told of, and all else kept",
    function()
      prepare(nil, this_boot())
      local told = check_gap()
      assert.matches("missing", told.message)
      assert.equals(full, told.file)
    end)

  it("what was flushed later tells that all before it was durable: then a gap is damage", function()
    prepare(WRITES - 1)
    check_gap()
  end)

  -- Put a segment without a record before the one that was written to, as one stands that was made
  -- ahead and passed over by a record that it had no room for.
  local function pass_over(written)
    local name = "MANIFEST-000001"
    local id = math.tointeger(tonumber(written:match "%d+"))
    local ahead = ("<i8"):pack(id + 50)
    files[("%06d.seg"):format(id + 50)] =
      forge.reseal_header(forge.patch(files[written]:sub(1, 64), 32, ahead))
    id = ("<i8"):pack(id)
    files[name] = forge.append_edit(files[name], "R" .. id .. "A" .. ahead .. "A" .. id)
  end

  it("one that was made ahead and passed over takes nothing with it, wherever it stands", function()
    for _, boot in ipairs { false, this_boot() } do
      prepare(nil, boot)
      pass_over(active)
      check(model, false)
      for writes = 1, 3 do -- and before all others, the rest being sealed
        files, model = files_of(nil, WRITES - writes)
        local _, about = format_reader.read(ramdisk.with(files))
        local written = ("%06d.seg"):format(about.active.id)
        assert.is_nil(next(about.full))
        if boot then files[written] = set_boot(files[written], boot) end
        pass_over(written)
        check(model, false)
      end
    end
  end)

  it("a first one that has lost all takes the later ones with it, after a power cut", function()
    prepare()
    local manifest, first = "MANIFEST-000001", forge.records(files[full])[1].version
    files[full] = files[full]:sub(1, 64) .. ("\0"):rep(#files[full] - 64)
    assert.is_string(files[manifest])
    check(first_writes(model, first - 1))
  end)

  it("one that is missing refuses the store, and names it", function()
    prepare()
    files[full] = nil
    local db, message, code = open(ramdisk.with(files))
    assert.is_nil(db)
    assert.equals("corrupt", code)
    assert.matches(full, message, 1, true)
  end)
end)
