-- A store does not survive fork(): its threads stay behind, and its lock is the parent's.

local child = require "spec.support.child"
local scratch = require "spec.support.scratch"

-- Lua has no fork; this gives it one.
local source = [[
#include <lauxlib.h>
#include <lua.h>
#include <sys/wait.h>
#include <unistd.h>

static int forked(lua_State *L) {
  lua_pushinteger(L, fork());
  return 1;
}

static int wait_for(lua_State *L) {
  int status = 0;
  waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 1;
}

__attribute__((visibility("default"))) int luaopen_forks(lua_State *L) {
  static const luaL_Reg functions[] = {{"fork", forked}, {"wait", wait_for}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
]]

describe("in a forked child", function()
  local directory

  setup(function()
    directory = scratch.directory()
    scratch.write(directory .. "/forks.c", source)
    os.execute(("cd '%s' && cc -shared -fPIC -I/usr/include/lua5.4 -o forks.so forks.c 2>/dev/null")
      :format(directory))
  end)

  teardown(scratch.clean)

  local function needs_fork()
    if not io.open(directory .. "/forks.so", "rb") then pending "a C compiler is needed" end
    -- A fork between two instructions of another thread's malloc leaves the sanitizer's allocator
    -- locked in the child for ever: it does not do as the C library, which waits for that lock.
    if os.getenv "ASAN_OPTIONS" then pending "AddressSanitizer does not survive every fork" end
  end

  -- Run `code` in a forked child of a process that has a store open, then look at the store
  -- in the parent; the output of both.
  local function run(code)
    needs_fork()
    local path = scratch.path()
    return child.run(([[
      local directory, path = ...
      package.cpath = directory .. "/?.so;" .. package.cpath
      local forks = require "forks"
      local db = assert(bitcask.open(path, { segment_size = 256 }))
      for i = 1, 50 do assert(db:put("k" .. i %% 7, ("v"):rep(100))) end
      assert(db:seal() ~= nil)
      local function raises(f, ...)
        local ok, message = pcall(f, ...)
        assert(not ok and message:find("fork", 1, true), message)
      end
      local next, iterator = db:pairs()
      assert(next(iterator))
      local snap, batch = db:snapshot(), db:batch():put("batch", "not committed")
      local next_change, changes = assert(db:changes(db:stats().version - 1))
      local job = assert(db:merge_async { rate = 1000 })
      local pid = forks.fork()
      if pid == 0 then
        %s
        print "child"
        os.exit(0, true)
      end
      local status = forks.wait(pid)
      job:cancel()
      job:wait()
      assert(snap:get "k1" and #snap == 7 and #batch == 1)
      assert(next_change(changes).key == "k1")
      local seen = 1
      for _ in next, iterator do seen = seen + 1 end
      assert(db:put("parent", "goes on"))
      assert(db:merge())
      assert(db:close())
      db = assert(bitcask.open(path))
      print(status, seen, db:count(), (db:get "parent"))
    ]]):format(code), directory, path)
  end

  it("every use of the store raises, and the parent goes on", function()
    assert.equals("child\n0\t7\t8\tgoes on\n", (run [[
      raises(db.get, db, "k1")
      raises(db.put, db, "k1", "v")
      raises(db.has, db, "k1")
      raises(db.delete, db, "k1")
      raises(db.stat, db, "k1")
      raises(db.get_many, db, { "k1" })
      raises(db.count, db)
      raises(db.pairs, db)
      raises(db.keys, db)
      raises(db.sync, db)
      raises(db.seal, db)
      raises(db.refresh, db)
      raises(db.segments, db)
      raises(db.stats, db)
      raises(db.merge, db)
      raises(db.merge_async, db)
      raises(db.snapshot, db)
      raises(db.changes, db)
      raises(db.transaction, db, print)
      raises(pairs, db)
    ]]))
  end)

  it("an iterator, a job, a snapshot, a batch and changes raise, too", function()
    assert.equals("child\n0\t7\t8\tgoes on\n", (run [[
      raises(next, iterator)
      raises(next_change, changes)
      raises(batch.commit, batch)
      raises(snap.get, snap, "k1")
      raises(snap.stat, snap, "k1")
      raises(snap.count, snap)
      raises(snap.pairs, snap)
      raises(job.wait, job)
    ]]))
  end)

  it("closing gives back what is the child's, and harms nothing", function()
    assert.equals("child\n0\t7\t8\tgoes on\n", (run [[
      iterator:close()
      job:close()
      snap:close()
      batch:close()
      changes:close()
      pcall(db.close, db)
      assert(bitcask.type(db) == "closed store")
    ]]))
  end)

  it("the end of the program harms nothing", function()
    assert.equals("child\n0\t7\t8\tgoes on\n", (run ""))
  end)

  it("the store may be opened anew, once the parent has closed it, and not before", function()
    local output = run [[
      local other, _, code = bitcask.open(path)
      print(other, code)
    ]]
    assert.equals("nil\tlocked\nchild\n0\t7\t8\tgoes on\n", output)
  end)

  it("a merge that the policy wants is the parent's, who goes on with it", function()
    needs_fork()
    local output = child.run([[
      local directory, path = ...
      package.cpath = directory .. "/?.so;" .. package.cpath
      local forks = require "forks"
      local rate, asked = 1, 0
      local db = assert(bitcask.open(path, { segment_size = 256, policy = function(store)
        asked = asked + 1
        local plan = { rate = rate }
        for i, segment in ipairs(store.segments) do plan[i] = segment.id end
        return plan
      end }))
      for i = 1, 50 do assert(db:put("k" .. i % 7, ("v"):rep(100))) end
      assert(db:stats().merging == 1)
      local pid = forks.fork()
      if pid == 0 then
        local before = asked
        for _, call in ipairs { db.put, db.seal, db.merge, db.merge_async, db.maintain } do
          local ok, message = pcall(call, db, "k1", "v")
          assert(not ok and (message:find "fork" or message:find "plan"), message)
        end
        pcall(db.close, db)
        assert(asked == before, "the child's policy was asked")
        print "child"
        os.exit(0, true)
      end
      local status = forks.wait(pid)
      assert(db:stats().merging == 1)
      rate = nil
      assert(db:put("parent", "goes on"))
      assert(db:merge())
      assert(db:maintain())
      for i = 0, 6 do assert(db:get("k" .. i) == ("v"):rep(100)) end
      assert(db:close())
      db = assert(bitcask.open(path, { policy = false }))
      print(status, db:count(), (db:get "parent"))
    ]], directory, scratch.path())
    assert.equals("child\n0\t8\tgoes on\n", output)
  end)
end)
