--- Traces: the writes of a real store, in a file. Of keys and values only the sizes are kept.
--
-- A trace is text, one line for each write, in the order of the writes:
--
--   bitcask-trace 1
--   p 1 5 100 0.000          put: number of the key, size of the key, of the value, second
--   p 1 5 100 0.250 60.250   the same, expiring: and the second at which it does
--   d 1 5 0.300              delete
--
-- Keys are numbered in the order in which they first appear; seconds count from the first line.

local record_size = require("bitcask.lab.accounting").record_size

local trace = {}

local header = "bitcask-trace 1"

local traces = setmetatable({}, { __mode = "k" })

--- Whether a value is a trace that was read.
function trace.is_trace(value)
  return traces[value] == true
end

local function new()
  local made = {
    count = 0, keys = {}, sizes = {}, times = {}, expires = {}, tombstone_sizes = {},
    key_count = 0, live_bytes = 0,
  }
  traces[made] = true
  return made
end

local function add(made, key, size, time, expires)
  local at = made.count + 1
  made.count = at
  made.keys[at], made.sizes[at], made.times[at], made.expires[at] = key, size, time, expires
end

local function add_key(made, key, key_size)
  if key > made.key_count + 1 then return false end
  made.key_count = math.max(made.key_count, key)
  made.tombstone_sizes[key] = record_size(key_size, 0)
  return true
end

local function add_line(made, line)
  local key, key_size, value_size, time, expires =
    line:match "^p (%d+) (%d+) (%d+) (%d+%.?%d*) ?(%d*%.?%d*)$"
  local is_put = key ~= nil
  if not is_put then key, key_size, time = line:match "^d (%d+) (%d+) (%d+%.?%d*)$" end
  key = math.tointeger(tonumber(key or 0))
  if not key or key < 1 or not add_key(made, key, math.tointeger(key_size)) then return false end
  expires = tonumber(expires)
  local size = is_put and
    record_size(math.tointeger(key_size), math.tointeger(value_size), expires)
  add(made, key, size or -1, tonumber(time), expires)
  return true
end

-- The most that was ever live, by which segments are sized that nobody names the size of.
local function measure(made)
  local size_of, live = {}, 0
  for i = 1, made.count do
    local key, size = made.keys[i], math.max(0, made.sizes[i])
    live = live + size - (size_of[key] or 0)
    size_of[key] = size
    made.live_bytes = math.max(made.live_bytes, live)
  end
end

--- Read a trace.
---@param path string
---@return table|nil trace
---@return string? message
function trace.read(path)
  local file <close>, message = io.open(path, "r")
  if not file then return nil, "cannot read the trace: " .. message end
  if file:read "l" ~= header then return nil, path .. ": not a trace of a store" end
  local made, number = new(), 1
  for line in file:lines() do
    number = number + 1
    if not add_line(made, line) then
      return nil, ("%s:%d: not a line of a trace: %s"):format(path, number, line:sub(1, 60))
    end
  end
  if made.count == 0 then return nil, path .. ": the trace holds no writes" end
  measure(made)
  return made
end

--- Something that writes a trace, write by write.
---@param file file* open for writing
---@return table writer `put(key, value_size, time, expires)` and `delete(key, time)`, with the key
--- itself; `keys` and `writes`: how many so far
function trace.writer(file)
  local writer = { keys = 0, writes = 0 }
  local numbers = {}
  local begun

  local function number_of(key)
    if not numbers[key] then
      writer.keys = writer.keys + 1
      numbers[key] = writer.keys
    end
    return numbers[key]
  end

  local function since_begin(time)
    begun = begun or time
    return math.max(0, time - begun)
  end

  local function write(...)
    writer.writes = writer.writes + 1
    return assert(file:write(string.format(...)))
  end

  function writer.put(key, value_size, time, expires)
    local number, at = number_of(key), since_begin(time)
    if expires then
      write("p %d %d %d %.3f %.3f\n", number, #key, value_size, at, math.max(0, expires - begun))
    else
      write("p %d %d %d %.3f\n", number, #key, value_size, at)
    end
  end

  function writer.delete(key, time)
    write("d %d %d %.3f\n", number_of(key), #key, since_begin(time))
  end

  assert(file:write(header, "\n"))
  return writer
end

return trace
