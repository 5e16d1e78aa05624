--- Recording what a real store is written, as a trace.
--
-- It reads the store as any reader may, beside a living writer in another process: first what is
-- still on disk of the past, then, if it is to follow, what is written meanwhile. Nothing is
-- asked of the program that writes, and no key or value is kept: only which writes are to the same
-- key, and sizes. What a merge has dropped can no longer be told; the keys that were there before
-- the first write that can be are recorded as if written at once.

local traces = require "bitcask.lab.trace"

local recorder = {}

-- When a version was written: between the times at which its segment was begun and sealed, as if
-- evenly.
local function times_of(description)
  local segments = table.move(description.segments, 1, #description.segments, 1, {})
  segments[#segments + 1] = description.active
  local at = 1
  return function(version)
    while at < #segments and version > segments[at].max_version do at = at + 1 end
    local segment = segments[at]
    if not segment then return description.now end
    local from, to = segment.created, segment.sealed or description.now
    local span = math.max(1, segment.max_version - segment.min_version)
    local share = (version - segment.min_version) / span
    return from + math.max(0, to - from) * math.min(1, math.max(0, share))
  end
end

-- The oldest version after which the files still tell every write.
local function oldest_known(db)
  local newest = db:stats().version
  local function is_known(version)
    local step, changes = db:changes(version)
    if step then changes:close() end
    return step ~= nil
  end
  local low, high = 0, newest
  while low < high do
    local middle = (low + high) // 2
    if is_known(middle) then high = middle else low = middle + 1 end
  end
  return low
end

-- The keys whose last write came after one version and up to another: what is left of those.
local function record_left(db, writer, after, to, time)
  if after == to then return end
  for key in db:keys() do
    local stat = db:stat(key)
    if stat and after < stat.version and stat.version <= to then
      writer.put(key, stat.size, time, stat.expires)
    end
  end
end

local function record_changes(db, writer, since, time_of)
  local step, changes, code = db:changes(since)
  if not step then return nil, changes, code end
  for change in step, changes, nil, changes do
    local time = time_of(change.version)
    if change.deleted then
      writer.delete(change.key, time)
    else
      writer.put(change.key, #change.value, time, change.expires)
    end
    since = change.version
  end
  return since
end

-- What was written since the last look. Where a merge was faster, what it dropped is missing, and
-- what is left is recorded. Beside the newest version: how many writes are missing.
local function follow_once(db, writer, since)
  assert(db:refresh())
  local now = db:segments().now
  local function time_of() return now end
  local last, message, code = record_changes(db, writer, since, time_of)
  if last then return last, 0 end
  if code ~= "notfound" then return nil, message, code end
  local known, before = math.max(since, oldest_known(db)), writer.writes
  record_left(db, writer, since, known, now)
  local missing = known - since - (writer.writes - before)
  last, message, code = record_changes(db, writer, known, time_of)
  if not last then return nil, message, code end
  return last, missing
end

--- Record a store.
---@param db bitcask.store open, best with `readonly`
---@param file file* to write the trace to
---@param given? table `since`: record the writes after this version, as far back as the files tell
--- when left out; `again`: function that waits a while and tells whether to look again for new
--- writes
---@return table|nil counts `writes`, `keys`, `since`, `missing` (writes that a merge has dropped
--- between two looks)
---@return string? message
---@return string? code
function recorder.record(db, file, given)
  given = given or {}
  local writer, missing = traces.writer(file), 0
  local since = given.since or oldest_known(db)
  local time_of = times_of(assert(db:segments()))
  record_left(db, writer, 0, since, time_of(since + 1))
  local last, problem, code = record_changes(db, writer, since, time_of)
  while last and given.again and given.again() do
    last, problem, code = follow_once(db, writer, last)
    if last then missing = missing + problem end
  end
  if not last then return nil, problem, code end
  return { writes = writer.writes, keys = writer.keys, since = since, missing = missing }
end

return recorder
