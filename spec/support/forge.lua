--- Reading and writing the bytes of a store's files as docs/format.md has them, for specs that
-- damage them on purpose, or make up files whose checks are good and whose content is not.

local hash = require "bitcask.hash"

local forge = {}

local header_size = 64

local function low32(value)
  return value & 0xFFFFFFFF
end

--- The bytes with some of them replaced: `with` stands at `offset`, counted from 0.
function forge.patch(bytes, offset, with)
  return bytes:sub(1, offset) .. with .. bytes:sub(offset + #with + 1)
end

--- The bytes with one of them changed: exclusive or with `mask`.
function forge.flip(bytes, offset, mask)
  return forge.patch(bytes, offset, string.char(bytes:byte(offset + 1) ~ mask))
end

local function parse_record(bytes, offset)
  if offset + 28 > #bytes then return nil end
  local check, value_check, version, value_size, key_size, flags, mark =
    ("<I4I4i8I4I2I1I1"):unpack(bytes, offset + 1)
  if mark ~= 0xB5 then return nil end
  local key_at = offset + (flags & 2 ~= 0 and 36 or 28)
  local bare = key_at + key_size + value_size - offset
  return {
    offset = offset, check = check, value_check = value_check, version = version,
    flags = flags, key = bytes:sub(key_at + 1, key_at + key_size), key_at = key_at,
    value_at = key_at + key_size, value_size = value_size, bare_size = bare,
    size = (bare + 7) // 8 * 8, is_tombstone = flags & 1 ~= 0,
  }
end

--- The records of an undamaged segment, in file order.
function forge.records(bytes)
  local records, offset = {}, header_size
  while true do
    local record = parse_record(bytes, offset)
    if not record or offset + record.size > #bytes then return records end
    records[#records + 1] = record
    offset = offset + record.size
  end
end

--- Make the header check of the record at `offset` good, whatever it says.
function forge.reseal_record(bytes, offset)
  local salt = ("<i8"):unpack(bytes, 41)
  local flags, key_size = bytes:byte(offset + 23), ("<I2"):unpack(bytes, offset + 21)
  local key_end = offset + (flags & 2 ~= 0 and 36 or 28) + key_size
  local check = hash.xxh3(bytes:sub(offset + 5, key_end), salt + offset)
  return forge.patch(bytes, offset, ("<I4"):pack(low32(check)))
end

--- Make the check of a file's header good.
function forge.reseal_header(bytes)
  return forge.patch(bytes, 56, ("<i8"):pack(hash.xxh3(bytes:sub(1, 56))))
end

--- Make the checks of a hint file good.
function forge.reseal_hint(bytes)
  bytes = forge.reseal_header(bytes)
  local salt = ("<i8"):unpack(bytes, 41)
  bytes = forge.patch(bytes, 96, ("<i8"):pack(hash.xxh3(bytes:sub(113), salt)))
  return forge.patch(bytes, 104, ("<i8"):pack(hash.xxh3(bytes:sub(65, 104), salt)))
end

--- Where the index of a checkpoint begins, and how long it is.
function forge.checkpoint_index(bytes)
  local size = ("<i8"):unpack(bytes, #bytes - 15)
  return #bytes - 16 - size, size
end

--- Where the row of a segment stands in a checkpoint; `number` from 1.
function forge.checkpoint_row(bytes, number)
  return forge.checkpoint_index(bytes) + 64 + 512 * 32 + 72 * (number - 1)
end

--- Make the checks of a checkpoint good, those of its shards too.
function forge.reseal_checkpoint(bytes)
  bytes = forge.reseal_header(bytes)
  local salt = ("<i8"):unpack(bytes, 41)
  local index, size = forge.checkpoint_index(bytes)
  for shard = 0, 511 do
    local row = index + 64 + 32 * shard
    local offset, homes, tail = ("<i8I4I4"):unpack(bytes, row + 1)
    local slots = bytes:sub(offset + 1, offset + 16 * (homes + tail))
    bytes = forge.patch(bytes, row + 24, ("<i8"):pack(hash.xxh3(slots, salt)))
  end
  local check = hash.xxh3(bytes:sub(index + 1, index + size + 8), salt)
  return forge.patch(bytes, index + size + 8, ("<i8"):pack(check))
end

--- The edits of a manifest: where each begins and ends.
function forge.edits(bytes)
  local edits, offset = {}, header_size
  while offset + 24 <= #bytes do
    local size = ("<I4"):unpack(bytes, offset + 1)
    if offset + 24 + size > #bytes then break end
    edits[#edits + 1] = { begin = offset, finish = offset + 24 + size }
    offset = offset + 24 + size
  end
  return edits
end

--- A manifest with one more edit: items as docs/format.md has them.
function forge.append_edit(bytes, items)
  local edits = forge.edits(bytes)
  local last, salt = edits[#edits], ("<i8"):unpack(bytes, 41)
  local number = ("<i8"):unpack(bytes, last.begin + 9)
  local head = ("<I4I4i8"):pack(#items, 0x5449DE42, number + 1)
  local check = hash.xxh3(items, hash.xxh3(head, salt))
  return bytes:sub(1, last.finish) .. head .. ("<i8"):pack(check) .. items
end

return forge
