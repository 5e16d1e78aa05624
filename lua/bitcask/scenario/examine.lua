--- The examination of one disk that a crash has left: the store opens, holds what it may hold,
-- works, and holds it again after that.

local oracle = require "bitcask.scenario.oracle"

local examine = {}

-- What is written to a store after a crash. The key is one that no story uses.
local new_key = "\0after the crash"

-- The functions here raise what they find wrong, as a string without a position.
local function wrong(format, ...) error(format:format(...), 0) end

local function must(what, ok, message, code)
  if ok == nil then wrong("%s: %s (%s)", what, message, code or "raised") end
  return ok
end

local function open(case, disk)
  local ok, store, message, code = pcall(case.open, disk)
  if not ok then wrong("opening raised: %s", store) end
  return must("the store does not open", store, message, code)
end

-- In an order that is the same in every process, so that a failure can be looked at again.
local function sorted_keys(found)
  local keys = {}
  for key in pairs(found) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local function check_counts(store, found)
  local keys = sorted_keys(found)
  for _, key in ipairs(keys) do
    if store:get(key) ~= found[key] then
      wrong("get(%q) differs from what the iteration says", key)
    end
  end
  if store.count and store:count() ~= #keys then
    wrong("count() is %d where there are %d keys", store:count(), #keys)
  end
end

local function check_version(bounds, version)
  if math.type(version) == "integer" and version <= bounds.newest_version then
    wrong("a new write got version %d, where %d was given out before", version,
      bounds.newest_version)
  end
end

-- The same pairs as `expected`, in `store`.
local function check_same(store, expected, when)
  local found = oracle.contents(store)
  if oracle.signature(found) ~= oracle.signature(expected) then
    local log = { entries = { { changes = {} } } }
    for key, value in pairs(expected) do
      table.insert(log.entries[1].changes, { key = key, value = value })
    end
    wrong("%s: %s", when, oracle.complain(log, found, 1, 1, 0))
  end
end

-- Write, overwrite the first key, delete the second, flush and merge.
local function use(bounds, store, expected)
  local some, other = table.unpack(sorted_keys(expected))
  check_version(bounds, must("a put after the crash", store:put(new_key, "1")))
  expected[new_key] = "1"
  if some then
    must("an overwrite after the crash", store:put(some, "again"))
    expected[some] = "again"
  end
  if other then
    must("a delete after the crash", store:delete(other))
    expected[other] = nil
  end
  if store.seal then must("sealing after the crash", store:seal()) end
  must("flushing after the crash", store:sync())
  must("merging after the crash", store:merge())
  check_same(store, expected, "after writing and merging")
end

local function kind_of(name) return name:match "^%d+%.(%a+)$" or name:match "^(%u+)%-" or name end

-- No file is left that the store does not know. Stores that do not list segments are not asked.
local function check_files(case, store, disk)
  if not store.segments then return end
  local counts = {}
  for _, name in ipairs(disk:files(case.directory)) do
    local kind = kind_of(name)
    counts[kind] = (counts[kind] or 0) + 1
    if name:find "%.tmp$" then wrong("%s was left behind", name) end
  end
  local segments = store:stats().segments
  if (counts.seg or 0) ~= segments then
    wrong("%d segment files are there, where the store has %d", counts.seg or 0, segments)
  end
  if (counts.MANIFEST or 0) > 1 then wrong("%d manifests are there", counts.MANIFEST) end
end

local function close(store) must("closing", store:close()) end

--- Open the store on a disk that a crash has left, and check that it holds what the first
-- `least` to `most` writes of the log have made. Then use it, merge it, and open it again.
---@param case table `open(disk)`, `log`, `directory`, `expect(store, found)` or nil
---@param disk bitcask.sim.disk
---@param bounds table `least`, `most`; `newest_version` that was given out before
---@param and_then? fun(found: table) is called once the store was opened and read, closed not
---@return table<string, string>|nil found what it held
---@return string? complaint where something is wrong
function examine.disk(case, disk, bounds, and_then)
  local store
  local ok, result = pcall(function()
    store = open(case, disk)
    local found, now = oracle.contents(store), disk:now()
    local least, most = bounds.least, bounds.most
    if not oracle.explain(case.log, found, least, most, now) then
      wrong("%s", oracle.complain(case.log, found, least, most, now))
    end
    check_counts(store, found)
    if case.expect then case.expect(store, found) end
    if and_then then and_then(found) end
    local expected = {}
    for key, value in pairs(found) do
      expected[key] = value
    end
    use(bounds, store, expected)
    close(store)
    store = open(case, disk)
    check_same(store, expected, "after closing and opening again")
    check_files(case, store, disk)
    close(store)
    return found
  end)
  if ok then return result end
  if store then pcall(store.close, store) end
  return nil, tostring(result)
end

return examine
