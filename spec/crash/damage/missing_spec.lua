-- Data files that are missing, short, long, or something else: a store is refused rather than
-- opened with something silently missing.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local damaging = require "spec.support.damaging"
local history = require "spec.support.history"
local killed = require "spec.support.killed"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local with, without, sorted = damaging.with, damaging.without, damaging.sorted

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

describe("a data file that", function()
  local files, model, names

  setup(function()
    local directory = ramdisk.path()
    model = killed.store(directory, 60)
    files = ramdisk.load(directory)
    names = sorted(files, "seg$")
    assert(#names >= 5)
  end)

  -- Refused by every way of opening, naming the file; nothing in the directory changes.
  local function check_refused(directory, ...)
    local before = ramdisk.load(directory)
    for _, options in ipairs { {}, { readonly = true }, { create = false } } do
      local db, message, code = bitcask.open(directory, options)
      assert.is_nil(db)
      assert.equals("corrupt", code, message)
      assert.matches(directory, message, 1, true)
      for _, name in ipairs { ... } do
        assert.matches(name, message, 1, true)
      end
      local after = ramdisk.load(directory)
      after.LOCK, before.LOCK = nil, nil
      assert.same(before, after)
    end
  end

  -- What salvage gives is true, and is at least what stands in the other files.
  local function check_salvage(directory, least)
    local db <close> = assert(bitcask.open(directory, { salvage = true }))
    local seen = 0
    for key, value in db:pairs { on_damage = "skip" } do
      -- Where what hid it is missing, something older may come.
      assert.is_truthy(value == model[key] or value:find "^old " or value:find "^new ", key)
      if value == model[key] then seen = seen + 1 end
    end
    assert.is_truthy(seen >= least, ("%d of at least %d"):format(seen, least))
    assert.equals("readonly", (select(3, db:put("a", "b"))))
    assert.equals("readonly", (select(3, db:delete "k2")))
    assert.equals("readonly", (select(3, db:merge())))
  end

  local function count(of)
    return #contents.keys(of)
  end

  it("is missing is named, the store refused, and the rest salvaged", function()
    for _, name in ipairs(names) do
      local directory = ramdisk.with(with(files, name, nil))
      check_refused(directory, name)
      check_salvage(directory, count(model) - 25)
    end
  end)

  it("is missing is named, each of several", function()
    local rest = with(with(files, names[1], nil), names[3], nil)
    check_refused(ramdisk.with(rest), names[1], names[3])
    check_salvage(ramdisk.with(rest), 1)
    local none = without(files, "seg$")
    check_refused(ramdisk.with(none), names[1], names[2], names[3])
  end)

  it("is too short is named, whatever its length", function()
    for _, name in ipairs { names[1], names[3] } do
      local bytes = files[name]
      for length = 0, #bytes - 1, 13 do
        local directory = ramdisk.with(with(files, name, bytes:sub(1, length)))
        local db, message, code = bitcask.open(directory, { readonly = true })
        assert.is_nil(db, length)
        assert.equals("corrupt", code)
        assert.matches(name, message, 1, true)
        scratch.remove(directory)
      end
      local directory = ramdisk.with(with(files, name, bytes:sub(1, #bytes // 2)))
      check_refused(directory, name)
      check_salvage(directory, count(model) - 25)
    end
  end)

  it("is longer than it was is read to where it ends", function()
    for _, name in ipairs(names) do
      for _, more in ipairs { "x", ("\0"):rep(5000), files[names[1]] } do
        local directory = ramdisk.with(with(files, name, files[name] .. more))
        local db = assert(bitcask.open(directory))
        assert.is_nil(history.difference(contents.of(db), model))
        assert(db:put("k1", "changed"))
        assert(db:seal())
        assert(db:merge(contents.sealed(db)))
        assert.equals("changed", (db:get "k1"))
        assert(db:close())
        scratch.remove(directory)
      end
    end
  end)

  it("stands in another's place is refused", function()
    local swapped = with(with(files, names[1], files[names[2]]), names[2], files[names[1]])
    check_refused(ramdisk.with(swapped), names[1], names[2])
    local other = ramdisk.path()
    killed.store(other, 60)
    check_refused(ramdisk.with(with(files, names[2], scratch.read(other .. "/" .. names[2]))),
      names[2])
  end)

  it("is a directory, a link or a pipe now is refused, without waiting", function()
    for _, command in ipairs { "mkdir %s", "ln -s /etc/passwd %s", "mkfifo %s" } do
      local directory = ramdisk.with(with(files, names[2], nil))
      assert(os.execute(command:format(directory .. "/" .. names[2])))
      for _, options in ipairs { {}, { readonly = true } } do
        local db, message, code = bitcask.open(directory, options)
        assert.is_nil(db)
        assert.is_truthy(code == "corrupt" or code == "io")
        assert.matches(names[2], message, 1, true)
      end
    end
  end)

  it("S68 is deleted while the store is open: reads, walks and merges tell or succeed", function()
    for _, name in ipairs(names) do
      local directory = ramdisk.with(files)
      local db = assert(bitcask.open(directory, { segment_size = 1024 }))
      os.remove(directory .. "/" .. name)
      for key, value in pairs(model) do
        local found, message, code = db:get(key)
        assert.is_truthy(found == value or code ~= nil, message)
      end
      local ok, all = pcall(contents.of, db)
      assert.is_truthy(not ok or history.difference(all, model) == nil)
      assert(db:put("more", "v"))
      db:merge(contents.sealed(db)) -- may succeed or tell
      for key, value in pairs(model) do
        local found, message, code = db:get(key)
        assert.is_truthy(found == value or code ~= nil, message)
      end
      db:close()
      -- Either the merge has saved what was in it, or the store is refused.
      local again, _, code = bitcask.open(directory)
      if again then
        model.more = "v"
        assert.is_nil(history.difference(contents.of(again), model))
        model.more = nil
        assert(again:close())
      else
        assert.equals("corrupt", code)
      end
    end
  end)
end)
