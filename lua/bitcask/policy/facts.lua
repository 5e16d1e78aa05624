--- What policies ask of the description of a store. All of it is arithmetic on tables.

local facts = {}

--- The segments that a merge may take: a damaged one stays as it is whatever a plan says.
---@param store table a description, as db:segments() returns it
---@return table[] segments oldest first
function facts.candidates(store)
  local candidates = {}
  for _, segment in ipairs(store.segments) do
    if not segment.damaged then candidates[#candidates + 1] = segment end
  end
  return candidates
end

--- How large segments become, bytes. Where the description does not tell: the largest one.
function facts.segment_size(store)
  if store.segment_size then return store.segment_size end
  local largest = 1
  for _, segment in ipairs(store.segments) do
    largest = math.max(largest, segment.bytes)
  end
  return largest
end

--- The version of the store's newest write.
function facts.newest_version(store)
  local newest = store.active and store.active.max_version or 0
  for _, segment in ipairs(store.segments) do
    newest = math.max(newest, segment.max_version)
  end
  return newest
end

--- Bytes that a merge of the segment has to copy, as far as is known before it.
function facts.kept_bytes(segment)
  return segment.bytes - segment.dead_bytes
end

--- The sum of one figure over some segments.
function facts.sum(segments, figure)
  local sum = 0
  for _, segment in ipairs(segments) do
    sum = sum + segment[figure]
  end
  return sum
end

--- The ids of some segments: a merge, as plans have it.
function facts.ids(segments)
  local ids = {}
  for i, segment in ipairs(segments) do
    ids[i] = segment.id
  end
  return ids
end

--- Would a merge of these leave fewer segments behind, however their records fit? Any two
-- segments that a merge writes one after the other hold more than one full one. Without this
-- certainty a merge of segments that hold nothing dead could be planned for ever, in vain.
function facts.become_fewer(segments, segment_size)
  local kept = 0
  for _, segment in ipairs(segments) do
    kept = kept + facts.kept_bytes(segment)
  end
  return 2 * kept // segment_size + 1 < #segments
end

return facts
