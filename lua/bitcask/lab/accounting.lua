--- The accounting of a store: which segment holds which records, which are live, and what a
-- merge makes of them. The same rules as the engine's, and no bytes: millions of writes take
-- seconds.
--
-- Keys are integers from 1, sizes are those of records on disk. A record of a segment is two
-- integers: the key with what kind of record it is, and the version of the write. It is live as
-- long as that is the version that the key has.

local expiries = require "bitcask.lab.expiries"

local accounting = {}
accounting.__index = accounting

-- The kinds of records, in the low bits beside the key.
local PUT, TOMBSTONE, EXPIRING = 0, 1, 2

-- Bytes of a file that are not records.
local header_size = 64

local no_put = math.maxinteger

local record_header <const>, expiry_field <const>, alignment <const> = 28, 8, 8

--- Bytes of a record on disk; docs/format.md says of what.
---@param key_size integer
---@param value_size integer 0 for a tombstone
---@param expires? any whether it expires
function accounting.record_size(key_size, value_size, expires)
  local size = record_header + (expires and expiry_field or 0) + key_size + value_size
  return (size + alignment - 1) // alignment * alignment
end

--- An empty store.
---@param given table `segment_size` (bytes), `tombstone_size` (function(key) -> bytes),
--- `now` (seconds)
function accounting.new(given)
  return setmetatable({
    segment_size = given.segment_size, seal_size = given.segment_size,
    tombstone_size = given.tombstone_size,
    now = given.now or 0,
    sealed = {}, -- oldest first, by newest version
    active = nil,
    next_id = 1,
    version = 0,
    version_of = {}, segment_of = {}, size_of = {}, expires_of = {},
    expiries = expiries.new(),
    keys = 0, bytes = 0, live_bytes = 0,
    user_bytes = 0, merge_bytes = 0, merges = 0,
    is_due = false, died = 0, -- a policy is worth asking; bytes since it was so last
    peak_bytes = 0, -- inputs and outputs of merges together
  }, accounting)
end

local function new_segment(self)
  local segment = {
    id = self.next_id, created = self.now, length = header_size,
    records = 0, live_bytes = 0, live_records = 0, tombstones = 0, tombstone_bytes = 0,
    kept_bytes = 0, expired_bytes = 0, expired = nil,
    min_version = 0, max_version = 0, min_put = no_put, has_expiring = false,
    codes = {}, versions = {},
  }
  self.next_id = self.next_id + 1
  return segment
end

-- The active segment grows by so many bytes at least until a policy is worth asking.
local growth_least <const> = 1 << 20

local function growth(self)
  return math.max(growth_least, self.segment_size // 16)
end

local function leave_note(self)
  self.is_due, self.died = true, 0
end

-- Put among the sealed ones where its newest version belongs.
local function add_sealed(self, segment)
  segment.sealed = self.now
  local sealed = self.sealed
  local at = #sealed + 1
  while at > 1 and sealed[at - 1].max_version > segment.max_version do
    sealed[at] = sealed[at - 1]
    at = at - 1
  end
  sealed[at] = segment
end

local function append(segment, code, version, size)
  local at = segment.records + 1
  segment.records = at
  segment.codes[at], segment.versions[at] = code, version
  segment.length = segment.length + size
  if version > segment.max_version then segment.max_version = version end
  if version < segment.min_version or at == 1 then segment.min_version = version end
end

local function count_tombstone(segment, size)
  segment.tombstones = segment.tombstones + 1
  segment.tombstone_bytes = segment.tombstone_bytes + size
end

local function count_put(segment, code, version)
  if version < segment.min_put then segment.min_put = version end
  if code & EXPIRING ~= 0 then segment.has_expiring = true end
end

--- Seal the active segment; false where there is nothing in it.
function accounting:seal()
  local active = self.active
  if not active or active.records == 0 then return false end
  add_sealed(self, active)
  self.active = nil
  leave_note(self)
  return true
end

--- Seal the active segment at so many bytes from now on; nil: when it is as large as segments are.
function accounting:seal_at(size)
  self.seal_size = math.min(size or self.segment_size, self.segment_size)
end

-- The active segment, with room for a record. True beside it: another was sealed for it.
local function make_room(self, size)
  local active, is_sealed = self.active, false
  if active and active.length + size > self.seal_size then
    is_sealed = self:seal()
  end
  if not self.active then
    self.active = new_segment(self)
    self.active.asked_at = growth(self)
  end
  return self.active, is_sealed
end

local function note_growth(self, active)
  if active.length < active.asked_at then return end
  active.asked_at = active.length + growth(self)
  leave_note(self)
end

-- The record that the key has is no longer live.
local function bury(self, key)
  local size, segment = self.size_of[key], self.segment_of[key]
  segment.live_bytes = segment.live_bytes - size
  segment.live_records = segment.live_records - 1
  self.live_bytes = self.live_bytes - size
  self.died = self.died + size
  if self.died >= self.segment_size // 4 then leave_note(self) end
  return segment, size
end

--- Write a key.
---@param key integer from 1
---@param size integer bytes of the record
---@param expires? number when, in the seconds of `now`
---@return boolean is_sealed a segment was sealed for it
function accounting:put(key, size, expires)
  local active, is_sealed = make_room(self, size)
  local version = self.version + 1
  self.version = version
  local code = key << 2 | (expires and EXPIRING or PUT)
  append(active, code, version, size)
  note_growth(self, active)
  if self.version_of[key] then bury(self, key) else self.keys = self.keys + 1 end
  count_put(active, code, version)
  active.live_bytes = active.live_bytes + size
  active.live_records = active.live_records + 1
  self.version_of[key], self.segment_of[key], self.size_of[key] = version, active, size
  self.expires_of[key] = expires
  if expires then self.expiries:add(expires, key) end
  self.bytes = self.bytes + size
  self.live_bytes = self.live_bytes + size
  self.user_bytes = self.user_bytes + size
  return is_sealed
end

local function forget(self, key)
  self.version_of[key], self.segment_of[key] = nil, nil
  self.size_of[key], self.expires_of[key] = nil, nil
  self.keys = self.keys - 1
end

--- Delete a key; nothing is written where there is none.
---@return boolean is_sealed
function accounting:delete(key)
  if not self.version_of[key] then return false end
  local size = self.tombstone_size(key)
  local active, is_sealed = make_room(self, size)
  local version = self.version + 1
  self.version = version
  append(active, key << 2 | TOMBSTONE, version, size)
  note_growth(self, active)
  bury(self, key)
  forget(self, key)
  count_tombstone(active, size)
  self.bytes = self.bytes + size
  self.user_bytes = self.user_bytes + size
  return is_sealed
end

--- Let time pass: what is due expires.
function accounting:advance(now)
  self.now = now
  local due = self.expiries
  if due.count == 0 then return end
  for key, expires in function() return due:take(now) end do
    if self.expires_of[key] == expires then
      local segment, size = bury(self, key)
      forget(self, key)
      segment.expired_bytes = segment.expired_bytes + size
      segment.expired = math.max(segment.expired or expires, expires)
    end
  end
end

-- ---- The description ------------------------------------------------------------------

local function describe(segment, is_active)
  local bytes = segment.length - header_size
  return {
    id = segment.id, bytes = bytes, live_bytes = segment.live_bytes,
    dead_bytes = math.max(0, bytes - segment.live_bytes - segment.kept_bytes),
    records = segment.records, live_records = segment.live_records,
    tombstones = segment.tombstones, tombstone_bytes = segment.tombstone_bytes,
    expired_bytes = segment.expired_bytes, expired = segment.expired,
    min_version = segment.min_version, max_version = segment.max_version,
    created = segment.created, sealed = segment.sealed,
    pinned = false, damaged = false, active = is_active,
  }
end

--- The store as policies see it, as db:segments() would describe it.
function accounting:description()
  local store = {
    segments = {}, bytes = self.bytes, live_bytes = self.live_bytes, dead_bytes = 0,
    keys = self.keys, now = self.now, segment_size = self.segment_size,
  }
  for i, segment in ipairs(self.sealed) do
    store.segments[i] = describe(segment, false)
    store.dead_bytes = store.dead_bytes + store.segments[i].dead_bytes
  end
  if self.active then
    store.active = describe(self.active, true)
    store.dead_bytes = store.dead_bytes + store.active.dead_bytes
  end
  return store
end

-- ---- Merging --------------------------------------------------------------------------

local function part(self, ids)
  local is_named, inputs, outside = {}, {}, {}
  for _, id in ipairs(ids) do
    is_named[id] = true
  end
  for _, segment in ipairs(self.sealed) do
    table.insert(is_named[segment.id] and inputs or outside, segment)
  end
  return inputs, outside
end

-- What may have to stay as a tombstone, by key: the newest version of it in the merge.
local function collect_doubtful(inputs, oldest_put)
  local doubtful, newest = {}, 0
  for _, segment in ipairs(inputs) do
    local has_any = segment.tombstones > 0 or segment.has_expiring
    local codes, versions = segment.codes, segment.versions
    for i = 1, has_any and segment.max_version > oldest_put and segment.records or 0 do
      local code, version = codes[i], versions[i]
      if code & 3 ~= PUT and version > oldest_put then
        local key = code >> 2
        if version > (doubtful[key] or 0) then doubtful[key] = version end
        if version > newest then newest = version end
      end
    end
  end
  return doubtful, newest
end

-- Those keys of which a segment outside the merge holds an older put, dead or not.
local function find_needed(inputs, outside)
  local oldest_put = no_put
  for _, segment in ipairs(outside) do
    oldest_put = math.min(oldest_put, segment.min_put)
  end
  local needed = {}
  local doubtful, newest = collect_doubtful(inputs, oldest_put)
  if next(doubtful) == nil then return needed, oldest_put end
  for _, segment in ipairs(outside) do
    local codes, versions = segment.codes, segment.versions
    for i = 1, segment.min_put < newest and segment.records or 0 do
      local version = doubtful[codes[i] >> 2]
      if version and versions[i] < version and codes[i] & TOMBSTONE == 0 then
        needed[codes[i] >> 2] = true
      end
    end
  end
  return needed, oldest_put
end

-- A merge under way: what is copied where, before any of it counts.
local function output_for(self, merge, size)
  local outputs = merge.outputs
  local output = outputs[#outputs]
  if not output or output.length + size > output.capacity then
    output = new_segment(self)
    output.capacity = math.max(self.segment_size, header_size + size)
    outputs[#outputs + 1] = output
  end
  merge.bytes_written = merge.bytes_written + size
  return output
end

local function keep_tombstone(self, merge, key, version)
  local size = self.tombstone_size(key)
  local output = output_for(self, merge, size)
  append(output, key << 2 | TOMBSTONE, version, size)
  count_tombstone(output, size)
  output.kept_bytes = output.kept_bytes + size
  merge.tombstones_kept = merge.tombstones_kept + 1
end

local function copy(self, merge, code, version)
  local size = self.size_of[code >> 2]
  local output = output_for(self, merge, size)
  append(output, code, version, size)
  count_put(output, code, version)
  output.live_bytes = output.live_bytes + size
  output.live_records = output.live_records + 1
  merge.records_kept = merge.records_kept + 1
end

local function take_over(self, merge, segment)
  local codes, versions, version_of = segment.codes, segment.versions, self.version_of
  local needed, oldest_put = merge.needed, merge.oldest_put
  for i = 1, segment.records do
    local code, version = codes[i], versions[i]
    local key = code >> 2
    if version_of[key] == version then
      copy(self, merge, code, version)
    else
      local must_hide = code & 3 ~= PUT and version > oldest_put and needed[key]
      if code & TOMBSTONE == 0 then
        merge.records_dropped = merge.records_dropped + 1
      elseif not must_hide then
        merge.tombstones_dropped = merge.tombstones_dropped + 1
      end
      if must_hide then keep_tombstone(self, merge, key, version) end
    end
  end
end

local function is_pointless(merge, inputs)
  return merge.records_dropped == 0 and merge.tombstones_dropped == 0 and
    #merge.outputs >= #inputs
end

-- Nothing was gained; but now it is known that these tombstones are needed.
local function remember_needed(inputs)
  for _, segment in ipairs(inputs) do
    segment.kept_bytes = segment.tombstone_bytes
  end
end

local function commit(self, merge, outside)
  self.sealed = outside
  for _, segment in ipairs(outside) do
    segment.kept_bytes = 0 -- what they were needed for may be gone
  end
  for _, output in ipairs(merge.outputs) do
    add_sealed(self, output)
    for i = 1, output.records do
      local code = output.codes[i]
      if code & TOMBSTONE == 0 then self.segment_of[code >> 2] = output end
    end
  end
  self.peak_bytes = math.max(self.peak_bytes, self.bytes + merge.bytes_written)
  self.bytes = self.bytes - merge.bytes_in + merge.bytes_written
  self.merge_bytes = self.merge_bytes + merge.bytes_written
  self.merges = self.merges + 1
end

--- Merge some sealed segments into new ones.
---@param ids integer[]
---@return table report as db:merge returns it
function accounting:merge(ids)
  local inputs, outside = part(self, ids)
  local needed, oldest_put = find_needed(inputs, outside)
  local merge = {
    outputs = {}, needed = needed, oldest_put = oldest_put, segments_in = #inputs,
    bytes_in = 0, bytes_read = 0, bytes_written = 0, records_kept = 0, records_dropped = 0,
    tombstones_kept = 0, tombstones_dropped = 0,
  }
  for _, segment in ipairs(inputs) do
    take_over(self, merge, segment)
    local bytes = segment.length - header_size
    merge.bytes_in = merge.bytes_in + bytes
    local goes_unread = segment.live_records == 0 and next(needed) == nil
    if not goes_unread then merge.bytes_read = merge.bytes_read + bytes end
  end
  merge.segments_out = #merge.outputs
  if is_pointless(merge, inputs) then
    remember_needed(inputs)
    merge.segments_in, merge.segments_out, merge.bytes_written = 0, 0, 0
    merge.records_kept, merge.tombstones_kept = 0, 0
  else
    commit(self, merge, outside)
  end
  merge.outputs, merge.needed, merge.oldest_put, merge.bytes_in = nil, nil, nil, nil
  return merge
end

return accounting
