-- CURRENT and the manifest: a store is refused rather than opened with something silently
-- missing.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local damaging = require "spec.support.damaging"
local forge = require "spec.support.forge"
local history = require "spec.support.history"
local killed = require "spec.support.killed"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local with, without, sorted = damaging.with, damaging.without, damaging.sorted

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

describe("the manifest:", function()
  local stores, model = {}, nil

  setup(function()
    -- One that was killed, one that was closed, and one that was closed after a merge.
    local dead, closed, merged = ramdisk.path(), ramdisk.path(), ramdisk.path()
    model = killed.store(dead, 40)
    for _, path in ipairs { closed, merged } do
      killed.store(path, 40)
      local db <close> = assert(bitcask.open(path, { segment_size = 1024 }))
      if path == merged then assert(db:merge()) end
      for i = 1, 12 do
        assert(db:put("k" .. i * 5, model["k" .. i * 5] or "x"))
      end
    end
    stores = { killed = ramdisk.load(dead), closed = ramdisk.load(closed),
      merged = ramdisk.load(merged) }
    for _, files in pairs(stores) do
      local db <close> = assert(bitcask.open(ramdisk.with(files), { readonly = true }))
      files.model = contents.of(db)
    end
  end)

  local function take_model(files)
    return files.model, without(files, "^model$")
  end

  -- Whatever is done to it: the store is refused as it is, or everything is there.
  local function check(case, files, expected)
    local directory = ramdisk.with(files)
    local result, told
    for _, options in ipairs { {}, { create = false } } do
      local db, message, code = bitcask.open(directory, options)
      if db then
        local difference = history.difference(contents.of(db), expected)
        assert(not difference, difference and case .. ": " .. difference)
        assert(db:close())
        result = "opened"
      else
        assert(code == "corrupt" or code == "incompatible" or code == "io", case .. ": " .. message)
        assert.matches(directory, message, 1, true)
        local after = ramdisk.load(directory)
        after.LOCK, files.LOCK = nil, nil
        for name, bytes in pairs(files) do
          assert(after[name] == bytes, case .. ": refused, but touched: " .. name)
        end
        result, told = "refused", message
      end
    end
    scratch.remove(directory)
    return result, told
  end

  local function each(body)
    for _, state in ipairs { "killed", "closed", "merged" } do
      body(state, take_model(stores[state]))
    end
  end

  it("CURRENT missing: refused, never an empty store", function()
    each(function(state, expected, files)
      local without_it = with(files, "CURRENT", nil)
      assert.equals("refused", (check(state, without_it, expected)))
      local directory = ramdisk.with(without_it)
      local _, message = bitcask.open(directory)
      assert.matches("CURRENT", message, 1, true)
      for _, options in ipairs { { create = false }, { readonly = true } } do
        assert.equals("corrupt", (select(3, bitcask.open(directory, options))))
      end
    end)
  end)

  it("CURRENT cut at every length: refused", function()
    each(function(state, expected, files)
      for length = 0, #files.CURRENT - 1 do
        local cut = with(files, "CURRENT", files.CURRENT:sub(1, length))
        assert.equals("refused", (check(state .. " " .. length, cut, expected)))
      end
    end)
  end)

  it("CURRENT with any byte flipped, or more behind it: refused", function()
    random.begin(68)
    local expected, files = take_model(stores.killed)
    for offset = 0, #files.CURRENT - 1 do
      local flipped = forge.flip(files.CURRENT, offset, math.random(255))
      assert.equals("refused", (check(offset, with(files, "CURRENT", flipped), expected)))
    end
    for _, more in ipairs { "\n", "x", files.CURRENT, ("\0"):rep(100), ("y"):rep(10000) } do
      assert.equals("refused", (check("more", with(files, "CURRENT", files.CURRENT .. more),
        expected)))
    end
  end)

  it("CURRENT of another store: refused", function()
    local expected, files = take_model(stores.killed)
    local other = stores.closed.CURRENT
    assert.equals("refused", (check("other", with(files, "CURRENT", other), expected)))
  end)

  it("missing: refused", function()
    each(function(state, expected, files)
      assert.equals("refused", (check(state, without(files, "^MANIFEST"), expected)))
    end)
  end)

  it("cut at every length: refused, or everything is there", function()
    each(function(state, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      local opened = 0
      for length = 0, #files[name] - 1 do
        local cut = with(files, name, files[name]:sub(1, length))
        local result = check(("%s, cut at %d"):format(state, length), cut, expected)
        if result == "opened" then opened = opened + 1 end
      end
      -- The last edit of a closed store only says that it was closed, and those of a killed one
      -- that segments were sealed: how many had come to that by then differs.
      assert.is_truthy(opened < #files[name] * 3 / 4)
    end)
  end)

  it("any byte flipped: refused, or everything is there", function()
    random.begin(69)
    each(function(state, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      for offset = 0, #files[name] - 1 do
        local flipped = forge.flip(files[name], offset, math.random(255))
        check(("%s, byte %d"):format(state, offset), with(files, name, flipped), expected)
      end
    end)
  end)

  it("a torn edit at its end is dropped: it never counted", function()
    random.begin(70)
    each(function(state, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      local edits = forge.edits(files[name])
      local last = edits[#edits]
      local edit = files[name]:sub(last.begin + 1, last.finish)
      local renumbered = forge.patch(edit, 8, ("<i8"):pack(#edits + 1))
      for length = 1, #edit - 1, 3 do
        local torn = files[name] .. renumbered:sub(1, length)
        assert.equals("opened", (check(state .. length, with(files, name, torn), expected)))
      end
      for _, tail in ipairs { ("\0"):rep(30), ("\0"):rep(4096), random.bytes(200) .. "!" } do
        local torn = with(files, name, files[name] .. tail)
        assert.equals("opened", (check(state, torn, expected)))
      end
    end)
  end)

  it("damage before a whole edit is no torn end: refused", function()
    each(function(state, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      local edits = forge.edits(files[name])
      for i = 1, #edits - 1 do
        local lacking = files[name]:sub(1, edits[i].begin) ..
          files[name]:sub(edits[i].finish + 1)
        for _, bytes in ipairs { forge.flip(files[name], edits[i].begin + 30, 0x40), lacking } do
          local result, message = check(state, with(files, name, bytes), expected)
          assert.equals("refused", result)
          assert.matches(name, message, 1, true)
        end
      end
    end)
  end)

  it("an older one put back: refused, or everything is there", function()
    local directory = ramdisk.path()
    local db = assert(bitcask.open(directory, { segment_size = 512 }))
    local older, expected = {}, {}
    for i = 1, 40 do
      expected["k" .. i % 15] = ("v%d "):format(i):rep(10)
      assert(db:put("k" .. i % 15, expected["k" .. i % 15]))
      older[i] = ramdisk.load(directory, "^MANIFEST") -- between two edits, too
      older[i].CURRENT = scratch.read(directory .. "/CURRENT")
      if i % 16 == 0 then assert(db:merge()) end
    end
    assert(db:close())
    local now = ramdisk.load(directory)
    for i, then_ in ipairs(older) do
      local mixed = without(now, "^MANIFEST")
      for name, bytes in pairs(then_) do
        mixed[name] = bytes
      end
      check("the manifest of write " .. i, mixed, expected)
    end
  end)

  it("of a format that is not known: refused as such", function()
    local expected, files = take_model(stores.killed)
    local name = sorted(files, "^MANIFEST")[1]
    for _, file in ipairs { name, sorted(files, "seg$")[1] } do
      local newer = forge.reseal_header(forge.patch(files[file], 8, "\2\0\0\0"))
      local directory = ramdisk.with(with(files, file, newer))
      local db, message, code = bitcask.open(directory)
      assert.is_nil(db)
      assert.equals("incompatible", code, message)
      assert.equals("refused", (check("newer", with(files, file, newer), expected)))
    end
  end)

  it("salvage gives what stands in the data files when nothing tells which count", function()
    each(function(_, expected, files)
      local name = sorted(files, "^MANIFEST")[1]
      for _, broken in ipairs {
        with(files, "CURRENT", nil), with(files, "CURRENT", "nonsense"), with(files, name, nil),
        with(files, name, files[name]:sub(1, 70)),
      } do
        local directory = ramdisk.with(broken)
        do
          local db <close> = assert(bitcask.open(directory, { salvage = true }))
          for key, value in pairs(expected) do
            assert.equals(value, (db:get(key)))
          end
          assert.equals("readonly", (select(3, db:put("a", "b"))))
        end
        assert.same(broken, ramdisk.load(directory))
      end
    end)
  end)

  it("salvage of a whole store is a read-only store", function()
    each(function(_, expected, files)
      local db <close> = assert(bitcask.open(ramdisk.with(files), { salvage = true }))
      assert.is_nil(history.difference(contents.of(db), expected))
    end)
  end)
end)
