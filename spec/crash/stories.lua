-- The stories of which every crash is explored: what a store does in its life, each in its
-- smallest form. Segments are tiny, so that a few writes fill several. Merges happen where the
-- story says so; the chapter of policies is the exception.

local function long(character, count) return character:rep(count or 60) end

local function put_all(db, first, last, value)
  for i = first, last do
    assert(db:put("k" .. i, value or ("v" .. i)))
  end
end

local function ids(db, first, last)
  local list = {}
  for i, segment in ipairs(db:segments().segments) do
    if i >= first and i <= last then list[#list + 1] = segment.id end
  end
  return list
end

-- Three sealed segments with overwrites and deletes among them, and some of it live.
local function three_segments(db)
  put_all(db, 1, 4)
  assert(db:seal())
  put_all(db, 3, 6, "again")
  assert(db:delete "k1")
  assert(db:seal())
  put_all(db, 5, 7, "thrice")
  assert(db:delete "k4")
  assert(db:seal())
end

local bitcask = require "bitcask"

local stories = {}

local chapter

local function story(name, parts)
  parts.name = name
  parts.chapter = chapter
  parts.options = parts.options or {}
  parts.options.segment_size = parts.options.segment_size or 512
  if parts.options.policy == nil then parts.options.policy = false end
  stories[#stories + 1] = parts
end

-- ---- Making and opening -----------------------------------------------------------------

chapter = "opening"

story("making a store", {
  from_nothing = true,
  doing = function(db) db:put("a", "1") end,
})

story("making a store that is always synced", {
  from_nothing = true,
  options = { sync = "always" },
  doing = function(db)
    db:put("a", "1")
    db:put("b", "2")
  end,
})

story("closing and opening again", {
  given = function(db) put_all(db, 1, 3) end,
  doing = function(db)
    db:put("a", "1")
    db:reopen()
    db:put("b", "2")
    db:reopen()
    db:reopen()
    db:delete "a"
  end,
})

-- ---- Writing ------------------------------------------------------------------------------

chapter = "writing"

for _, sync in ipairs { "none", "always", 3600 } do
  story(("writing with sync = %s"):format(sync), {
    options = { sync = sync },
    given = function(db) put_all(db, 1, 2) end,
    doing = function(db)
      db:put("k1", "new")
      db:put("k3", long "x")
      db:delete "k2"
      db:put("k3", "")
    end,
  })
end

story("writing through many segments", {
  options = { segment_size = 256 },
  doing = function(db) put_all(db, 1, 24) end,
})

story("flushing now and then", {
  doing = function(db)
    for i = 1, 8 do
      db:put("k" .. i % 3, long(tostring(i), 20))
      if i % 3 == 0 then assert(db:sync()) end
    end
  end,
})

-- Of two segments that are open, the full one is flushed first.
story("flushing a full segment and the active one", {
  options = { segment_size = 256 },
  doing = function(db)
    for i = 1, 9 do
      db:put("k" .. i % 4, long(tostring(i), 20))
      if i == 6 or i == 9 then assert(db:sync()) end
    end
  end,
})

story("overwriting one key", {
  options = { segment_size = 256 },
  doing = function(db)
    for i = 1, 16 do
      db:put("k", ("%d"):format(i))
    end
  end,
})

story("deleting all", {
  given = function(db) put_all(db, 1, 6) end,
  doing = function(db)
    for i = 1, 6 do
      assert(db:delete("k" .. i))
    end
  end,
})

story("deleting and writing again", {
  given = function(db)
    put_all(db, 1, 2)
    db:seal()
  end,
  doing = function(db)
    db:delete "k1"
    db:seal()
    db:put("k1", "back")
    db:delete "k2"
    db:put("k2", "back")
  end,
})

story("records larger than a segment", {
  doing = function(db)
    db:put("a", long("a", 700))
    db:put("b", "b")
    db:put("a", long("c", 1300))
  end,
  torn_stride = 7,
})

story("values that look like records", {
  doing = function(db)
    db:put("a", ("\0"):rep(64))
    db:put("b", ("BITCASK"):rep(9))
    db:put("", "")
  end,
})

-- ---- Sealing --------------------------------------------------------------------------------

chapter = "sealing"

story("sealing", {
  given = function(db) put_all(db, 1, 3) end,
  doing = function(db)
    db:put("a", "1")
    assert(db:seal())
    db:put("b", "2")
    assert(db:seal())
    assert(db:seal() == false)
  end,
})

-- ---- Batches and transactions ------------------------------------------------------------------

chapter = "batches"

for _, sync in ipairs { "none", "always" } do
  story(("a batch with sync = %s"):format(sync), {
    options = { sync = sync },
    given = function(db) put_all(db, 1, 3) end,
    doing = function(db)
      assert(db:batch():put("a", "1"):delete("k1"):put("k2", "2"):put("b", long "b"):commit())
      assert(db:batch():put("a", "3"):delete("b"):commit())
    end,
  })
end

story("batches that fill segments", {
  options = { segment_size = 256 },
  doing = function(db)
    for i = 1, 4 do
      local batch = db:batch()
      for j = 1, 4 do
        batch:put(("%d.%d"):format(i % 2, j), long(tostring(i), 10))
      end
      assert(batch:commit())
    end
  end,
})

story("a batch larger than a segment", {
  options = { segment_size = 256 },
  given = function(db) put_all(db, 1, 2) end,
  doing = function(db)
    local batch = db:batch()
    for i = 1, 12 do
      batch:put("b" .. i, long("b", 20))
    end
    assert(batch:delete("k1"):commit())
    db:put("after", "1")
  end,
  torn_stride = 11,
})

story("transactions", {
  given = function(db) db:put("n", "0") end,
  doing = function(db)
    for _ = 1, 4 do
      assert(db:transaction(function(tx)
        local n = tonumber((tx:get "n"))
        tx:put("n", tostring(n + 1))
        tx:put("double", tostring(2 * (n + 1)))
      end))
    end
  end,
})

-- ---- Merging ----------------------------------------------------------------------------------

chapter = "merging"

story("merging everything", {
  given = three_segments,
  doing = function(db) assert(db:merge()) end,
})

story("merging everything that is always synced", {
  options = { sync = "always" },
  given = three_segments,
  doing = function(db)
    assert(db:merge())
    db:put("k1", "after")
  end,
})

-- Of a segment that is leapt through only what is live is read.
story("merging what somebody follows", {
  given = function(db)
    put_all(db, 1, 4)
    put_all(db, 2, 3, "again")
    assert(db:seal())
  end,
  doing = function(db)
    assert(db:merge())
    local changes, _, code = db:changes(2)
    assert(not changes and code == "notfound", "dropped writes are passed over")
    assert(db:changes(3))
  end,
})

story("merging the first segment", {
  given = three_segments,
  doing = function(db) assert(db:merge(ids(db, 1, 1))) end,
})

story("merging the second segment", {
  given = three_segments,
  doing = function(db) assert(db:merge(ids(db, 2, 2))) end,
})

story("merging the last segments", {
  given = three_segments,
  doing = function(db) assert(db:merge(ids(db, 2, 3))) end,
})

story("merging subset after subset", {
  given = three_segments,
  doing = function(db)
    assert(db:merge(ids(db, 1, 2)))
    assert(db:merge(ids(db, 1, 1)))
    assert(db:merge(ids(db, 1, 9)))
  end,
})

story("merging what was superseded by what is not durable", {
  given = function(db)
    put_all(db, 1, 3)
    assert(db:seal())
  end,
  doing = function(db)
    put_all(db, 1, 3, "newer")
    assert(db:merge())
  end,
})

story("merging what was deleted by what is not durable", {
  given = function(db)
    put_all(db, 1, 3)
    assert(db:seal())
  end,
  doing = function(db)
    db:delete "k1"
    db:delete "k2"
    db:delete "k3"
    assert(db:merge())
  end,
})

story("merging until nothing is left", {
  given = function(db)
    put_all(db, 1, 4)
    assert(db:seal())
  end,
  doing = function(db)
    for i = 1, 4 do
      db:delete("k" .. i)
    end
    assert(db:seal())
    assert(db:merge())
    assert(db:merge())
  end,
})

story("merging tombstones that are still needed", {
  given = function(db)
    put_all(db, 1, 2)
    assert(db:seal())
    db:delete "k1"
    assert(db:seal())
  end,
  doing = function(db)
    assert(db:merge(ids(db, 2, 2)))
    assert(db:merge(ids(db, 1, 1)))
    assert(db:merge(ids(db, 1, 9)))
  end,
})

story("merging step by step while writing", {
  given = three_segments,
  doing = function(db)
    local i = 0
    for _ in db:merging { step = 64 } do
      if i > 0 then assert(db:get "k3" == "during" .. i) end
      i = i + 1
      db:put("k3", "during" .. i)
      db:put("new" .. i, "1")
      if i == 2 then db:delete "k7" end
      if i == 3 then assert(db:seal()) end
    end
  end,
})

story("sealing while merging", {
  options = { segment_size = 256 },
  given = three_segments,
  doing = function(db)
    local i = 0
    for _ in db:merging { step = 64 } do
      i = i + 1
      put_all(db, 1, 3, long(tostring(i), 30))
    end
    assert(db:merge())
  end,
  states = 150,
})

story("giving up a merge", {
  given = three_segments,
  doing = function(db)
    for _ in db:merging { step = 64 } do
      break
    end
    collectgarbage()
    db:put("k1", "after")
  end,
})

story("merging under a snapshot", {
  given = three_segments,
  doing = function(db)
    local snapshot = db:snapshot()
    db:delete "k3"
    db:put("k5", "after")
    for _ = 1, 2 do
      assert(snapshot:get "k3" == "again" and snapshot:get "k5" == "thrice")
    end
    assert(db:seal())
    assert(db:merge())
    db:put("k3", "new")
    for _ = 1, 2 do
      assert(snapshot:get "k3" == "again" and snapshot:get "k5" == "thrice")
    end
    snapshot:close()
    assert(db:merge())
  end,
})

story("merging, closing, opening, merging", {
  given = three_segments,
  doing = function(db)
    assert(db:merge())
    db:reopen()
    db:put("k2", "later")
    assert(db:seal())
    assert(db:merge())
    db:reopen()
  end,
})

story("merging batches", {
  given = function(db)
    assert(db:batch():put("a", "1"):put("b", "1"):put("c", "1"):commit())
    assert(db:seal())
    assert(db:batch():put("a", "2"):delete("b"):put("d", "2"):commit())
    assert(db:seal())
  end,
  doing = function(db)
    assert(db:merge())
    assert(db:batch():put("a", "3"):delete("c"):commit())
    assert(db:seal())
    assert(db:merge())
  end,
})

-- ---- Expiry -----------------------------------------------------------------------------------

chapter = "expiry"

story("expiring", {
  given = function(db)
    db:put("a", "old")
    db:put("b", "stays")
    assert(db:seal())
    db:put("a", "short", { ttl = 10 })
    db:put("c", "short", { ttl = 20 })
  end,
  doing = function(db)
    db:put("d", "short", { ttl = 5 })
    db:advance(12)
    db:put("b", "new", { ttl = 100 })
    db:advance(12)
    db:put("a", "back")
  end,
})

story("merging what has expired", {
  options = { ttl = 60 },
  given = function(db)
    db:put("a", "old", { ttl = math.huge })
    db:put("b", "old")
    assert(db:seal())
    db:put("a", "short", { ttl = 10 })
    db:put("c", "short", { ttl = 10 })
    assert(db:seal())
  end,
  doing = function(db)
    db:advance(11)
    assert(db:merge(ids(db, 2, 2)))
    db:put("c", "back")
    db:advance(60)
    assert(db:seal())
    assert(db:merge())
  end,
})

-- ---- The manifest -------------------------------------------------------------------------------

chapter = "manifest"

story("rolling over the manifest", {
  options = { segment_size = 256 },
  given = function(db)
    put_all(db, 1, 4)
    db:reopen()
  end,
  doing = function(db)
    for i = 1, 14 do
      db:put("k" .. i % 4, long(tostring(i % 10), 10))
      assert(db:seal())
    end
    db:reopen()
    db:put("k1", "last")
  end,
  states = 100,
})

-- ---- Keydir checkpoints ------------------------------------------------------------------------

chapter = "checkpoints"

-- Opens the store as if the checkpoint were not there; so it is told by hint files and records.
local function open_without(disk)
  disk:take("store", "KEYDIR")
  return bitcask.open("store", { disk = disk, segment_size = 512, policy = false })
end

-- A checkpoint is asked for between writes, in a store that is not closed for a while, and at
-- close; merged segments are in it that are gone later.
local function checkpoints(db)
  db:put("k2", "before")
  assert(db:checkpoint())
  db:put("k3", "after")
  db:delete "k6"
  db:reopen()
  assert(db:merge())
  db:put("k5", "merged")
  assert(db:checkpoint())
  db:put("k9", "unflushed")
end

story("checkpoints", {
  given = three_segments,
  doing = checkpoints,
  states = 150,
  torn_stride = 97,
})

story("checkpoints that are lost", {
  open = open_without,
  given = three_segments,
  doing = checkpoints,
  states = 150,
  torn_stride = 97,
})

story("a checkpoint of a store that is always synced", {
  options = { sync = "always" },
  given = three_segments,
  doing = function(db)
    assert(db:checkpoint())
    db:put("k1", "back")
    assert(db:batch():put("a", "1"):delete("k2"):commit())
    assert(db:checkpoint())
    assert(db:seal())
    db:delete "a"
  end,
  states = 150,
  torn_stride = 97,
})

story("a checkpoint while merging", {
  given = three_segments,
  doing = function(db)
    local step, taken = 0, 0
    for _ in db:merging { step = 64 } do
      step = step + 1
      local done, message, code = db:checkpoint()
      assert(done or code == "busy", message) -- while it changes over to its outputs
      taken = taken + (done and 1 or 0)
      db:put("k3", "during" .. step)
    end
    assert(taken > 3)
    db:reopen()
  end,
  states = 100,
  torn_stride = 997,
})

story("a checkpoint of nothing", {
  doing = function(db)
    assert(db:checkpoint())
    db:put("a", "1")
    db:delete "a"
    assert(db:checkpoint())
    db:reopen()
  end,
  torn_stride = 97,
})

story("a checkpoint amid a merge", {
  options = { segment_size = 1024 },
  given = function(db)
    put_all(db, 1, 8)
    put_all(db, 6, 8, "newer")
    assert(db:seal())
  end,
  doing = function(db)
    local steps = 0
    for _ in db:merging { step = 1 } do
      steps = steps + 1
      if steps == 3 then
        assert(db:delete "k2")
        assert(db:checkpoint())
      end
    end
    assert(steps > 3)
    assert(db:put("k3", "after"))
  end,
  states = 60,
  torn_stride = 64,
})

-- ---- Policies and filters ------------------------------------------------------------------

chapter = "policies"

-- Merges whatever has something dead.
local function eager(store)
  local plan = {}
  for _, segment in ipairs(store.segments) do
    if segment.dead_bytes > 0 then plan[#plan + 1] = segment.id end
  end
  return plan
end

-- They are asked at every seal, when enough has died, and once by the story.
for name, policy in pairs { eager = eager, default = bitcask.policy.default() } do
  story(("overwriting with the %s policy"):format(name), {
    options = { segment_size = 256, policy = policy },
    given = function(db) put_all(db, 1, 3) end,
    doing = function(db)
      for i = 1, 12 do
        db:put("k" .. i % 3, long(tostring(i % 10), 20))
        if i % 4 == 0 then db:delete "k1" end
      end
      assert(db:seal() ~= nil)
      assert(db:maintain())
      assert(db:stats().merges > 0, "the policy wanted nothing")
      db:put("k1", "last")
    end,
    states = 100,
    torn_stride = 7,
  })
end

story("filters that keep, drop and rewrite", {
  given = three_segments,
  doing = function(db)
    assert(db:merge {
      filter = function(key)
        if key == "k2" then return false end
        if key == "k5" then return "rewritten" end
        return true
      end,
    })
    db:put("k2", "after")
  end,
  states = 100,
})

-- ---- Other disks ------------------------------------------------------------------------------

chapter = "disks"

local variants = {
  { "without mappings", { mapped = false } },
  { "with sectors of 64 bytes", { sector = 64 } },
  { "with sectors of 4096 bytes", { sector = 4096 } },
  { "with little allocated ahead", { allocation = 64 } },
}

for _, variant in ipairs(variants) do
  story("a life " .. variant[1], {
    disk = variant[2],
    options = { segment_size = 384 },
    given = three_segments,
    doing = function(db)
      db:put("k2", "new")
      assert(db:batch():put("a", "1"):delete("k3"):put("b", long "b"):commit())
      assert(db:seal())
      db:put("k5", "unsynced")
      assert(db:merge())
      db:delete "a"
      db:reopen()
      db:put("k1", long "z")
    end,
    states = 150,
  })
end

return stories
