-- What threads see of one another: each operation of a recorded history must have happened at
-- one moment between its call and its return. A failure names the SEED, though threads do not
-- repeat themselves:
--
--   SEED=1234 lua5.4 /usr/bin/busted spec/model/linearizability_spec.lua
--
-- EFFORT=10 does ten times as much.

local bitcask = require "bitcask"
local linear = require "spec.support.linear"
local ramdisk = require "spec.support.ramdisk"
local random = require "spec.support.random"
local tally = require "spec.support.tally"
local tools = require "spec.support.tools"

-- What each thread does: random operations on few keys, all of which are told as
-- spec.support.linear takes them.
local worker = [[
local number, directory, seed, steps = ...
local bitcask = require "bitcask"
local threads = require "spec.threads"
math.randomseed(seed + number)
local db <close> = assert(bitcask.open(directory))
local lines, n = {}, 0

local function key() return "k" .. math.random(6) end

local function some_keys()
  local keys, has = {}, {}
  for _ = 1, math.random(4) do
    local k = key()
    if not has[k] then keys[#keys + 1], has[k] = k, true end
  end
  return keys
end

local function value()
  n = n + 1
  return ("%d:%d:"):format(number, n):rep(math.random(20))
end

local function reads_text(reads)
  local words = {}
  for k, version in pairs(reads) do words[#words + 1] = ("[%q]=%d"):format(k, version) end
  return "{" .. table.concat(words, ",") .. "}"
end

local function keys_text(keys)
  local words = {}
  for i, k in ipairs(keys) do words[i] = ("%q"):format(k) end
  return "{" .. table.concat(words, ",") .. "}"
end

local function tell(call, ret, text, ...)
  lines[#lines + 1] = ("{call=%d,ret=%d,"):format(call, ret) .. text:format(...) .. "},"
end

local now = threads.now
local kinds = {}

function kinds.put()
  local k, v = key(), value()
  local call = now()
  local version = assert(db:put(k, v))
  tell(call, now(), "keys={%q},last=%d", k, version)
end

function kinds.delete()
  local k, call = key(), now()
  local version, message = db:delete(k)
  local ret = now()
  assert(version ~= nil, message)
  if version then
    tell(call, ret, "keys={%q},last=%d,deleted=true", k, version)
  else
    tell(call, ret, "reads={[%q]=0}", k)
  end
end

function kinds.get()
  local k, call = key(), now()
  local v, version, code = db:get(k)
  local ret = now()
  assert(not code, version)
  tell(call, ret, "reads={[%q]=%d}", k, v and version or 0)
end

function kinds.stat()
  local k, call = key(), now()
  local stat = db:stat(k)
  tell(call, now(), "reads={[%q]=%d}", k, stat and stat.version or 0)
end

function kinds.conditional()
  local k, v = key(), value()
  local stat = db:stat(k)
  local expected = stat and stat.version or 0
  local call = now()
  local version, message, code =
    db:put(k, v, stat and { if_version = expected } or { if_absent = true })
  local ret = now()
  assert(version or code == "conflict", message)
  if version then
    tell(call, ret, "keys={%q},last=%d,reads={[%q]=%d}", k, version, k, expected)
  else
    tell(call, ret, "differs={[%q]=%d}", k, expected)
  end
end

function kinds.batch()
  local keys, batch = some_keys(), db:batch()
  for _, k in ipairs(keys) do batch:put(k, value()) end
  local call = now()
  local version = assert(batch:commit())
  tell(call, now(), "keys=%s,last=%d", keys_text(keys), version)
end

-- The last write is to a key of its own: so the version of the commit can be told.
function kinds.transaction()
  local marker = ("m%d.%d"):format(number, n)
  n = n + 1
  local reads, writes
  local is_reader = math.random() < 0.2
  local call = now()
  assert(db:transaction(function(tx)
    reads, writes = {}, {}
    for _, k in ipairs(some_keys()) do
      local v, version = tx:get(k)
      reads[k] = v and version or 0
    end
    if is_reader then return end
    for i, k in ipairs(some_keys()) do
      assert(tx:put(k, value()))
      writes[i] = k
    end
    assert(tx:put(marker, "x"))
    writes[#writes + 1] = marker
  end))
  local ret = now()
  if is_reader then return tell(call, ret, "moment=true,reads=%s", reads_text(reads)) end
  tell(call, ret, "keys=%s,last=%d,reads=%s", keys_text(writes), db:stat(marker).version,
    reads_text(reads))
end

function kinds.snapshot()
  local reads, call = {}, now()
  local snap <close> = db:snapshot()
  local ret = now()
  if math.random() < 0.3 then kinds.batch() end
  for i = 1, 6 do
    local v, version = snap:get("k" .. i)
    reads["k" .. i] = v and version or 0
  end
  tell(call, ret, "moment=true,version=%d,reads=%s", snap.version, reads_text(reads))
end

function kinds.walk()
  local reads, call = {}, now()
  local next_pair, iterator = db:pairs { prefix = "k" }
  local ret = now()
  for i = 1, 6 do reads["k" .. i] = 0 end
  for k, _, version in next_pair, iterator, nil, iterator do reads[k] = version end
  tell(call, ret, "moment=true,reads=%s", reads_text(reads))
end

function kinds.merge()
  local report, message, code = db:merge()
  assert(report or code == "busy", message)
end

local deck = {}
for name, weight in pairs {
  put = 12, delete = 6, get = 20, stat = 5, conditional = 6, batch = 8, transaction = 10,
  snapshot = 6, walk = 4, merge = 2,
} do
  for _ = 1, weight do deck[#deck + 1] = name end
end
table.sort(deck)

for _ = 1, steps do kinds[deck[math.random(#deck)] ]() end
return table.concat(lines, "\n")
]]

local function record(seed, sync, count, steps)
  local path = ramdisk.path()
  local db = assert(bitcask.open(path, { segment_size = 4096, sync = sync }))
  local told = require "spec.threads".run(count, worker, path, seed, steps)
  assert(db:close())
  local history = {}
  for _, text in ipairs(told) do
    for _, operation in ipairs(assert(load("return {" .. text .. "}"))()) do
      history[#history + 1] = operation
    end
  end
  return history
end

describe("what threads do and see", function()
  after_each(ramdisk.clean)
  teardown(tally.report)

  local first = random.begin(os.time())
  local runs = os.getenv "SEED" and 1 or random.effort(20)
  for i = 0, runs - 1 do
    for _, case in ipairs {
      { sync = "none", threads = 4, steps = 1000 },
      { sync = "always", threads = 4, steps = 200 },
      { sync = 0.001, threads = 3, steps = 500 },
    } do
      local seed = first + i
      it(("can be put in one order, sync %s, SEED=%d"):format(case.sync, seed), function()
        local ok, message = tools.module "spec.threads"
        if not ok then return pending(message) end
        local history = record(seed, case.sync, case.threads, case.steps)
        assert.is_true(#history > case.threads * case.steps * 0.9)
        tally.add "linear_histories"
        tally.add("linear_operations", #history)
        local fine, complaint = pcall(linear.check, history)
        if not fine then error(("SEED=%d, sync %s: %s"):format(seed, case.sync, complaint), 0) end
      end)
    end
  end
end)

-- What the checker is worth: histories that are right, and next to them such as are not.
describe("the checker", function()
  local function write(call, ret, last, ...)
    return { call = call, ret = ret, keys = { ... }, last = last }
  end

  local function read(call, ret, reads, more)
    local operation = { call = call, ret = ret, reads = reads }
    for field, value in pairs(more or {}) do operation[field] = value end
    return operation
  end

  local good = {
    ["a read of what is being written, old or new"] = {
      write(1, 2, 1, "a"), write(5, 9, 2, "a"), read(6, 7, { a = 1 }), read(6, 8, { a = 2 }),
    },
    ["reads of a batch key by key, in the middle of it"] = {
      write(1, 9, 2, "a", "b"), read(2, 3, { a = 1 }), read(4, 5, { b = 0 }),
    },
    ["a delete that finds nothing before the put beside it"] = {
      write(1, 9, 1, "a"), read(2, 8, { a = 0 }),
    },
    ["a condition that failed by a write beside it"] = {
      write(1, 2, 1, "a"), write(4, 9, 2, "a"), { call = 3, ret = 8, differs = { a = 1 } },
    },
  }
  for what, history in pairs(good) do
    it("accepts " .. what, function() linear.check(history) end)
  end

  local bad = {
    ["a stale read"] = {
      write(1, 2, 1, "a"), write(3, 4, 2, "a"), read(5, 6, { a = 1 }),
    },
    ["a read from the future"] = { write(5, 6, 1, "a"), read(1, 2, { a = 1 }) },
    ["two reads that go back"] = {
      write(1, 2, 1, "a"), write(3, 20, 2, "a"), read(4, 5, { a = 2 }), read(6, 7, { a = 1 }),
    },
    ["two reads of two keys that go back"] = {
      write(1, 20, 1, "a"), write(1, 20, 2, "b"), read(4, 5, { b = 2 }), read(6, 7, { a = 0 }),
    },
    ["versions against time"] = { write(1, 2, 2, "a"), write(3, 4, 1, "b") },
    ["a version that nobody wrote"] = { write(1, 2, 2, "a") },
    ["a version given out twice"] = { write(1, 2, 1, "a"), write(3, 4, 1, "b") },
    ["half a batch in a snapshot"] = {
      write(1, 9, 2, "a", "b"), read(2, 3, { a = 1, b = 0 }, { moment = true }),
    },
    ["a snapshot of two moments"] = {
      write(1, 2, 1, "a"), write(3, 4, 2, "b"), write(5, 6, 3, "a"),
      read(1, 9, { a = 3, b = 0 }, { moment = true }),
    },
    ["a snapshot with another version than it shows"] = {
      write(1, 2, 1, "a"), write(3, 9, 2, "a"),
      read(4, 5, { a = 2 }, { moment = true, version = 1 }),
    },
    ["a deleted key that comes back"] = {
      write(1, 2, 1, "a"), { call = 3, ret = 4, keys = { "a" }, last = 2, deleted = true },
      read(5, 6, { a = 1 }),
    },
    ["a lost update"] = {
      write(1, 2, 1, "n"), { call = 3, ret = 9, keys = { "n" }, last = 2, reads = { n = 1 } },
      { call = 3, ret = 9, keys = { "n" }, last = 3, reads = { n = 1 } },
    },
    ["write skew"] = {
      write(1, 2, 2, "x", "y"),
      { call = 3, ret = 9, keys = { "x" }, last = 3, reads = { x = 1, y = 2 } },
      { call = 3, ret = 9, keys = { "y" }, last = 4, reads = { x = 1, y = 2 } },
    },
    ["a condition that failed without a reason"] = {
      write(1, 2, 1, "a"), { call = 3, ret = 4, differs = { a = 1 } },
    },
  }
  for what, history in pairs(bad) do
    it("notices " .. what, function()
      local ok, complaint = pcall(linear.check, history)
      assert.is_false(ok)
      assert.is_string(complaint)
    end)
  end
end)
