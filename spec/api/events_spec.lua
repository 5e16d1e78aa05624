local bitcask = require "bitcask"
local scratch = require "spec.support.scratch"

describe("on_event", function()
  local path, events

  before_each(function()
    path, events = scratch.path(), {}
  end)

  after_each(scratch.clean)

  local function open(options)
    options = options or {}
    options.on_event = options.on_event or function(event)
      events[#events + 1] = event
    end
    return assert(bitcask.open(path, options))
  end

  local function of_kind(kind)
    local found = {}
    for _, event in ipairs(events) do
      if event.kind == kind then found[#found + 1] = event end
    end
    return found
  end

  it("is told what recovery did", function()
    assert(assert(bitcask.open(path)):put("a", "1"))
    collectgarbage()
    local db <close> = open()
    db:count()
    local recovered = of_kind "recovered"
    assert.equals(1, #recovered)
    for _, field in ipairs { "seconds", "records", "segments", "torn_bytes", "orphans" } do
      assert.is_number(recovered[1][field])
    end
  end)

  it("is told when a segment is sealed", function()
    local db <close> = open()
    assert(db:put("a", "1"))
    local id = assert(db:seal())
    local sealed = of_kind "sealed"
    assert.equals(1, #sealed)
    assert.equals(id, sealed[1].segment)
    assert.is_truthy(sealed[1].bytes > 0)
  end)

  it("is told when a segment is sealed for its size", function()
    local db <close> = open { segment_size = 256 }
    for i = 1, 20 do
      assert(db:put("k" .. i, ("v"):rep(100)))
    end
    assert.equals(#db:segments().segments, #of_kind "sealed")
  end)

  it("is told of merges, begun and done", function()
    local db <close> = open()
    assert(db:put("a", "1"))
    assert(db:put("a", "2"))
    assert(db:seal())
    local report = assert(db:merge())
    local merging, merged = of_kind "merging", of_kind "merged"
    assert.equals(1, #merging)
    assert.equals(1, merging[1].segments)
    assert.is_truthy(merging[1].bytes > 0)
    assert.equals(1, #merged)
    assert.same(report, merged[1].report)
    assert.is_number(merged[1].seconds)
  end)

  it("is told of a background merge during a later call", function()
    local db <close> = open()
    assert(db:put("a", "1"))
    assert(db:put("a", "2"))
    assert(db:seal())
    local job = assert(db:merge_async())
    assert(job:wait())
    db:count()
    assert.equals(1, #of_kind "merged")
  end)

  it("may call the store", function()
    local db
    db = open {
      on_event = function(event)
        events[#events + 1] = event
        if db and event.kind == "sealed" then assert(db:put("log", event.kind)) end
      end,
    }
    assert(db:put("a", "1"))
    assert(db:seal())
    assert.equals("sealed", (db:get "log"))
    db:close()
  end)

  it("may cause events, which come with the next call", function()
    local db
    db = open {
      segment_size = 256,
      on_event = function(event)
        events[#events + 1] = event
        if db and event.kind == "sealed" then assert(db:put("log", ("x"):rep(300))) end
      end,
    }
    assert(db:put("a", "1"))
    assert(db:seal())
    assert.equals(1, #of_kind "sealed")
    assert(db:put("b", "1"))
    assert.equals(2, #of_kind "sealed")
    db:close()
  end)

  it("may close the store", function()
    local db
    db = open {
      on_event = function()
        if db then db:close() end
      end,
    }
    assert(db:put("a", "1"))
    assert(db:seal())
    assert.equals("closed store", bitcask.type(db))
    local again <close> = assert(bitcask.open(path))
    assert.equals("1", (again:get "a"))
  end)

  it("that raises breaks nothing, and gets the next event", function()
    local db <close> = open {
      segment_size = 256,
      on_event = function(event)
        events[#events + 1] = event
        error "a bug in the handler"
      end,
    }
    for i = 1, 20 do
      assert(db:put("k" .. i, ("v"):rep(100)))
    end
    assert.equals(20, db:count())
    assert.equals(#db:segments().segments, #of_kind "sealed")
  end)

  it("that yields breaks nothing", function()
    local db <close> = open { on_event = coroutine.yield }
    local write = coroutine.wrap(function()
      assert(db:put("a", "1"))
      return assert(db:seal())
    end)
    assert.is_number(write())
  end)

  it("may refer to its own store and still be collected", function()
    local db
    db = open {
      on_event = function()
        return db
      end,
    }
    local gone = setmetatable({ db }, { __mode = "v" })
    db = nil
    collectgarbage()
    collectgarbage()
    assert.is_nil(gone[1])
  end)
end)
