-- The order of system calls on which durability rests, as strace sees it: what is synced
-- before what, and that nothing is removed before what replaces it is safe.

local bitcask = require "bitcask"
local killed = require "spec.support.killed"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tools = require "spec.support.tools"
local trace = require "spec.support.trace"

local find, first = trace.find, trace.first

local segment = "%d+%.seg"
local manifest = "MANIFEST%-%d+"

-- A spec that needs strace.
local function traced(name, body)
  it(name, function()
    if not tools.has_strace() then
      pending "strace is missing or may not trace here"
      return
    end
    body()
  end)
end

local function marks(all, pattern)
  return find(all, { name = "mark", text = pattern })
end

local function mark(all, text)
  return first(all, { name = "mark", text = text }, "mark " .. text)
end

-- Every edit of the manifest: where it is written, and the sync that makes it count.
local function edits(all)
  local found = {}
  for _, write in ipairs(find(all, { name = "pwritev", path = manifest })) do
    local sync = first(all, { name = "fdatasync", path = write.path, ok = true, after = write },
      "the sync of an edit")
    local last = found[#found]
    if last and last.sync == sync then
      last.finish = write
    else
      found[#found + 1] = { start = write, finish = write, sync = sync, path = write.path }
    end
  end
  return found
end

local function edit_after(all, call)
  for _, edit in ipairs(edits(all)) do
    if edit.start.began > call.ended then return edit end
  end
  error "no edit of the manifest follows"
end

describe("the order of system calls", function()
  local path

  before_each(function()
    path = scratch.path()
  end)

  after_each(function()
    ramdisk.clean()
    scratch.clean()
  end)

  traced("sync = \"always\": no put and no delete returns before its segment is synced", function()
    local all = trace.run([[
      local db = assert(bitcask.open((...), { sync = "always", segment_size = 4096 }))
      mark "start"
      for i = 1, 60 do
        assert(db:put("k" .. i % 7, ("v"):rep(i * 13 % 300)))
        mark("put " .. i)
      end
      for i = 1, 5 do
        assert(db:delete("k" .. i))
        mark("delete " .. i)
      end
      assert(db:put("large", ("v"):rep(100000)))
      mark "large"
    ]], path)
    local before = mark(all, "start")
    local seen = 0
    for _, after in ipairs(marks(all, ".*")) do
      if after.began > before.began then
        local syncs = find(all, {
          name = "fdatasync", path = segment, ok = true, after = before, before = after,
        })
        assert.is_truthy(#syncs >= 1, "no sync before " .. after.text)
        -- It is of the segment that is written to: the newest.
        local newest = syncs[#syncs].path
        for _, made in ipairs(find(all, { name = "openat", path = segment, before = after })) do
          if made.text:find "O_CREAT" then
            assert.is_truthy(made.path <= newest, "an older segment was synced")
          end
        end
        before, seen = after, seen + 1
      end
    end
    assert.equals(66, seen)
    -- What goes through a call is covered by a sync that begins after it.
    local large = find(all, { name = "pwritev", path = segment, before = mark(all, "large") })
    local last = large[#large]
    first(all, {
      name = "fdatasync", path = last.path, ok = true, after = last, before = mark(all, "large"),
    }, "the sync of the large value")
  end)

  traced("sync = \"none\": nothing is synced for a put, and db:sync() does it", function()
    local all = trace.run([[
      local db = assert(bitcask.open((...)))
      assert(db:put("k", "v"))
      mark "first"
      for i = 1, 100 do assert(db:put("k" .. i, "v")) end
      mark "written"
      assert(db:sync())
      mark "synced"
    ]], path)
    local written = mark(all, "written")
    local syncs = { name = "fdatasync", after = mark(all, "first"), before = written }
    assert.equals(0, #find(all, syncs))
    first(all, {
      name = "fdatasync", path = segment, ok = true, after = written, before = mark(all, "synced"),
    }, "the sync")
  end)

  traced("sync = seconds: a sync follows by itself", function()
    local all = trace.run([[
      local db = assert(bitcask.open((...), { sync = 0.02 }))
      assert(db:put("k", "v"))
      assert(db:sync())
      local before = db:stats().syncs
      assert(db:put("k", "w"))
      mark "put"
      local began = os.time()
      while db:stats().syncs == before and os.time() - began < 20 do end
      mark "counted"
    ]], path)
    first(all, { name = "fdatasync", path = segment, after = mark(all, "put") }, "a sync")
  end)

  traced("a new store: every file is durable, name and all, before another names it", function()
    local all = trace.run([[
      local db = assert(bitcask.open((...)))
      mark "open"
      assert(db:put("k", "v"))
      mark "put"
    ]], path)
    local open, put = mark(all, "open"), mark(all, "put")
    -- The directory's own name.
    local made = first(all, { name = "mkdir", path = "%.", ok = true }, "making the directory")
    local parent = path:match "^(.*)/"
    first(all, { name = "fsync", path = parent:gsub("%p", "%%%0"), ok = true, after = made,
      before = open }, "the sync of the parent")
    -- The manifest, its name, CURRENT's content, its name.
    local created = first(all, { name = "openat", path = manifest }, "the manifest")
    local edit = edits(all)[1]
    assert.equals(created.path, edit.path)
    local named = first(all, { name = "fsync", path = "%.", ok = true, after = edit.sync },
      "the sync of the manifest's name")
    local text = first(all, { name = "pwritev", path = "CURRENT%.tmp", after = named },
      "CURRENT's text, after the manifest's name is durable")
    local synced = first(all, { name = "fdatasync", path = text.path, ok = true, after = text },
      "the sync of CURRENT")
    local renamed = first(all, { name = "renameat", path = "CURRENT%.tmp", to = "CURRENT",
      ok = true, after = synced }, "the rename")
    first(all, { name = "fsync", path = "%.", ok = true, after = renamed, before = open },
      "the sync of CURRENT's name")
    assert.equals(1, #find(all, { name = "renameat", to = "CURRENT" }))
    -- The first segment: content and name, and then the edit that names it.
    local begun = first(all, { name = "openat", path = segment, after = open }, "the segment")
    local header = first(all, { name = "fdatasync", path = begun.path, ok = true, after = begun },
      "the sync of its header")
    local known = first(all, { name = "fsync", path = "%.", ok = true, after = header },
      "the sync of its name")
    local naming = edit_after(all, begun)
    assert.is_truthy(known.ended < naming.start.began, "the manifest names what may be lost")
    assert.is_truthy(naming.sync.ended < put.began)
  end)

  traced("a rotation: the new segment is durable before the edit that opens it, the old one before "
    .. "the edit that seals it", function()
    local all = trace.run([[
      local db = assert(bitcask.open((...), { segment_size = 2048, sync = "none" }))
      for i = 1, 100 do
        assert(db:put("k" .. i % 10, ("v"):rep(100)))
        mark("put " .. i)
      end
      assert(db:seal())
    ]], path)
    local made = find(all, { name = "openat", path = segment, text = ".*O_CREAT.*" })
    assert.is_truthy(#made >= 5)
    for i = 2, #made do
      local new, old = made[i], made[i - 1]
      -- Edits that seal others may come at any time; the one that opens it comes last, and before
      -- the put that goes there returns.
      local header = first(all, { name = "fdatasync", path = new.path, ok = true, after = new },
        "the sync of " .. new.path)
      local named = first(all, { name = "fsync", path = "%.", ok = true, after = header },
        "the sync of the name " .. new.path)
      local put = first(all, { name = "mark", after = named }, "the put")
      assert.is_true(edit_after(all, named).sync.ended < put.began)
      -- To the last byte: after every write, that is after the put before this rotation.
      local puts = find(all, { name = "mark", before = new })
      local cut = first(all, { name = "ftruncate", path = old.path, ok = true,
        after = puts[#puts] }, "giving back the space behind the end of " .. old.path)
      local synced = first(all, { name = "fdatasync", path = old.path, ok = true, after = cut },
        "the sync of what is sealed, " .. old.path)
      edit_after(all, synced)
      assert.equals(0, #find(all, { name = "pwrite.*", path = old.path, after = cut }))
    end
  end)

  traced("a merge: outputs, names, active segment, edit, and only then the removals", function()
    local all = trace.run([[
      local db = assert(bitcask.open((...), { segment_size = 2048, sync = "none" }))
      for i = 1, 100 do assert(db:put("k" .. i % 10, ("v"):rep(100))) end
      assert(db:seal())
      assert(db:put("k1", "newer, in the active segment"))
      mark "merge"
      assert(db:merge())
      mark "merged"
    ]], path)
    local begin, done = mark(all, "merge"), mark(all, "merged")
    local outputs = find(all, { name = "openat", path = segment, text = ".*O_CREAT.*",
      after = begin, before = done })
    assert.is_truthy(#outputs >= 1)
    local edit = edit_after(all, outputs[#outputs])
    local newest
    for _, output in ipairs(outputs) do
      newest = first(all, { name = "fdatasync", path = output.path, ok = true, after = output,
        before = edit.start }, "the sync of the output " .. output.path)
      -- Nothing of it is written afterwards.
      assert.equals(0, #find(all, { name = "pwrite.*", path = output.path, after = newest }))
    end
    local named = first(all, { name = "fsync", path = "%.", ok = true, after = newest,
      before = edit.start }, "the sync of their names")
    -- The record that made the copied one's forerunner superfluous.
    local made = find(all, { name = "openat", path = segment, text = ".*O_CREAT.*",
      before = begin })
    local active = made[#made].path
    first(all, { name = "fdatasync", path = active, ok = true, after = begin,
      before = edit.start }, "the sync of the active segment")
    assert.is_truthy(named.ended < edit.start.began)
    -- One whose hint file is just being written goes when that is done, maybe after the merge.
    local removed = find(all, { name = "unlinkat", path = segment, ok = true, after = begin })
    assert.is_truthy(#removed >= 4)
    for _, removal in ipairs(removed) do
      assert.is_truthy(removal.began > edit.sync.ended, "removed before the edit is durable")
    end
    assert.equals(0, #find(all, { name = "unlinkat", path = segment, ok = true, before = begin }),
      "some were removed before")
  end)

  -- Readers count themselves by plain stores, which nobody is sure to see before that: one for each
  -- of the two sets of counters, once before the files are let go of and once more before they go.
  traced("a merge: what it has replaced goes when every thread has passed its barriers", function()
    local all = trace.run([[
      local db = assert(bitcask.open((...), { segment_size = 2048 }))
      for i = 1, 100 do assert(db:put("k" .. i % 10, ("v"):rep(100))) end
      assert(db:seal())
      mark "merge"
      assert(db:merge())
    ]], path)
    if #find(all, { name = "membarrier", text = ".*REGISTER.*", ok = false }) > 0 then
      pending "the system has no such barrier"
      return
    end
    local removed = first(all, { name = "unlinkat", path = segment, ok = true,
      after = mark(all, "merge") }, "the first removal")
    local edit = edits(find(all, { before = removed }))
    assert.is_true(#find(all, { name = "membarrier", text = ".*PRIVATE_EXPEDITED.*", ok = true,
      after = edit[#edit].sync, before = removed }) >= 4)
  end)

  traced("a manifest's roll-over: the old one goes when CURRENT's name is durable", function()
    local all = trace.run([[
      for _ = 1, 3 do
        local db <close> = assert(bitcask.open((...), { segment_size = 256 }))
        for i = 1, 300 do assert(db:put("k" .. i % 3, ("v"):rep(150))) end
        assert(db:merge())
      end
    ]], ramdisk.path())
    local switches = find(all, { name = "renameat", to = "CURRENT", ok = true })
    assert.is_truthy(#switches >= 2, "it rolls over: " .. #switches)
    for _, switch in ipairs(switches) do
      local made = find(all, { name = "openat", path = manifest, text = ".*O_CREAT.*",
        before = switch })
      local new = made[#made]
      local synced = first(all, { name = "fdatasync", path = new.path, ok = true, after = new,
        before = switch }, "the sync of " .. new.path)
      first(all, { name = "fsync", path = "%.", ok = true, after = synced, before = switch },
        "the sync of its name")
      local text = find(all, { name = "fdatasync", path = "CURRENT%.tmp", ok = true,
        before = switch })
      assert.is_truthy(text[#text].began > synced.ended, "CURRENT's text comes after it")
      local durable = first(all, { name = "fsync", path = "%.", ok = true, after = switch },
        "the sync of CURRENT's name")
      local removals = find(all, { name = "unlinkat", path = manifest, ok = true, after = new })
      for _, removal in ipairs(removals) do
        assert.is_truthy(removal.began > durable.ended, "the old manifest goes too early")
      end
    end
  end)

  traced("closing: the segment is durable before the edit that says so", function()
    local all = trace.run([[
      local db = assert(bitcask.open((...)))
      for i = 1, 20 do assert(db:put("k" .. i, "v")) end
      mark "written"
      assert(db:close())
      mark "closed"
    ]], path)
    local written = mark(all, "written")
    local synced = first(all, { name = "fdatasync", path = segment, ok = true, after = written },
      "the sync of the segment")
    local edit = edit_after(all, synced)
    assert.is_truthy(edit.sync.ended < mark(all, "closed").began)
    local unlocked = first(all, { name = "flock", path = "LOCK", text = ".*LOCK_UN.*" },
      "giving up the lock")
    assert.is_truthy(unlocked.began > edit.sync.ended, "unlocked too early")
  end)

  traced("hint files: content before name", function()
    local all = trace.run([[
      for round = 1, 2 do
        local db = assert(bitcask.open((...), { segment_size = 1024 }))
        for i = 1, 60 do assert(db:put("k" .. i % 10, ("v"):rep(100))) end
        if round == 2 then assert(db:merge()) end
        assert(db:close())
      end
    ]], path)
    local renamed = find(all, { name = "renameat", path = "%d+%.hint%.tmp", ok = true })
    assert.is_truthy(#renamed >= 5)
    for _, rename in ipairs(renamed) do
      local written = find(all, { name = "pwritev", path = rename.path:gsub("%p", "%%%0"),
        before = rename })
      first(all, { name = "fdatasync", path = rename.path:gsub("%p", "%%%0"), ok = true,
        after = written[#written], before = rename }, "the sync of " .. rename.path)
    end
  end)

  traced("opening after a kill: the tail is made durable, then the edit, then the sweep", function()
    killed.store(path, 100)
    local orphans = { "900001.seg", "900001.hint.tmp", "MANIFEST-900000", "CURRENT.tmp" }
    for _, name in ipairs(orphans) do
      scratch.write(path .. "/" .. name, "")
    end
    local before = {}
    for _, name in ipairs(scratch.files(path, "^0.*%.seg$")) do
      before[name] = scratch.read(path .. "/" .. name)
    end
    local all = trace.run([[
      local db = assert(bitcask.open((...), { segment_size = 1024 }))
      mark "open"
    ]], path)
    local switch = first(all, { name = "renameat", to = "CURRENT", ok = true }, "the edit")
    local durable = first(all, { name = "fsync", path = "%.", ok = true, after = switch },
      "the sync of the edit's name")
    local tail = first(all, { name = "fdatasync", path = segment, ok = true }, "the tail's sync")
    assert.is_truthy(tail.ended < edits(all)[1].start.began, "the edit tells of what may be lost")
    local swept = find(all, { name = "unlinkat", ok = true, path = "900001%.seg" })
    assert.equals(1, #swept)
    for _, removal in ipairs(find(all, { name = "unlinkat", ok = true })) do
      if removal.path ~= "CURRENT.tmp" then
        assert.is_truthy(removal.began > durable.ended, removal.path .. " goes too early")
      end
    end
    -- No data file is changed, or opened so that it could be.
    for _, call in ipairs(all) do
      local is_data = call.path and before[call.path]
      if is_data and call.name ~= "fdatasync" then
        assert.is_false(trace.is_change(call), call.name .. " of " .. call.path)
      end
    end
    for name, bytes in pairs(before) do
      assert.is_true(bytes == scratch.read(path .. "/" .. name), name .. " is changed")
    end
  end)

  for _, state in ipairs { "closed", "killed" } do
    traced("S71 readonly makes, writes, removes and locks nothing: a store that was " .. state,
      function()
        if state == "killed" then
          killed.store(path, 100)
        else
          local db <close> = assert(bitcask.open(path, { segment_size = 1024 }))
          for i = 1, 60 do
            assert(db:put("k" .. i, ("v"):rep(100)))
          end
        end
        scratch.write(path .. "/900001.seg", "an orphan")
        os.remove(path .. "/" .. scratch.files(path, "hint$")[1])
        for _, options in ipairs { "{ readonly = true }", "{ salvage = true }" } do
          local all = trace.run(([[
            local db = assert(bitcask.open((...), %s))
            for key, value in db:pairs() do assert(db:get(key) == value) end
            db:segments()
            db:stats()
            mark "refresh"
            assert(db:refresh())
            assert(db:close())
            mark "closed"
          ]]):format(options), path)
          mark(all, "closed")
          assert.is_truthy(#find(all, { name = "openat", path = segment }) >= 5)
          for _, call in ipairs(all) do
            assert.is_false(trace.is_change(call), call.name .. " " .. (call.path or call.text))
          end
        end
      end)
  end
end)
