-- Lengths that lie, and stretches of zeros in the middle of a segment.

local bitcask = require "bitcask"
local child = require "spec.support.child"
local contents = require "spec.support.contents"
local damaging = require "spec.support.damaging"
local forge = require "spec.support.forge"
local killed = require "spec.support.killed"
local lfs = require "lfs"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

local with, without, sorted, open_listening, count_of =
  damaging.with, damaging.without, damaging.sorted, damaging.open_listening, damaging.count_of

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

describe("S60 lengths that lie:", function()
  local files, model, name

  setup(function()
    local directory = ramdisk.path()
    do
      local db <close> = assert(bitcask.open(directory))
      model = {}
      for i = 1, 20 do
        model["k" .. i] = ("v%d "):format(i):rep(10)
        assert(db:put("k" .. i, model["k" .. i]))
      end
      assert(db:seal())
    end
    files = ramdisk.load(directory)
    name = sorted(files, "seg$")[1]
  end)

  local lies = {
    { "a value of 4 GiB", 16, "\255\255\255\255" },
    { "a value of 2 GiB", 16, "\0\0\0\128" },
    { "a key of 65535 bytes", 20, "\255\255" },
    { "an empty key and value", 16, "\0\0\0\0\0\0" },
    { "a value one byte longer", 16, nil },
  }

  -- In a process that may not have much memory.
  local reader = [[
    local path, victim = ...
    local wrong, missing, told = 0, 0, 0
    local db = assert(bitcask.open(path, {
      on_event = function(event) if event.kind == "corruption" then told = told + 1 end end,
    }))
    for i = 1, 20 do
      local value, _, code = db:get("k" .. i)
      if value ~= ("v%d "):format(i):rep(10) then
        if value then wrong = wrong + 1 end
        assert("k" .. i == victim, "another key suffers: k" .. i)
        missing = missing + 1
      end
    end
    for _ in db:pairs { on_damage = "skip" } do end
    assert(db:merge())
    assert(db:put("more", "v"))
    assert(db:close())
    print(wrong, missing, told > 0)
  ]]
  for _, lie in ipairs(lies) do
    for _, has_good_check in ipairs { false, true } do
      local title = lie[1] .. (has_good_check and ", under a good check" or "")
      it(title, function()
        for number, record in ipairs(forge.records(files[name])) do
          if number % 5 == 1 then
            local with_lie = lie[3] or ("<I4"):pack(record.value_size + 1)
            local bytes = forge.patch(files[name], record.offset + lie[2], with_lie)
            local is_readable = record.key_at + 65535 < #bytes or not lie[1]:find "key of"
            if has_good_check and is_readable then
              bytes = forge.reseal_record(bytes, record.offset)
            end
            local directory = ramdisk.with(without(with(files, name, bytes), "hint$"))
            local pipe = assert(io.popen("ulimit -v 300000; " ..
              child.command(reader, directory, record.key) .. " 2>&1"))
            local output = pipe:read "a"
            pipe:close()
            assert.equals("0\t1\ttrue\n", output, title .. " " .. number)
          end
        end
      end)
    end
  end
end)

describe("S61 40 KB of zeros", function()
  for _, state in ipairs { "closed", "killed" } do
    for _, has_hints in ipairs { true, false } do
      local title = ("in the middle of a file: %s, %s hints"):format(state,
        has_hints and "with" or "without")
      it(title, function()
        local directory = ramdisk.path()
        local code = [[
          local db = assert(bitcask.open((...), { segment_size = 200000 }))
          for i = 1, 120 do assert(db:put("k" .. i, ("v%d "):format(i):rep(200))) end
        ]]
        if state == "killed" then
          killed.run(code, directory)
        else
          child.run(code .. "assert(db:seal()) assert(db:close())", directory)
        end
        local names = scratch.files(directory, "seg$")
        assert.equals(1, #names)
        local file = directory .. "/" .. names[1]
        local bytes = scratch.read(file)
        scratch.write(file, forge.patch(bytes, 30000, ("\0"):rep(40960)))
        if not has_hints then os.remove(directory .. "/000001.hint") end
        local victims = {}
        for _, record in ipairs(forge.records(bytes)) do
          if record.offset + record.size > 30000 and record.offset < 70960 then
            victims[record.key] = true
          end
        end
        local events = {}
        local db = assert(open_listening(directory, events))
        for round = 1, 3 do
          for i = 1, 120 do
            local value, _, failure = db:get("k" .. i)
            if victims["k" .. i] then
              assert.is_nil(value)
              assert.is_truthy(failure == "corrupt" or
                failure == nil and (not has_hints or state == "killed"))
            else
              assert.equals(("v%d "):format(i):rep(200), value, "k" .. i .. " in " .. round)
            end
          end
          assert(count_of(events, "corruption") > 0, "not a word of it")
          if round == 1 then
            assert(db:put("after", "it"))
            assert(db:seal())
            assert(db:merge(contents.sealed(db)))
          elseif round == 2 then
            assert(db:close())
            events = {}
            db = assert(open_listening(directory, events))
          end
        end
        assert.equals("it", (db:get "after"))
        assert.is_not_nil(lfs.attributes(file), "the damaged file is gone")
        assert(db:close())
      end)
    end
  end
end)
