-- Situations that broke other stores of this kind: deletes and their tombstones.

local contents = require "spec.support.contents"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"
local the = require "spec.support.one_store"

local open, restart, merge_all = the.open, the.restart, the.merge_all
local put, delete, seal = the.put, the.delete, the.seal
local put_alone, delete_alone = the.put_alone, the.delete_alone

before_each(the.begin)
after_each(the.finish)

describe("deletes, tombstones and merging:", function()
  it("S11 a tombstone merged alone still hides what is older", function()
    open()
    put_alone("k", "v")
    local tombstone = delete_alone "k"
    put_alone("other", "v")
    assert(the.db:merge { tombstone })
    assert.is_nil(the.db:get "k")
    restart()
    assert.is_nil(the.db:get "k")
    contents.check(the.db, { other = "v" })
  end)

  it("S12 any merge order: contents equal the model", function()
    for seed = 1, 20 do
      random.begin(seed)
      the.path = scratch.path()
      open { segment_size = 256 }
      local expected = {}
      for _ = 1, 6 do
        for _ = 1, 30 do
          local key = "k" .. math.random(6)
          if math.random() < 0.4 then
            delete(key)
            expected[key] = nil
          else
            local value = random.bytes(60)
            put(key, value)
            expected[key] = value
          end
        end
        seal()
        assert(the.db:merge(random.shuffled(random.some(contents.sealed(the.db)))))
        restart { segment_size = 256 }
        contents.check(the.db, expected)
      end
      the.db:close()
    end
  end)

  it("S13 a stale tombstone is still needed", function()
    open()
    put_alone("k", "v1")
    local tombstone = delete_alone "k"
    local second = put_alone("k", "v2")
    delete_alone "k"
    assert(the.db:merge { second })
    restart()
    assert.is_nil(the.db:get "k")
    assert(the.db:merge { tombstone })
    restart()
    assert.is_nil(the.db:get "k")
    merge_all()
    restart()
    assert.is_nil(the.db:get "k")
    assert.equals(0, the.db:count())
  end)

  it("S14 tombstones go away: deletes and a merge bring disk use to about zero", function()
    open { segment_size = 4096 }
    for i = 1, 1000 do
      put("k" .. i, ("v"):rep(50))
    end
    for i = 1, 1000 do
      delete("k" .. i)
    end
    seal()
    for _ = 1, 10 do
      assert(the.db:merge())
    end
    assert.equals(0, the.db:segments().bytes)
    restart()
    assert.equals(0, the.db:count())
    assert.equals(0, the.db:segments().bytes)
  end)

  it("S14 tombstones go away: also where merges only ever take subsets", function()
    random.begin(14)
    open { segment_size = 2048 }
    for i = 1, 500 do
      put("k" .. i, ("v"):rep(50))
    end
    for i = 1, 500 do
      delete("k" .. i)
    end
    seal()
    local function pair_of(sealed)
      local i = math.random(#sealed - 1)
      return { sealed[i], sealed[i + 1] }
    end
    for _ = 1, 300 do
      local sealed = contents.sealed(the.db)
      if #sealed < 2 then break end
      assert(the.db:merge(pair_of(sealed)))
    end
    assert(the.db:merge())
    assert.is_truthy(the.db:segments().bytes < 1000)
    assert.equals(0, the.db:count())
  end)

  it("S15 no superfluous tombstones: overwriting writes none", function()
    open()
    for i = 1, 10 do
      put("k", "v" .. i)
    end
    local id = seal()
    local segment = the.db:segments().segments[1]
    assert.equals(id, segment.id)
    assert.equals(0, segment.tombstones)
    assert.equals(10, segment.records)
  end)

  it("S16 full merge: one key, one segment", function()
    open()
    put_alone("a", "1")
    put_alone("b", "2")
    put_alone("c", "3")
    delete_alone "a"
    delete_alone "b"
    merge_all()
    assert.equals(1, #the.db:segments().segments)
    contents.check(the.db, { c = "3" })
    restart()
    contents.check(the.db, { c = "3" })
  end)

  it("S17 merge with no survivors leaves no output", function()
    open()
    for i = 1, 5 do
      put_alone("k" .. i, "v")
    end
    for i = 1, 5 do
      delete_alone("k" .. i)
    end
    local report = merge_all()
    assert.equals(0, report.segments_out)
    assert.equals(0, #the.db:segments().segments)
    restart()
    assert.equals(0, the.db:count())
  end)

  it("S18 a key deleted while a merge runs stays deleted", function()
    open { segment_size = 1 << 16 }
    for i = 1, 500 do
      put("k" .. i % 100, ("v%d"):format(i):rep(100))
    end
    seal()
    local job <close> = assert(the.db:merge_async())
    for i = 0, 99 do
      delete("k" .. i)
    end
    assert(job:wait())
    assert.equals(0, the.db:count())
    restart()
    assert.equals(0, the.db:count())
    for i = 0, 99 do
      assert.is_nil(the.db:get("k" .. i))
    end
  end)

  it("S19 what is written while a merge runs is what is read, also after a restart", function()
    open { segment_size = 1 << 16 }
    local expected = {}
    for i = 1, 1000 do
      expected["k" .. i % 200] = ("v%d"):format(i):rep(50)
      put("k" .. i % 200, expected["k" .. i % 200])
    end
    seal()
    local turn = 0
    assert(the.db:merge {
      segments = contents.sealed(the.db),
      progress = function()
        turn = turn + 1
        for i = 0, 199, 3 do
          put("k" .. i, "turn " .. turn)
          expected["k" .. i] = "turn " .. turn
        end
        for i = 1, 199, 3 do
          delete("k" .. i)
          put("k" .. i, "again " .. turn)
          expected["k" .. i] = "again " .. turn
        end
      end,
    })
    contents.check(the.db, expected)
    restart()
    contents.check(the.db, expected)
  end)

  it("S20 a tombstone that a merge copies does not hide a later put", function()
    open()
    put_alone("k", "v1")
    local tombstone = delete_alone "k"
    local written = false
    assert(the.db:merge {
      segments = { tombstone },
      progress = function()
        if not written then put("k", "v2") end
        written = true
      end,
    })
    assert.equals("v2", (the.db:get "k"))
    restart()
    assert.equals("v2", (the.db:get "k"))
    seal()
    merge_all()
    restart()
    contents.check(the.db, { k = "v2" })
  end)

  it("S21 put, merge, delete, put, restart", function()
    open()
    put_alone("k", "v1")
    merge_all()
    delete "k"
    put("k", "v2")
    restart()
    contents.check(the.db, { k = "v2" })
    seal()
    merge_all()
    restart()
    contents.check(the.db, { k = "v2" })
  end)

  it("S22 one key, merged in parts", function()
    open()
    local e1 = put_alone("k", "v1")
    local e2 = delete_alone "k"
    assert(the.db:merge { e1 })
    local e3 = put_alone("k", "v3")
    local e4 = delete_alone "k"
    local e5 = put_alone("other", "v")
    local e6 = put_alone("k", "v6")
    local left = {}
    for _, id in ipairs(contents.sealed(the.db)) do
      left[id] = true
    end
    local plan = {}
    for _, id in ipairs { e1, e2, e4, e5, e6 } do
      if left[id] then plan[#plan + 1] = id end
    end
    assert(the.db:merge(plan))
    contents.check(the.db, { k = "v6", other = "v" })
    restart()
    contents.check(the.db, { k = "v6", other = "v" })
    assert.is_number(e3)
    delete "k"
    seal()
    restart()
    contents.check(the.db, { other = "v" })
    merge_all()
    restart()
    contents.check(the.db, { other = "v" })
  end)
end)
