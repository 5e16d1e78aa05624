--- What the specs of the modules below the interface have in common.

local internals = require "bitcask.internals"
local scratch = require "spec.support.scratch"

local layers = {}

layers.store = "0123456789abcdef" -- an identity

--- A new directory: its path, and the disk's handle on it.
function layers.directory()
  local path = scratch.directory()
  return assert(internals.disk.open(path)), path
end

--- A new segment in a directory.
function layers.segment(directory, id, capacity)
  return assert(internals.segment.create(directory, layers.store, id or 1, capacity or 1 << 20))
end

--- Append records given as { key, value, version } (no value: a tombstone), versions from
-- `version` on where they are not given. Returns what a scan is to meet.
function layers.fill(segment, records, version)
  local expected = {}
  version = version or 1
  for i, fields in ipairs(records) do
    local record = {
      key = fields[1],
      value = fields[2] or "",
      version = fields[3] or version + i - 1,
      flags = fields.flags or (fields[2] and 0 or 1),
      expires = fields.expires,
    }
    record.offset = assert(segment:append(record))
    expected[i] = record
  end
  return expected
end

--- What a sealed segment's facts are: those in C, without what is not in the manifest.
function layers.facts(segment)
  local facts = segment:facts()
  facts.salt, facts.synced_length, facts.references = nil, nil, nil
  return facts
end

return layers
