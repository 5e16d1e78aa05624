-- Forks of a process that has a store open.

local program = require "spec.support.program"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"
local tally = require "spec.support.tally"

after_each(function()
  ramdisk.clean()
  scratch.clean()
end)
teardown(tally.report)

describe("a fork of a process that has a store open", function()
  program("may not use it; the parent's is none the worse when the child goes", [[
    local path = ...
    local db = assert(bitcask.open(path, { segment_size = 512 }))
    for i = 1, 30 do assert(db:put("k" .. i, ("v"):rep(40))) end
    local walk, iterator = db:pairs()
    assert(walk(iterator))
    for ending = 1, 3 do
      local id = process.fork()
      if id == 0 then
        local ok = not pcall(db.get, db, "k1") and not pcall(db.put, db, "k1", "child")
          and not pcall(db.merge, db) and not pcall(db.seal, db) and not pcall(walk, iterator)
          and not pcall(db.pairs, db) and not pcall(db.stats, db)
        -- Opened anew it is the parent's.
        local again, _, code = bitcask.open(path)
        ok = ok and not again and code == "locked"
        local reader = assert(bitcask.open(path, { readonly = true }))
        ok = ok and (reader:get "k2") == ("v"):rep(40) and reader:close()
        if ending == 1 then db:close() end
        if ending == 2 then
          db, walk, iterator = nil, nil, nil
          collectgarbage()
        end
        process.exit(ok and 0 or 1)
      end
      local how, status = process.wait(id)
      assert(how == "exit" and status == 0, how .. status)
      assert(db:put("parent" .. ending, "v"))
      assert((db:get "k1") == ("v"):rep(40))
      -- The lock is held still.
      id = process.fork()
      if id == 0 then
        local other, _, code = bitcask.open(path)
        process.exit(other == nil and code == "locked" and 0 or 1)
      end
      how, status = process.wait(id)
      assert(how == "exit" and status == 0, "the lock is gone")
    end
    local count = 1
    while walk(iterator) do count = count + 1 end
    assert(count == 30)
    assert(db:merge())
    assert(db:close())
    db = assert(bitcask.open(path))
    assert(db:count() == 33)
    assert(db:close())
    print "ok"
  ]])

  program("which lives on holds up nobody once the parent has closed", [[
    local path = ...
    local db = assert(bitcask.open(path))
    assert(db:put("k", "v"))
    assert(os.execute("mkfifo " .. path .. "/waiting"))
    local id = process.fork()
    if id == 0 then
      io.open(path .. "/waiting"):read() -- for ever
    end
    assert(db:close())
    local ok, message = pcall(function()
      local again = assert(bitcask.open(path))
      assert((again:get "k") == "v")
      assert(again:close())
    end)
    process.kill(id)
    process.wait(id)
    assert(ok, message)
    print "ok"
  ]])

  program("during a merge, and with much in the background, ends in peace", [[
    local path = ...
    local db = assert(bitcask.open(path, { segment_size = 4096, sync = 0.001 }))
    local model = {}
    for round = 1, 20 do
      for i = 1, 100 do
        model["k" .. i % 60] = ("value %d "):format(i * round):rep(5)
        assert(db:put("k" .. i % 60, model["k" .. i % 60]))
      end
      local job = db:merge_async()
      local id = process.fork()
      if id == 0 then
        if round % 2 == 0 then db:close() else db = nil collectgarbage() collectgarbage() end
        -- And a store of its own.
        local own = assert(bitcask.open(path .. "-own", { segment_size = 4096 }))
        for i = 1, 50 do assert(own:put("k" .. i, ("v"):rep(200))) end
        assert(own:merge())
        assert(own:close())
        process.exit(0)
      end
      local how, status = process.wait(id)
      assert(how == "exit" and status == 0, how .. status)
      assert(job:wait())
      assert(history.difference(contents.of(db), model) == nil)
    end
    assert(db:close())
    db = assert(bitcask.open(path))
    assert(history.difference(contents.of(db), model) == nil)
    assert(db:close())
    os.execute("rm -r " .. path .. "-own")
    print "ok"
  ]])
end)
