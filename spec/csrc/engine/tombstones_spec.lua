local internals = require "bitcask.internals"
local layers = require "spec.support.layers"
local random = require "spec.support.random"
local scratch = require "spec.support.scratch"

-- Random records over a few segments: a list of lists of { key, value or nil, version }.
local function random_segments(count)
  local lists, version = {}, 0
  for i = 1, count do
    lists[i] = {}
  end
  for _ = 1, math.random(0, 60) do
    version = version + 1
    local value = math.random(2) == 1 and "v" or nil
    table.insert(random.pick(lists), { "k" .. math.random(8), value, version })
  end
  return lists
end

local function make(directory, lists)
  local made = {}
  for id, list in ipairs(lists) do
    made[id] = layers.segment(directory, id)
    layers.fill(made[id], list)
  end
  return made
end

local function oldest_put(segments, outside)
  local oldest = -1
  for id in pairs(outside) do
    local version = segments[id]:facts().min_put_version
    if math.ult(version, oldest) then oldest = version end
  end
  return oldest
end

local function is_needed(lists, outside, key, version)
  for id in pairs(outside) do
    for _, record in ipairs(lists[id]) do
      if record[1] == key and record[2] and record[3] < version then return true end
    end
  end
  return false
end

-- Which are needed when the segments of `outside` are not part of the merge.
local function collect(segments, outside)
  local set = assert(internals.tombstones.new())
  local oldest = oldest_put(segments, outside)
  for id, segment in ipairs(segments) do
    if not outside[id] then assert(set:collect(segment, layers.store, oldest)) end
  end
  for id in pairs(outside) do
    assert(set:mark(segments[id], layers.store))
  end
  return set, oldest
end

describe("a tombstone in a merge", function()
  after_each(scratch.clean)

  it("is needed when an older put of its key stands outside, and not else", function()
    random.begin(11)
    for run = 1, 60 do
      local lists = random_segments(4)
      local directory = layers.directory()
      local segments = make(directory, lists)
      for _, segment in ipairs(segments) do
        if math.random(2) == 1 then assert(segment:write_hint(layers.store)) end
      end
      local outside = {}
      for id = 1, 4 do
        if math.random(2) == 1 then outside[id] = true end
      end
      local set, oldest = collect(segments, outside)
      for id, list in ipairs(lists) do
        for _, record in ipairs(list) do
          if not outside[id] and not record[2] then
            local needed = is_needed(lists, outside, record[1], record[3])
            local kept = set:is_needed(record[1], record[3], oldest)
            assert(kept or not needed, ("run %d: %s is needed"):format(run, record[1]))
            -- One set for all tombstones of a key: only the newest is exact.
            local newer = false
            for other, others in ipairs(lists) do
              for _, rival in ipairs(others) do
                newer = newer or not outside[other] and not rival[2] and rival[1] == record[1]
                  and rival[3] > record[3]
              end
            end
            assert(newer or kept == needed, ("run %d: %s is kept"):format(run, record[1]))
          end
        end
      end
      scratch.clean()
    end
  end)

  it("is kept when something outside cannot be read", function()
    local directory, path = layers.directory()
    local segments = make(directory, { { { "a", "1", 1 }, { "b", "2", 2 } }, { { "c", nil, 3 } } })
    segments[1]:sync()
    local file = assert(io.open(path .. "/000001.seg", "r+b"))
    file:seek("set", 64 + 9)
    file:write "X"
    file:close()
    local set, oldest = collect(segments, { true })
    assert.is_true(set:is_needed("c", 3, oldest))
  end)

  it("collected in want of memory leaves none behind", function()
    local directory = layers.directory()
    local list = {}
    for n = 1, 200 do
      list[n] = { "k" .. n, nil, n + 1 }
    end
    local segments = make(directory, { { { "k7", "v", 1 } }, list })
    -- A hint file that cannot be loaded is made up for by reading the segment.
    local succeeded = 0
    for n = 1, 20 do
      collectgarbage()
      local before = internals.memory.balance()
      internals.memory.refuse(n)
      local set, _, code = internals.tombstones.new()
      local done = set
      if done then done, _, code = set:collect(segments[2], layers.store, 1) end
      if done then done, _, code = set:mark(segments[1], layers.store) end
      internals.memory.refuse(0)
      assert.equal(not done and "nomemory" or nil, code)
      if done then
        succeeded = succeeded + 1
        assert.is_true(set:is_needed("k7", 8, 1))
        assert.is_false(set:is_needed("k8", 9, 1))
      end
      if set then set:close() end
      assert.equal(before, internals.memory.balance())
    end
    assert.is_true(succeeded > 10 and succeeded < 18)
  end)
end)
