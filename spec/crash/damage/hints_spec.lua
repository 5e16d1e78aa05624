-- Hint files only speed up opening: whatever becomes of them, nothing is lost, and they are
-- written again.

local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local damaging = require "spec.support.damaging"
local forge = require "spec.support.forge"
local history = require "spec.support.history"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local with, without, sorted, open_listening, count_of =
  damaging.with, damaging.without, damaging.sorted, damaging.open_listening, damaging.count_of

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

describe("S62 hints:", function()
  local files, model, names

  setup(function()
    local directory = ramdisk.path()
    model = {}
    do
      local db <close> = assert(bitcask.open(directory, { segment_size = 512 }))
      for i = 1, 24 do
        local key = "key" .. i % 16
        model[key] = ("value %d "):format(i):rep(2)
        assert(db:put(key, model[key]))
      end
      assert(db:delete "key3")
      model.key3 = nil
      assert(db:seal())
    end
    files = without(ramdisk.load(directory), "^KEYDIR$") -- else no hint is looked into
    names = sorted(files, "hint$")
    assert(#names >= 3)
  end)

  -- S63: after one opening and closing everything is as it was.
  local function check(case, changed)
    local directory = ramdisk.with(changed)
    for _, options in ipairs { { readonly = true }, {} } do
      local events = {}
      local db = assert(open_listening(directory, events, options))
      local difference = history.difference(contents.of(db), model)
      assert(not difference, difference and case .. ": " .. difference)
      assert.equals(0, count_of(events, "corruption"), case)
      assert(db:close())
    end
    for _, name in ipairs(names) do
      local healed = scratch.read(directory .. "/" .. name)
      assert(healed:sub(113) == files[name]:sub(113), case .. ": not healed: " .. name)
      assert(forge.reseal_hint(healed) == healed, case .. ": its checks are wrong: " .. name)
    end
    scratch.remove(directory)
  end

  it("deleted", function()
    for _, name in ipairs(names) do
      check("without " .. name, with(files, name, nil))
    end
    check("without any", without(files, "hint$"))
  end)

  it("cut at every length", function()
    local bytes = files[names[2]]
    for length = 0, #bytes - 1 do
      check("cut at " .. length, with(files, names[2], bytes:sub(1, length)))
    end
  end)

  it("every byte flipped", function()
    random.begin(62)
    local bytes = files[names[1]]
    for offset = 0, #bytes - 1 do
      local flipped = forge.flip(bytes, offset, math.random(255))
      check("flipped at " .. offset, with(files, names[1], flipped))
    end
  end)

  it("junk behind it", function()
    for _, junk in ipairs { "\0", "x", ("junk"):rep(30), ("\0"):rep(4096) } do
      check("junk", with(files, names[1], files[names[1]] .. junk))
    end
  end)

  it("swapped with another segment's, also under a good number", function()
    local one, other = files[names[1]], files[names[2]]
    check("swapped", with(with(files, names[1], other), names[2], one))
    local renumbered = forge.patch(other, 32, one:sub(33, 40))
    check("renumbered", with(files, names[1], forge.reseal_hint(renumbered)))
    -- And now with the facts of the right segment: only the entries are another's.
    local bound = forge.patch(renumbered, 64, one:sub(65, 80))
    check("bound", with(files, names[1], forge.reseal_hint(bound)))
  end)

  it("entries that lead past the end of the segment, and sizes that lie", function()
    local bytes = files[names[1]]
    for _, lie in ipairs {
      { 120, "\255\255\255\255" }, -- the place of the first record
      { 120, "\0\0\0\0" },
      { 124, "\255\255\255\255" }, -- its size
      { 124, "\0\0\0\0" },
      { 128, "\255\255" },         -- the size of its key
      { 80, "\255\255\255\255\255\255\255\127" }, -- how many there are
      { 80, "\0\0\0\0\0\0\0\0" },
      { 88, "\255\255\255\255\255\255\255\255" }, -- bytes of entries
      { 88, "\0\0\0\0\0\0\0\0" },
      { 64, "\255\255\255\255\255\255\255\255" }, -- length of the segment
    } do
      local changed = forge.reseal_hint(forge.patch(bytes, lie[1], lie[2]))
      check("lie at " .. lie[1], with(files, names[1], changed))
    end
  end)

  it("a directory, a link or a pipe in its place stops nothing", function()
    for _, command in ipairs { "mkdir %s", "ln -s /etc/passwd %s", "mkfifo %s" } do
      local directory = ramdisk.with(without(files, "^" .. names[1]))
      assert(os.execute(command:format(directory .. "/" .. names[1])))
      for _ = 1, 2 do
        local db = assert(bitcask.open(directory))
        assert.is_nil(history.difference(contents.of(db), model))
        assert(db:close())
      end
    end
  end)
end)
