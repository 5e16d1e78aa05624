-- Makes the corpora that the fuzzers begin with: `lua5.4 fuzz/seeds.lua`, in the root of the
-- tree, after `make`. They are committed, so that a run needs nothing else; what is random in
-- stores is another each time, so this is to be run only when a format or an input changes.

package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
package.cpath = "./build/?.so;" .. package.cpath

local bitcask = require "bitcask"
local forge = require "spec.support.forge"
local lfs = require "lfs"
local scratch = require "spec.support.scratch"

local function corpus(target)
  local directory = "fuzz/corpus/" .. target
  lfs.mkdir "fuzz/corpus"
  lfs.mkdir(directory)
  for _, name in ipairs(scratch.files(directory)) do
    if not name:find "^found" then os.remove(directory .. "/" .. name) end
  end
  local count = 0
  return function(name, bytes)
    count = count + 1
    scratch.write(("%s/%02d-%s"):format(directory, count, name), bytes)
  end
end

local function load_files(directory)
  local files = {}
  for _, name in ipairs(scratch.files(directory)) do
    files[name] = scratch.read(directory .. "/" .. name)
  end
  return files
end

local function sorted(files, pattern)
  local names = {}
  for name in pairs(files) do
    if name:find(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- ---- Stores whose values tell their keys: as fuzz/values.h makes them ----------------------

local function value_of(key, number)
  return ("%s|%d|%s"):format(key, number, string.char(97 + number % 26):rep(number % 100))
end

local function fill(db, first, last)
  for i = first, last do
    local key = "k" .. i % 9
    assert(db:put(key, value_of(key, i)))
    if i % 7 == 3 then assert(db:delete("k" .. i % 4) ~= nil) end
  end
end

local function batch(db, number)
  local writes <close> = db:batch()
  writes:put("k1", value_of("k1", number)):delete("k2"):put("k10", value_of("k10", number))
  assert(writes:commit())
end

local makers = {
  closed = function(path)
    local db = assert(bitcask.open(path, { segment_size = 512 }))
    fill(db, 1, 24)
    batch(db, 40)
    assert(db:put("k11", value_of("k11", 3), { ttl = 1e9 }))
    assert(db:put("k12", value_of("k12", 4), { ttl = 0.001 }))
    assert(db:close())
    return load_files(path)
  end,
  killed = function(path)
    local db = assert(bitcask.open(path, { segment_size = 1024 }))
    fill(db, 1, 20)
    batch(db, 7)
    fill(db, 21, 25)
    local files = load_files(path)
    assert(db:close())
    return files
  end,
  merged = function(path)
    local db = assert(bitcask.open(path, { segment_size = 512 }))
    fill(db, 1, 40)
    assert(db:merge())
    fill(db, 41, 50)
    local before = load_files(path)
    assert(db:merge())
    assert(db:close())
    local files = load_files(path)
    for name, bytes in pairs(before) do -- as if nothing had been removed yet
      files[name] = files[name] or bytes
    end
    return files
  end,
  synced = function(path)
    local db = assert(bitcask.open(path, { sync = "always" }))
    fill(db, 1, 12)
    batch(db, 9)
    local files = load_files(path)
    assert(db:close())
    return files
  end,
}

-- Space that was allocated ahead is kept short.
local function trimmed(name, bytes)
  if not name:find "%.seg$" then return bytes end
  local last = #bytes
  while last > 64 and bytes:byte(last) == 0 do
    last = last - 1
  end
  return bytes:sub(1, math.min(#bytes, (last + 7) // 8 * 8 + 24))
end

local stores = {}
for name, make in pairs(makers) do
  local files = make(scratch.path())
  stores[name] = {}
  for file, bytes in pairs(files) do
    local is_content = not file:find "^RESERVE" and file ~= "LOCK"
    if is_content then stores[name][file] = trimmed(file, bytes) end
  end
end
for _, name in ipairs { "batch", "hole", "killed" } do
  stores["golden " .. name] = load_files("spec/golden/" .. name)
end

-- ---- The parsers ------------------------------------------------------------------------------

local function body(bytes)
  return bytes:sub(65), bytes:sub(41, 48)
end

local records = {
  put = string.pack("<I4I4i8I4I2I1I1I4", 0, 0, 1, 1, 1, 0, 0xB5, 0) .. "kv\0\0",
  tombstone = string.pack("<I4I4i8I4I2I1I1I4", 0, 0, 2, 0, 1, 1, 0xB5, 8) .. "k\0\0\0",
  expiring = string.pack("<I4I4i8I4I2I1I1I4i8", 0, 0, 3, 3, 2, 2, 0xB5, 12, 1600000000000)
    .. "kkvvv\0\0\0",
  living = string.pack("<I4I4i8I4I2I1I1I4i8", 0, 0, 4, 3, 2, 2, 0xB5, 12, 1900000000000)
    .. "kkvvv\0\0\0",
  of_a_batch = string.pack("<I4I4i8I4I2I1I1I4", 0, 0, 5, 1, 1, 4, 0xB5, 0) .. "bv\0\0",
  empty = string.pack("<I4I4i8I4I2I1I1I4", 0, 0, 6, 0, 0, 0, 0xB5, 0) .. "\0\0\0\0",
}
local names = sorted(records, "")

local add = corpus "record"
for _, name in ipairs(names) do
  local offset <const>, salt <const> = 64, 7
  local whole = ("\0"):rep(40) .. ("<i8"):pack(salt) .. ("\0"):rep(16) .. records[name]
  add(name, ("<i8I4"):pack(salt, offset // 8) .. forge.reseal_record(whole, offset):sub(65))
  add(name .. "-unsealed", ("<i8I4"):pack(salt, offset // 8) .. records[name])
end

add = corpus "recovery"
local function recovery(name, content)
  for _, marks in ipairs { 1, 3, 5 } do
    add(("%s-%d"):format(name, marks), string.char(marks) .. ("\0"):rep(8) .. content)
  end
  add(name .. "-damaged", "\3" .. ("<I2I1I1I2I1I1"):pack(40, 1, 1, 100, 255, 16) .. content)
end
local all = {}
for i, name in ipairs(names) do
  all[i] = records[name]
end
recovery("all", table.concat(all))
recovery("batch", records.of_a_batch:rep(3) .. records.put .. records.of_a_batch)
recovery("zeros", records.put .. ("\0"):rep(64))
local scan = corpus "scan"
for _, store in ipairs(sorted(stores, "")) do
  local content, salt = body(stores[store][sorted(stores[store], "%.seg$")[1]])
  if #content < 1500 then
    recovery(store:gsub(" ", "-"), content)
    scan(store:gsub(" ", "-"), "\0" .. salt .. content)
  end
end
scan("all", "\1" .. ("\0"):rep(8) .. table.concat(all))

add = corpus "header"
local hint, edit, manifest = corpus "hint", corpus "edit", corpus "manifest"
for _, store in ipairs(sorted(stores, "")) do
  local files = stores[store]
  store = store:gsub(" ", "-")
  local name = sorted(files, "^MANIFEST")[1]
  add(store .. "-manifest", files[name]:sub(1, 64))
  add(store .. "-segment", files[sorted(files, "%.seg$")[1]]:sub(1, 64))
  local content, salt = body(files[name])
  if #content < 2000 then edit(store, salt .. content) end
  if #files[name] < 2000 then
    manifest(store, "\0" .. ("s1"):pack(files.CURRENT) .. files[name])
    manifest(store .. "-sealed", "\11" .. ("s1"):pack(files.CURRENT) .. files[name])
    manifest(store .. "-right", "\6" .. "\0" .. files[name])
  end
  name = sorted(files, "%.hint$")[1]
  if name then
    hint(store, files[name])
    add(store .. "-hint", files[name]:sub(1, 64))
  end
end

local checkpoint = corpus "checkpoint"
for _, store in ipairs(sorted(stores, "")) do
  local bytes = stores[store].KEYDIR
  if bytes then checkpoint(store:gsub(" ", "-"), bytes) end
end

-- ---- Directories ------------------------------------------------------------------------------

add = corpus "directory"
local kinds = {
  ["^CURRENT$"] = 0, ["^MANIFEST%-(%d+)$"] = 1, ["^(%d+)%.seg$"] = 2, ["^(%d+)%.hint$"] = 3,
  ["^KEYDIR$"] = 8,
}

local function tree(files, marks)
  local parts = { string.char(marks) }
  for _, name in ipairs(sorted(files, "")) do
    for pattern, kind in pairs(kinds) do
      local number = name:match(pattern)
      if number then
        parts[#parts + 1] = ("<I1I1I3"):pack(kind, tonumber(number) or 0, #files[name])
        parts[#parts + 1] = files[name]
      end
    end
  end
  return table.concat(parts)
end

for _, store in ipairs { "closed", "killed", "merged", "synced" } do
  for name, marks in pairs { open = 0, salvage = 3, sealed = 4, write = 16 } do
    add(store .. "-" .. name, tree(stores[store], marks))
  end
end

-- ---- Programs -----------------------------------------------------------------------------------

add = corpus "operations"
local steps = {
  put = { 0, 1 }, delete = { 5, 2 }, batch = { 7, 3, 1, 130, 4 }, absent = { 8, 3 }, seal = { 9 },
  merge = { 10, 20 }, hold = { 12, 0 }, look = { 13, 0 }, sync = { 14 }, reopen = { 15 },
  die = { 16 }, cut = { 17, 9 },
}
local stories = {
  "put put seal put delete seal merge merge merge merge",
  "put batch hold delete seal put merge merge look merge look",
  "put sync put batch cut put die put reopen",
  "batch put absent delete absent hold die batch cut look",
}
for i, story in ipairs(stories) do
  for _, settings in ipairs { 0, 5, 10 } do
    local bytes = { string.char(settings) }
    for step in story:gmatch "%a+" do
      bytes[#bytes + 1] = string.char(table.unpack(steps[step]))
    end
    add(("story-%d-%d"):format(i, settings), table.concat(bytes))
  end
end

scratch.clean()
