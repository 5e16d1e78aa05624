--- Drop segments in which everything has expired. Nothing is copied: a merge of segments
-- without a live record only takes their files away.
--
-- Good at: caches and logs whose keys live about equally long, so that whole segments expire
-- together. Costs: nothing, but it frees nothing else either: what is overwritten or deleted,
-- or lies beside one record that lives longer, stays. Stand another policy beside it:
-- any(expiry(), default()).
--
-- `share` below 1 takes segments that have expired in part, and copies the rest of them.
-- A segment waits `grace` seconds after the last expiry in it. Segments whose records are dead
-- for other reasons, deletes among them, are none of its business.

local facts = require "bitcask.policy.facts"
local settings = require "bitcask.policy.settings"

local expiry = { name = "expiry", sentence = "segments in which everything has expired" }

expiry.options = {
  grace = {
    default = 0, unit = "seconds", check = settings.from(0),
    sentence = "wait so long after the last record of a segment has expired",
  },
  share = {
    default = 1, check = settings.share,
    sentence = "how much of a segment's dead and live bytes have to be dead",
  },
}

--- Make the policy.
---@param values table values of the options
---@return fun(store: table): table|nil policy
function expiry.new(values)
  local function is_due(segment, now)
    if segment.expired_bytes <= 0 or segment.dead_bytes <= 0 then return false end
    local mortal = segment.dead_bytes + segment.live_bytes
    if segment.dead_bytes < values.share * mortal then return false end
    return now - (segment.expired or segment.sealed or now) >= values.grace
  end

  return function(store)
    local due = {}
    for _, segment in ipairs(facts.candidates(store)) do
      if is_due(segment, store.now) then due[#due + 1] = segment end
    end
    if #due == 0 then return nil end
    return { facts.ids(due), reason = "expired" }
  end
end

return expiry
