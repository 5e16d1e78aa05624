--- Ten faults of merging and recovery, each as a story: in which of the two stores of this
-- directory it is, what happens there to make it show, and what is found.
--
-- Five of them need a crash: `loses` is what is missing then, and `after` the last thing that the
-- disk did. The others show while everything is well, as soon as the story reads or writes
-- between two steps of a merge, as any other thread could: `fails` is what it meets.

local stores = {
  swap = require "examples.flawed.swap",
  renumber = require "examples.flawed.renumber",
}

-- Two segments, the second with an overwrite and a deletion.
local function two_segments(db)
  assert(db:put("ada", "1815"))
  assert(db:put("alan", "1912"))
  assert(db:put("grace", "1906"))
  assert(db:seal())
  assert(db:put("alan", "1912-1954"))
  assert(db:delete "ada")
  assert(db:seal())
end

local function merge(db) assert(db:merge()) end

local function must_be(db, key, value)
  local found, message = db:get(key)
  if found ~= value then
    error(("%s is %s"):format(key, message or found or "gone"), 0)
  end
end

-- Every key can be read, whatever the merge has come to.
local function reading(db)
  for _ in db:merging { step = 1 } do
    must_be(db, "alan", "1912-1954")
    must_be(db, "grace", "1906")
  end
end

return {
  stores = stores,
  {
    name = "1: old and merged files side by side",
    store = "renumber",
    given = two_segments,
    doing = merge,
    loses = '"ada" is "1815" instead of nothing', -- its deletion is gone, its value is not
    after = "^remove",
  },
  {
    name = "2: the active segment under the wrong number",
    store = "renumber",
    given = function(db)
      two_segments(db)
      assert(db:put("edsger", "1930"))
    end,
    doing = function(db)
      local step = 0
      for _ in db:merging { step = 1 } do
        step = step + 1
        if step == 2 then
          assert(db:put("grace", "1906-1992"))
          assert(db:sync())
        end
      end
      assert(db:put("grace", "Hopper"))
    end,
    loses = '"grace" is "1906" instead of "1906-1992"',
    after = "^rename merged",
  },
  {
    name = "3: no fact that says which files are the store",
    store = "swap",
    given = function(db)
      for i = 1, 8 do
        assert(db:put("k" .. i, ("v"):rep(90)))
      end
      assert(db:seal())
      assert(db:put("k1", "again"))
      assert(db:seal())
    end,
    doing = merge,
    loses = '"k8" is nothing instead of "vvv', -- while others have come back
    after = "^rename merged",
  },
  {
    name = "4: a read finds no file",
    store = "renumber",
    given = two_segments,
    doing = reading,
    fails = "grace is 000001.data: cannot open: no such file",
  },
  {
    name = "5: an iterator loses its files",
    store = "renumber",
    given = two_segments,
    doing = function(db)
      local next, state, key = db:pairs()
      key = next(state, key)
      assert(key)
      merge(db)
      assert(next(state, key))
    end,
    fails = "cannot open: no such file",
  },
  {
    name = "6: handles closed before the keydir leads elsewhere",
    store = "swap",
    given = two_segments,
    doing = reading,
    fails = "alan is 000002.data: no handle leads to it",
  },
  {
    name = "7: the active segment is closed",
    store = "swap",
    given = two_segments,
    doing = function(db)
      for _ in db:merging { step = 1 } do
        assert(db:put("alan", "1912-1954, again"))
      end
    end,
    fails = "the store is closed while it is merged",
  },
  {
    name = "8: old files removed before the keydir is switched",
    store = "renumber",
    given = two_segments,
    doing = function(db)
      local found, message
      for _ in db:merging { step = 1 } do
        found, message = db:get "grace"
      end
      assert(found == "1906", message) -- at the last step
    end,
    fails = "000001.data: cannot open: no such file",
  },
  {
    name = "9: a crash between delete and rename",
    store = "swap",
    given = two_segments,
    doing = merge,
    loses = '"alan" is nothing instead of "1912-1954", "grace" is nothing instead of "1906"',
    after = "^remove",
  },
  {
    name = "10: nobody else is thought of",
    store = "renumber",
    given = two_segments,
    doing = function(db)
      for _ in db:merging { step = 1 } do
        assert(db:put("alan", "Turing"))
      end
      must_be(db, "alan", "Turing")
    end,
    fails = "alan is 1912-1954",
  },
}
