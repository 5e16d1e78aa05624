-- Small stores, on a simulated disk, of which every bit is flipped, every file cut at every
-- length, every sector wiped, every two files exchanged, every older file put back. Nothing is
-- ever answered that was not written for the key, and nothing is missing or old without a
-- word: the store is refused, or the key is reported damaged, or an event has told of it. (Of
-- the segment that a killed process was writing to, a missing end is what a power cut leaves.)
--
-- EFFORT=0.1 tries one place in ten. Of the keydir checkpoint, which is long, mostly zeros, and
-- done without when its checks fail, one place in 29 is tried; EFFORT=29 tries all.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local forge = require "spec.support.forge"
local random = require "spec.support.random"
local tally = require "spec.support.tally"

-- ---- Stores --------------------------------------------------------------------------------

local function load_files(disk)
  local files = {}
  for _, name in ipairs(disk:files "store") do
    if not name:find "^RESERVE" and name ~= "LOCK" then files[name] = disk:read("store", name) end
  end
  return files
end

local function sorted(files)
  local names = {}
  for name in pairs(files) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function disk_with(files)
  local disk = bitcask.sim.disk {}
  for name, bytes in pairs(files) do
    assert(disk:put("store", name, bytes))
  end
  return disk
end

-- A store: its files, what it holds, every value that a key ever had, and its files as they
-- were at earlier moments.
local function tell(body)
  local disk = bitcask.sim.disk { allocation = 64 }
  local db = assert(bitcask.open("store", { disk = disk, segment_size = 512 }))
  local store = { ever = {}, older = {}, model = {} }
  local function put(key, value)
    assert(db:put(key, value))
    store.ever[key] = store.ever[key] or {}
    store.ever[key][value] = true
    store.model[key] = value
  end
  local function delete(key)
    assert(db:delete(key))
    store.model[key] = nil
  end
  local function remember()
    store.older[#store.older + 1] = load_files(disk)
  end
  local is_closed = body(db, put, delete, remember)
  store.sealed = {}
  for key in pairs(store.ever) do
    local stat = db:stat(key)
    local active = db:segments().active
    store.sealed[key] = not (stat and active and stat.segment == active.id)
    if active and not is_closed then store.active = ("%06d.seg"):format(active.id) end
  end
  if is_closed then assert(db:close()) end
  store.files = load_files(is_closed and disk or disk:kill())
  if not is_closed then db:close() end
  return store
end

local function fill(db, put, delete, remember)
  for i = 1, 8 do
    put("k" .. i, "old" .. i)
  end
  assert(db:seal())
  remember()
  for i = 1, 6 do
    put("k" .. i, ("new%d "):format(i):rep(3))
  end
  delete "k8"
  assert(db:seal())
  remember()
  for i = 9, 11 do
    put("k" .. i, "only" .. i)
  end
  remember()
end

local stores = {
  { name = "closed", store = tell(function(...)
    fill(...)
    return true
  end) },
  { name = "killed", store = tell(fill) },
  { name = "merged", store = tell(function(db, put, delete, remember)
    fill(db, put, delete, remember)
    assert(db:merge())
    remember()
    put("k9", "after the merge")
    return true
  end) },
}

-- The same stores without their hint files: all is read from the segments.
for i = 1, #stores do
  local store = {}
  for name, value in pairs(stores[i].store) do
    store[name] = value
  end
  store.files = {}
  for name, bytes in pairs(stores[i].store.files) do
    if not name:find "hint$" then store.files[name] = bytes end
  end
  stores[#stores + 1] = { name = stores[i].name .. ", without hints", store = store }
end

-- ---- What must hold ------------------------------------------------------------------------

local allowed = { corrupt = true, incompatible = true, notfound = true, io = true }

local function tells(events)
  for _, event in ipairs(events) do
    if event.kind == "corruption" then return true end
    if event.kind == "recovered" and event.torn_bytes > 0 then return true end
  end
  return false
end

local function check_key(store, db, key, case)
  local value, message, code = db:get(key)
  if value == store.model[key] and not code then return true end
  if code then
    assert(code == "corrupt", case .. ": " .. message)
    return true
  end
  assert(value == nil or store.ever[key][value], case .. ": a wrong value for " .. key)
  return false -- missing or old: that has to have been told
end

local function check_walk(store, db, case)
  for key, value in db:pairs { on_damage = "skip" } do
    assert(store.ever[key] and store.ever[key][value], case .. ": a wrong pair for " .. key)
  end
end

-- Is it the end of what a dead process was writing, which may be missing without a word?
local function is_end(store, key, changed)
  return changed ~= nil and changed == store.active and not store.sealed[key]
end

-- Open what is there, with that file changed: "opened" or "refused".
local function check(store, disk, case, changed, options)
  local events = {}
  options = options or {}
  options.disk, options.readonly = disk, not options.salvage or nil
  function options.on_event(event)
    events[#events + 1] = event
  end
  local db <close>, message, code = bitcask.open("store", options)
  if not db then
    assert(allowed[code], case .. ": " .. message)
    return "refused"
  end
  local is_whole = true
  for key in pairs(store.ever) do
    local is_right = check_key(store, db, key, case) or is_end(store, key, changed)
    is_whole = is_whole and is_right
  end
  check_walk(store, db, case)
  assert(is_whole or options.salvage or tells(events), case .. ": lost without a word")
  return "opened"
end

local function try(kind, ...)
  tally.add("damage_" .. kind)
  return check(...)
end

-- Every place, or as many as the effort allows.
local function stride(name)
  local sparse = name == "KEYDIR" and 29 or 1
  return math.max(1, math.floor(sparse / tonumber(os.getenv "EFFORT" or 1)))
end

for _, case in ipairs(stores) do
  local store = case.store
  local files, names = store.files, sorted(store.files)

  describe("a store that was " .. case.name .. ":", function()
    it("is whole as it is", function()
      local db <close> = assert(bitcask.open("store", { disk = disk_with(files) }))
      assert.same(store.model, contents.of(db))
    end)

    -- One disk for all: each file is put back when its turn is over.
    local function each_file(body)
      local disk = disk_with(files)
      for _, name in ipairs(names) do
        body(disk, name, files[name])
        assert(disk:put("store", name, files[name]))
      end
      assert.equals("opened", check(store, disk, "at the end"))
    end

    it("any bit flipped", function()
      each_file(function(disk, name, bytes)
        for offset = 0, #bytes - 1, stride(name) do
          for bit = 0, 7 do
            assert(disk:put("store", name, forge.flip(bytes, offset, 1 << bit)))
            try("bits", store, disk, ("%s, byte %d, bit %d"):format(name, offset, bit))
          end
        end
      end)
    end)

    it("any file cut at any length, or filled up again with zeros", function()
      each_file(function(disk, name, bytes)
        for length = 0, #bytes - 1, stride(name) do
          local cut = bytes:sub(1, length)
          assert(disk:put("store", name, cut))
          try("cuts", store, disk, ("%s, cut at %d"):format(name, length), name)
          assert(disk:put("store", name, cut .. ("\0"):rep(#bytes - length)))
          try("cuts", store, disk, ("%s, zero from %d"):format(name, length), name)
        end
      end)
    end)

    it("any row of bytes wiped, with zeros or garbage, or written in another's place", function()
      local seed = random.begin(61)
      each_file(function(disk, name, bytes)
        for _, size in ipairs { 8, 32, 64, 512 } do
          for offset = 0, #bytes - 1, size * stride(name) do
            local at = ("%s, %d bytes at %d, SEED=%d"):format(name, size, offset, seed)
            local length = math.min(size, #bytes - offset)
            local other = math.random(0, #bytes - length)
            for what, with in pairs {
              zeros = ("\0"):rep(length),
              garbage = ("<I8"):pack(math.random(0)):rep(64):sub(1, length),
              another = bytes:sub(other + 1, other + length),
            } do
              assert(disk:put("store", name, forge.patch(bytes, offset, with)))
              try("rows", store, disk, ("%s: %s"):format(at, what), name)
            end
          end
        end
      end)
    end)

    it("any two files exchanged, one in two places, one missing", function()
      for _, name in ipairs(names) do
        for _, other in ipairs(names) do
          local disk = disk_with(files)
          assert(disk:put("store", name, files[other]))
          try("files", store, disk, ("%s is %s"):format(name, other))
          assert(disk:put("store", other, files[name]))
          try("files", store, disk, ("%s and %s exchanged"):format(name, other))
        end
        local disk = disk_with(files)
        assert(disk:take("store", name))
        local result = try("files", store, disk, name .. " is missing")
        local is_needed = not name:find "hint$" and name ~= "KEYDIR"
        if is_needed then assert.equals("refused", result, name) end
        check(store, disk, name .. " is missing", nil, { salvage = true })
      end
    end)

    it("any of its files as it was before", function()
      for i, before in ipairs(store.older) do
        for name, bytes in pairs(before) do
          local disk = disk_with(files)
          assert(disk:put("store", name, bytes))
          try("older", store, disk, ("%s of moment %d"):format(name, i))
        end
        local disk = disk_with(files) -- CURRENT and its manifest together
        for name, bytes in pairs(before) do
          if not name:find "^%d" then assert(disk:put("store", name, bytes)) end
        end
        try("older", store, disk, ("the manifest of moment %d"):format(i))
      end
    end)
  end)
end

teardown(tally.report)
