--- A reader of a store's files, written from docs/format.md and from nothing else, in plain
-- Lua; XXH3 alone is the library's, whose results are those of every XXH3. It believes
-- nothing: whatever is not as that page says raises an error.
--
-- Integers of 64 bits are Lua's, to be compared with math.ult.

local lfs = require "lfs"
local xxh3 = require "bitcask".hash.xxh3

local format_reader = {}

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function low32(value)
  return value & 0xFFFFFFFF
end

local function refuse(...)
  error(string.format(...), 0)
end

local function expect(holds, ...)
  if not holds then refuse(...) end
end

-- ---- The header of a file ------------------------------------------------------------

local HEADER_SIZE <const> = 64

--- Take the header apart that begins `bytes`.
function format_reader.header(bytes, magic)
  expect(#bytes >= HEADER_SIZE, "too short for a header")
  local found, version, boot, identity, number, salt, created, check =
    ("<c8I4I4c16i8i8i8i8"):unpack(bytes)
  expect(found == magic, "magic %s where %s was due", found, magic)
  expect(check == xxh3(bytes:sub(1, 56), 0), "the header fails its check")
  expect(version == 1, "format version %d", version)
  return { boot = boot, identity = identity, number = number, salt = salt, created = created }
end

local function checked_header(bytes, magic, identity, number)
  local header = format_reader.header(bytes, magic)
  expect(header.identity == identity, "%s: of another store", magic)
  expect(header.number == number, "%s: number %d, not %d", magic, header.number, number)
  return header
end

-- ---- CURRENT -------------------------------------------------------------------------

local function current(directory)
  local text = read_file(directory .. "/CURRENT")
  local line, check = text:match "^(MANIFEST%-%d%d%d%d%d%d+ %x+) (%x+)\n$"
  expect(line, "CURRENT is not one line of its form: %q", text)
  local number, digits = line:match "^MANIFEST%-(%d+) (%x+)$"
  expect(#digits == 32 and not digits:find "%u", "CURRENT: the identity is %q", digits)
  expect(check == ("%016x"):format(xxh3(line, 0)), "CURRENT fails its check")
  local identity = digits:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end)
  return math.tointeger(number), identity, "MANIFEST-" .. number
end

-- ---- Manifest ------------------------------------------------------------------------

local FACTS = "<i8i8i8i8i8i8i8i8i8i8i8B"

local function unpack_facts(payload, at)
  local facts = {}
  facts.id, facts.length, facts.records, facts.tombstones, facts.tombstone_bytes,
    facts.min_version, facts.max_version, facts.min_put_version, facts.digest, facts.created,
    facts.sealed, facts.flags, at = FACTS:unpack(payload, at)
  return facts, at
end

local items = {}

function items.F(state, _, at)
  state.sealed, state.open, state.closed, state.dropped = {}, {}, nil, 0
  state.checkpoint = nil
  return at
end

function items.N(state, payload, at)
  state.next_id, state.last_version, at = ("<i8i8"):unpack(payload, at)
  return at
end

local function position(list, wanted)
  for i, one in ipairs(list) do
    if one == wanted then return i end
  end
end

local function add_open(state, id)
  if not position(state.open, id) then table.insert(state.open, id) end
  expect(#state.open <= 16, "%d segments are open", #state.open)
end

local function remove_open(state, id)
  local at = position(state.open, id)
  if at then table.remove(state.open, at) end
  if at then state.closed = nil end
  return at
end

function items.A(state, payload, at)
  local id
  id, at = ("<i8"):unpack(payload, at)
  add_open(state, id)
  state.closed = nil
  return at
end

function items.C(state, payload, at)
  state.closed, at = unpack_facts(payload, at)
  add_open(state, state.closed.id)
  expect(#state.open == 1, "closed with %d segments open", #state.open)
  return at
end

function items.S(state, payload, at)
  local facts
  facts, at = unpack_facts(payload, at)
  expect(not state.sealed[facts.id], "segment %d is sealed twice", facts.id)
  state.sealed[facts.id] = facts
  remove_open(state, facts.id)
  return at
end

function items.R(state, payload, at)
  local id
  id, at = ("<i8"):unpack(payload, at)
  expect(remove_open(state, id) or state.sealed[id], "segment %d is removed, but not there", id)
  state.sealed[id] = nil
  return at
end

function items.K(state, payload, at)
  state.checkpoint, at = ("<i8"):unpack(payload, at)
  if state.checkpoint == 0 then state.checkpoint = nil end
  return at
end

function items.D(state, payload, at)
  state.dropped, at = ("<i8"):unpack(payload, at)
  return at
end

local function replay(state, payload, number)
  expect(number > 1 or payload:sub(1, 1) == "F", "edit 1 begins with no full set")
  local at = 1
  while at <= #payload do
    local tag = payload:sub(at, at)
    expect(items[tag], "edit %d: an item %q", number, tag)
    at = items[tag](state, payload, at + 1)
  end
  expect(at == #payload + 1, "edit %d: an item is cut short", number)
end

--- The payload of the whole edit that stands at `at`, and its number; nil: there is none.
local function edit_at(bytes, at, salt)
  if at + 23 > #bytes then return nil end
  local size, mark, number, check = ("<I4I4i8i8"):unpack(bytes, at)
  if mark ~= 0x5449DE42 or at + 23 + size > #bytes then return nil end
  local payload = bytes:sub(at + 24, at + 23 + size)
  if check ~= xxh3(payload, xxh3(bytes:sub(at, at + 15), salt)) then return nil end
  return payload, number
end

local function manifest(directory)
  local number, identity, name = current(directory)
  local bytes = read_file(directory .. "/" .. name)
  local header = checked_header(bytes, "BCASKMAN", identity, number)
  local state = { identity = identity, edits = 0, manifest = name }
  local at = HEADER_SIZE + 1
  while true do
    local payload, edit = edit_at(bytes, at, header.salt)
    if not payload then break end
    state.edits = state.edits + 1
    expect(edit == state.edits, "edit %d where %d was due", edit, state.edits)
    replay(state, payload, edit)
    at = at + 24 + #payload
  end
  expect(state.edits > 0, "%s: no whole edit", name)
  state.torn_edit = #bytes + 1 - at
  for behind = at + 1, #bytes do
    expect(not edit_at(bytes, behind, header.salt), "%s: an edit behind bad bytes", name)
  end
  return state
end

-- ---- Segments ------------------------------------------------------------------------

--- The record that stands at `offset` (from 0) of a segment's bytes, and where the next one
-- may; nil and what is wrong where there is none.
function format_reader.record(bytes, offset, salt)
  if offset + 28 > #bytes then return nil, "too short for a record" end
  local check, value_check, version, value_size, key_size, flags, mark, synced, at =
    ("<I4I4i8I4I2BBI4"):unpack(bytes, offset + 1)
  if mark ~= 0xB5 then return nil, "no mark" end
  if flags > 7 then return nil, "unknown flags" end
  local is_tombstone, expires = flags & 1 ~= 0, nil
  if is_tombstone and value_size > 0 then return nil, "a tombstone with a value" end
  if flags & 2 ~= 0 then
    if at + 7 > #bytes then return nil, "too short for a record" end
    expires, at = ("<i8"):unpack(bytes, at)
  end
  local key_end = at + key_size - 1
  local next_offset = (key_end + value_size + 7) // 8 * 8
  if next_offset > #bytes then return nil, "longer than the file" end
  if check ~= low32(xxh3(bytes:sub(offset + 5, key_end), salt + offset)) then
    return nil, "the header fails its check"
  end
  if version == 0 then return nil, "version 0" end
  local value = bytes:sub(key_end + 1, key_end + value_size)
  if value_check ~= low32(xxh3(value, 0)) then return nil, "the value fails its check" end
  return {
    key = bytes:sub(at, key_end), value = value, version = version, expires = expires,
    is_tombstone = is_tombstone, continues = flags & 4 ~= 0, flags = flags, synced = synced,
    offset = offset, size = next_offset - offset, check = check,
    padding = bytes:sub(key_end + value_size + 1, next_offset),
  }, next_offset
end

local function fold(digest, check)
  local folded = (digest ~ check) * 0x9E3779B185EBCA87
  return folded ~ (folded >> 32)
end

-- What the records come to, as facts tell it.
local function facts_of(records)
  local facts = { length = HEADER_SIZE, records = #records, tombstones = 0, tombstone_bytes = 0,
    min_version = 0, max_version = 0, min_put_version = -1, digest = 0, expiring = false }
  for _, record in ipairs(records) do
    facts.length = facts.length + record.size
    facts.digest = fold(facts.digest, record.check)
    local is_first = facts.min_version == 0
    if is_first or math.ult(record.version, facts.min_version) then
      facts.min_version = record.version
    end
    if math.ult(facts.max_version, record.version) then facts.max_version = record.version end
    if record.is_tombstone then
      facts.tombstones = facts.tombstones + 1
      facts.tombstone_bytes = facts.tombstone_bytes + record.size
    elseif math.ult(record.version, facts.min_put_version) then
      facts.min_put_version = record.version
    end
    facts.expiring = facts.expiring or record.expires ~= nil
  end
  return facts
end

local function segment_name(id)
  return ("%06d.seg"):format(id)
end

-- Records up to `length`, all of which have to be sound; without a length up to the first
-- bytes that are none.
local function read_records(bytes, salt, length, name)
  local records, offset = {}, HEADER_SIZE
  if length then bytes = bytes:sub(1, length) end
  while offset < #bytes do
    local record, next_offset = format_reader.record(bytes, offset, salt)
    if not record and length then refuse("%s at %d: %s", name, offset, next_offset) end
    if not record then break end
    expect(not record.padding:find "[^\0]", "%s at %d: padding that is not zeros", name, offset)
    expect(record.synced * 8 <= offset, "%s at %d: durable before it was there", name, offset)
    records[#records + 1] = record
    offset = next_offset
  end
  return records, offset
end

-- The records of a batch whose end is missing count for nothing.
local function drop_open_batch(records)
  while #records > 0 and records[#records].continues do
    records[#records] = nil
  end
end

local compared = { "length", "records", "tombstones", "tombstone_bytes", "min_version",
  "max_version", "min_put_version", "digest" }

local function check_facts(facts, records, name)
  local counted = facts_of(records)
  for _, field in ipairs(compared) do
    expect(facts[field] == counted[field], "%s: %s is %d in the manifest, and %d in the file",
      name, field, facts[field], counted[field])
  end
  expect(counted.expiring == (facts.flags & 2 ~= 0), "%s: whether records expire", name)
  expect(facts.flags < 4, "%s: unknown flags of facts", name)
end

local function sealed_segment(directory, state, facts)
  local name = segment_name(facts.id)
  local bytes = read_file(directory .. "/" .. name)
  local header = checked_header(bytes, "BCASKSEG", state.identity, facts.id)
  expect(#bytes >= facts.length, "%s: shorter than the manifest says", name)
  local records = read_records(bytes, header.salt, facts.length, name)
  expect(#records == 0 or not records[#records].continues, "%s: ends in a batch", name)
  check_facts(facts, records, name)
  return { name = name, header = header, facts = facts, records = records, size = #bytes }
end

local function open_segment(directory, state, id)
  local name = segment_name(id)
  local bytes = read_file(directory .. "/" .. name)
  local header = checked_header(bytes, "BCASKSEG", state.identity, id)
  local closed = state.closed
  local records, length = read_records(bytes, header.salt, closed and closed.length, name)
  if closed then
    expect(#bytes == closed.length, "%s: %d bytes after a clean end", name, #bytes)
    check_facts(closed, records, name)
  end
  local read = #records
  drop_open_batch(records)
  return { name = name, header = header, records = records, size = #bytes, length = length,
    dropped = read - #records, tail = bytes:sub(length + 1) }
end

-- Those that were written to, in that order: the last is the active one. Behind a gap in the
-- versions nothing counts.
local function open_segments(directory, state)
  local open, version = {}, nil
  for _, id in ipairs(state.open) do
    local segment = open_segment(directory, state, id)
    local records = segment.records
    if #records > 0 or id == state.open[1] then
      if version and records[1].version ~= version + 1 then break end
      version = #records > 0 and records[#records].version or version
      segment.id = id
      open[#open + 1] = segment
    end
  end
  return open
end

-- ---- Hint files ----------------------------------------------------------------------

local function hint_entries(bytes, count)
  local at, entries = 113, {}
  for i = 1, count do
    local entry = {}
    local key_size
    entry.version, entry.offset, entry.size, key_size, entry.flags, at =
      ("<i8I4I4I2B"):unpack(bytes, at)
    if entry.flags & 2 ~= 0 then
      entry.expires, at = ("<i8"):unpack(bytes, at)
    end
    entry.key = bytes:sub(at, at + key_size - 1)
    at = at + key_size
    entries[i] = entry
  end
  expect(at == #bytes + 1, "a hint file with bytes behind its entries")
  return entries
end

local function check_hint(bytes, segment, identity)
  local facts = segment.facts
  local header = checked_header(bytes, "BCASKHNT", identity, facts.id)
  local length, digest, count, size, entries_check, check = ("<i8i8i8i8i8i8"):unpack(bytes, 65)
  expect(check == xxh3(bytes:sub(65, 104), header.salt), "a hint file whose facts fail")
  expect(size == #bytes - 112, "a hint file of the wrong size")
  expect(entries_check == xxh3(bytes:sub(113), header.salt), "a hint file whose entries fail")
  expect(length == facts.length and digest == facts.digest and count == facts.records,
    "a hint file that describes another state")
  for i, entry in ipairs(hint_entries(bytes, count)) do
    local record = segment.records[i]
    local is_same = entry.key == record.key and entry.version == record.version
      and entry.flags == record.flags and entry.expires == record.expires
      and entry.offset * 8 == record.offset and entry.size * 8 == record.size
    expect(is_same, "%s: entry %d of the hint file differs", segment.name, i)
  end
end

-- ---- Keydir checkpoint ---------------------------------------------------------------

local NO_ITEMS <const> = -1

local function checkpoint_index(bytes, header)
  local size, check = ("<i8i8"):unpack(bytes, #bytes - 15)
  expect(size >= 0 and size <= #bytes - 80, "an index of %d bytes", size)
  expect(check == xxh3(bytes:sub(#bytes - 15 - size, -9), header.salt), "the index fails its check")
  local text = bytes:sub(#bytes - 15 - size, -17)
  local index = { shards = {}, segments = {} }
  local name, shards, segments, at
  name, index.seed, index.items, index.items_offset, index.items_check, index.expiring, shards,
    segments, at = ("<c16i8i8i8i8i8I4I4"):unpack(text)
  index.hash = name:match "^(%w+)%z+$"
  expect(shards == 512, "%d shards", shards)
  for i = 1, shards do
    local shard = {}
    shard.offset, shard.homes, shard.tail, shard.count, shard.used_end, shard.check, at =
      ("<i8I4I4I4I4i8"):unpack(text, at)
    index.shards[i] = shard
  end
  local before = 0
  for _ = 1, segments do
    local row = {}
    local zero
    row.slot, zero, row.id, row.salt, row.covered, row.reached, row.live_bytes, row.live_records,
      row.expired_bytes, row.expired, at = ("<I4I4i8i8i8i8i8i8i8i8"):unpack(text, at)
    expect(zero == 0 and row.id > before, "rows of segments without order")
    before = row.id
    index.segments[row.slot] = row
  end
  if at <= #text then
    expect(text:sub(at, at) == "C", "something else behind the rows")
    index.active, at = unpack_facts(text, at + 1)
  end
  expect(at == #text + 1, "bytes behind the index")
  return index
end

-- The entries of a shard, in their order, each where it may stand.
local function shard_entries(bytes, shard, number, salt)
  local entries, slots = {}, shard.homes + shard.tail
  local text = bytes:sub(shard.offset + 1, shard.offset + 16 * slots)
  expect(shard.offset % 64 == 0 and #text == 16 * slots, "shard %d is not all there", number)
  expect(shard.check == xxh3(text, salt), "shard %d fails its check", number)
  local last, occupied = -1, -1
  for i = 0, slots - 1 do
    local hash, units, place = ("<I4I4i8"):unpack(text, 16 * i + 1)
    if place ~= 0 then
      local home = hash * shard.homes >> 32
      expect(home == i or home < i and occupied == i - 1, "shard %d: a gap before %d", number, i)
      expect(hash >= last and i < shard.used_end, "shard %d: no order at %d", number, i)
      last, occupied = hash, i
      entries[#entries + 1] = { hash = number << 55 | hash << 23, size = units * 8,
        slot = place >> 40, offset = (place & 0x1FFFFFFFF) * 8, expires = place >> 34 & 1 == 1 }
      expect(place >> 33 & 1 == 0, "shard %d: a mark at %d", number, i)
    end
  end
  expect(#entries == shard.count, "shard %d: %d entries", number, #entries)
  return entries
end

local hashes = { xxh3 = xxh3, xxh64 = require "bitcask".hash.xxh64 }

-- What leads to a record of this store leads to one with that hash, and is counted.
local function check_entries(index, entries, segments)
  local sums = {}
  for _, entry in ipairs(entries) do
    local row = index.segments[entry.slot]
    expect(row, "an entry in slot %d, which has no row", entry.slot)
    local sum = sums[row] or { bytes = 0, records = 0, reached = 0 }
    sums[row] = sum
    sum.bytes, sum.records = sum.bytes + entry.size, sum.records + 1
    sum.reached = math.max(sum.reached, entry.offset + entry.size)
    local segment = segments[row.id]
    if segment then
      local record = segment.by_offset[entry.offset]
      expect(record and record.size == entry.size, "an entry that leads to no record")
      expect(entry.expires == (record.expires ~= nil), "an entry that does not know what expires")
      local hash = hashes[index.hash]
      expect(not hash or hash(record.key, index.seed) >> 23 << 23 == entry.hash, "another hash")
      record.has_entry = true
    end
  end
  for _, row in pairs(index.segments) do
    local sum = sums[row] or { bytes = 0, records = 0, reached = 0 }
    expect(sum.bytes == row.live_bytes and sum.records == row.live_records
      and sum.reached == row.reached, "segment %d: other sums", row.id)
  end
end

local function check_items(bytes, index, salt)
  if index.items == NO_ITEMS then return end
  local text = bytes:sub(index.items_offset + 1, index.items_offset + 16 * index.items)
  expect(#text == 16 * index.items, "items are missing")
  expect(index.items_check == xxh3(text, salt), "the items fail their check")
  local times = {}
  for i = 1, index.items do
    times[i] = ("<i8"):unpack(text, 16 * i - 15)
    expect(i == 1 or not math.ult(times[i], times[i // 2]), "items that are no heap")
  end
end

-- Every record that the checkpoint covers, and nothing newer has replaced, has an entry.
local function check_covered(index, segments, newest, taken)
  local rows = {}
  for _, row in pairs(index.segments) do
    rows[row.id] = row
    local segment = segments[row.id]
    expect(not segment or segment.header.salt == row.salt, "segment %d: another salt", row.id)
  end
  for id, segment in pairs(segments) do
    for _, record in ipairs(segment.records) do
      local is_told = rows[id] and record.offset < rows[id].covered
        and newest[record.key] == record and not record.is_tombstone
        and not (record.expires and not math.ult(taken, record.expires))
      expect(not is_told or record.has_entry, "a record at %d without an entry", record.offset)
    end
  end
end

local function checkpoint(directory, state, segments, newest)
  local path = directory .. "/KEYDIR"
  if not state.checkpoint or not lfs.attributes(path) then return nil end
  local bytes = read_file(path)
  local header = checked_header(bytes, "BCASKKEY", state.identity, 0)
  if header.salt ~= state.checkpoint then return nil end
  local index = checkpoint_index(bytes, header)
  local entries, expiring = {}, 0
  for i, shard in ipairs(index.shards) do
    for _, entry in ipairs(shard_entries(bytes, shard, i - 1, header.salt)) do
      entries[#entries + 1] = entry
      if entry.expires then expiring = expiring + 1 end
    end
  end
  expect(expiring == index.expiring, "%d entries that expire", expiring)
  for _, segment in pairs(segments) do
    segment.by_offset = {}
    for _, record in ipairs(segment.records) do
      segment.by_offset[record.offset] = record
    end
  end
  check_entries(index, entries, segments)
  check_items(bytes, index, header.salt)
  check_covered(index, segments, newest, header.created)
  return { entries = #entries, index = index }
end

-- ---- The store -----------------------------------------------------------------------

-- Of two records of a key the one with the higher version counts.
local function collect(newest, records)
  for _, record in ipairs(records) do
    local other = newest[record.key]
    if not other or math.ult(other.version, record.version) then newest[record.key] = record end
  end
end

--- Read the store in `directory`, as it is at `now` (milliseconds since 1970; absent: nothing
-- has expired).
---@return table contents from key to value
---@return table about `versions` from key to version; `state` of the manifest, `sealed`
--- segments, the `active` one, `full` ones that are not sealed yet, `hints`: how many hint files
--- there were, `checkpoint` if one counts
function format_reader.read(directory, now)
  local state = manifest(directory)
  local open = open_segments(directory, state)
  local about = { state = state, sealed = {}, full = {}, active = open[#open], versions = {},
    hints = 0, newest = 0 }
  local newest = {}
  for id, facts in pairs(state.sealed) do
    local segment = sealed_segment(directory, state, facts)
    local hint = ("%s/%06d.hint"):format(directory, id)
    if lfs.attributes(hint) then
      check_hint(read_file(hint), segment, state.identity)
      about.hints = about.hints + 1
    end
    collect(newest, segment.records)
    about.sealed[id] = segment
  end
  local segments = {}
  for id, segment in pairs(about.sealed) do
    segments[id] = segment
  end
  for i, segment in ipairs(open) do
    collect(newest, segment.records)
    segments[segment.id] = segment
    if i < #open then about.full[segment.id] = segment end
  end
  about.checkpoint = checkpoint(directory, state, segments, newest)
  local contents = {}
  for key, record in pairs(newest) do
    local is_gone = record.is_tombstone
      or now and record.expires and not math.ult(now, record.expires)
    if not is_gone then
      contents[key] = record.value
      about.versions[key] = record.version
    end
    if math.ult(about.newest, record.version) then about.newest = record.version end
  end
  return contents, about
end

return format_reader
