--- Every package that this system knows of, stored, changed, merged, and compared.
--
--   lua5.4 examples/packages.lua [DIR] [FILE]
--
-- DIR   where the store is made, and left to be looked at; a temporary one otherwise
-- FILE  records as `apt-cache dumpavail` prints them; its own output otherwise
--
-- Each record is stored under its name and version. Then a third is overwritten and a fifth
-- deleted, the dead bytes are merged away, the store is closed and opened again, and every
-- record is compared with what it should be. Exit status: 0 when all are equal, 1 when
-- anything differs or fails, 2 when there is nothing to read.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/../lua/?.lua;%s/../lua/?/init.lua;"):format(here, here) .. package.path
package.cpath = ("%s/../build/?.so;"):format(here) .. package.cpath

local bitcask = require "bitcask"

local overwrite_every, delete_every = 3, 5
local segment_size = 4 * 2 ^ 20

local function say(...)
  print(string.format(...))
end

local function refuse(...)
  io.stderr:write("packages: ", string.format(...), "\n")
  os.exit(2)
end

local function mebibytes(bytes)
  return ("%.1f MiB"):format(bytes / 2 ^ 20)
end

-- Run an action and tell how long it kept the processor busy.
local function timed(title, action)
  local begin = os.clock()
  local detail = action()
  say("%-12s %7.2f s   %s", title, os.clock() - begin, detail)
end

-- ---- The source ----------------------------------------------------------------------

local function open_source(file)
  if file then
    local handle, message = io.open(file, "rb")
    if not handle then refuse("cannot read the records: %s", message) end
    return handle
  end
  return io.popen("{ apt-cache dumpavail || cat /var/lib/apt/lists/*_Packages; } 2>/dev/null")
end

-- Iterate over the records: texts that blank lines part.
local function records(handle)
  local lines = handle:lines("L")
  return function()
    local record = {}
    for line in lines do
      if line ~= "\n" then
        record[#record + 1] = line
      elseif #record > 0 then
        break
      end
    end
    if #record > 0 then return table.concat(record) end
  end
end

local function key_of(record)
  local name = record:match("^Package: ([^\n]+)") or record:match("\nPackage: ([^\n]+)")
  local version = record:match("\nVersion: ([^\n]+)")
  return name and version and name .. " " .. version
end

-- What the store should hold: key -> record, and the keys in the order of the source.
local function read_source(handle)
  local expected, keys = {}, {}
  for record in records(handle) do
    local key = key_of(record)
    if key then
      if not expected[key] then keys[#keys + 1] = key end
      expected[key] = record
    end
  end
  handle:close()
  return expected, keys
end

-- ---- The store -----------------------------------------------------------------------

local function put_all(db, expected, keys)
  local bytes = 0
  for _, key in ipairs(keys) do
    assert(db:put(key, expected[key]))
    bytes = bytes + #expected[key]
  end
  return ("%d records, %s"):format(#keys, mebibytes(bytes))
end

local function overwrite_some(db, expected, keys)
  local count = 0
  for i = 1, #keys, overwrite_every do
    local key = keys[i]
    expected[key] = expected[key] .. "X-Overwritten: yes\n"
    assert(db:put(key, expected[key]))
    count = count + 1
  end
  return ("%d records"):format(count)
end

local function delete_some(db, expected, keys)
  local count = 0
  for i = 1, #keys, delete_every do
    assert(db:delete(keys[i]))
    expected[keys[i]] = nil
    count = count + 1
  end
  return ("%d records"):format(count)
end

local function merge(db)
  assert(db:seal() ~= nil)
  local before = assert(db:segments()).bytes
  local report = assert(db:merge())
  return ("%d segments became %d; %s became %s"):format(
    report.segments_in, report.segments_out,
    mebibytes(before), mebibytes(assert(db:segments()).bytes))
end

-- ---- The comparison ------------------------------------------------------------------

-- Compare both ways: every record with the store, and every pair with the source.
local function compare(db, expected, keys)
  local differences = 0
  local function differs(key, how)
    differences = differences + 1
    if differences <= 10 then say("  %s: %s", key, how) end
  end
  for _, key in ipairs(keys) do
    local value, message = db:get(key)
    if value ~= expected[key] then
      differs(key, value and "another record" or expected[key] and (message or "missing"))
    end
  end
  local count = 0
  for key, value in db:pairs() do
    count = count + 1
    if value ~= expected[key] then differs(key, "iterated, but not as it should be") end
  end
  if count ~= db:count() then
    differs("the count", ("%d, but %d were iterated"):format(db:count(), count))
  end
  return differences
end

-- ---- The whole -----------------------------------------------------------------------

local function temporary_directory()
  local name = os.tmpname()
  os.remove(name)
  return name .. "-packages"
end

local function remove(directory)
  os.execute(("rm -rf -- '%s'"):format(directory:gsub("'", "'\\''")))
end

-- It is merged where this program says so, and its figures are of that.
local function open(directory)
  return assert(bitcask.open(directory, { segment_size = segment_size, policy = false }))
end

local function write(directory, expected, keys)
  local db <close> = open(directory)
  if db:count() > 0 then refuse("%s holds a store already", directory) end
  timed("stored", function() return put_all(db, expected, keys) end)
  timed("overwritten", function() return overwrite_some(db, expected, keys) end)
  timed("deleted", function() return delete_some(db, expected, keys) end)
  timed("merged", function() return merge(db) end)
  timed("closed", function() return assert(db:close()) and "flushed" end)
end

local function read(directory, expected, keys)
  local differences
  local db
  timed("reopened", function()
    db = open(directory)
    return ("%d keys"):format(db:count())
  end)
  timed("compared", function()
    differences = compare(db, expected, keys)
    return ("%d keys, %d differences"):format(#keys, differences)
  end)
  assert(db:close())
  return differences
end

local function run(directory, expected, keys)
  write(directory, expected, keys)
  return read(directory, expected, keys)
end

local directory, file = arg[1], arg[2]
local expected, keys
say("step         processor   what")
timed("read", function()
  expected, keys = read_source(open_source(file))
  return ("%d records from %s"):format(#keys, file or "apt")
end)
if #keys == 0 then
  refuse("no records: run `apt-get update` first, or name a file of them")
end

local store = directory or temporary_directory()
local ok, differences = xpcall(run, debug.traceback, store, expected, keys)
if not directory then remove(store) end
if not ok then
  io.stderr:write("packages: ", differences, "\n")
  os.exit(1)
end
say(differences == 0 and "Everything is as it should be." or "The store differs from its source.")
os.exit(differences == 0)
