--- A policy that is held back: merges read at most so many bytes each time it is asked, and at
-- most so many a second. What does not fit waits for the next time. A single segment that is
-- larger than the limit is merged all the same, alone: else it never would be.

local options = require "bitcask.options"
local plans = require "bitcask.plan"
local settings = require "bitcask.policy.settings"

local limit = { name = "limit", sentence = "a policy, held to so many bytes, or so many a second" }

limit.options = {
  bytes = {
    default = math.huge, unit = "bytes", check = settings.above(0),
    sentence = "merge segments of so many bytes at most each time",
  },
  rate = {
    default = nil, unit = "bytes per second", check = settings.above(0),
    sentence = "read at most so fast",
  },
}

-- The first segments of a merge that fit in; and what is left to fit in after them. What is
-- cut short and has nothing dead would be a merge in vain.
local function cut(ids, segments, left, is_first)
  local kept, dead = {}, 0
  for _, id in ipairs(ids) do
    local segment = segments[id] or { bytes = 0, dead_bytes = 0 } -- for the engine to refuse
    if segment.bytes > left and not (is_first and #kept == 0) then break end
    kept[#kept + 1] = id
    left, dead = left - segment.bytes, dead + segment.dead_bytes
  end
  if #kept < #ids and #kept < 2 and dead <= 0 then return nil, left end
  return #kept > 0 and kept or nil, left, #kept < #ids
end

--- Hold a policy back.
---@param policy function
---@param values table values of the options
---@return fun(store: table): table|nil policy
function limit.new(policy, values)
  local function within_bytes(lists, store)
    local segments, plan, left, is_cut = {}, {}, values.bytes, false
    for _, segment in ipairs(store.segments) do
      segments[segment.id] = segment
    end
    for _, ids in ipairs(lists) do
      if is_cut or left <= 0 then break end
      plan[#plan + 1], left, is_cut = cut(ids, segments, left, #plan == 0)
    end
    return plan
  end

  return function(store)
    local given = policy(store)
    if given == nil then return nil end
    local wanted = plans.check(given, options.policy_plan, 2)
    local plan = within_bytes(wanted.lists or {}, store)
    if #plan == 0 then return wanted.seal and { seal = wanted.seal } end
    plan.reason, plan.rate, plan.seal = wanted.reason, wanted.rate, wanted.seal
    if values.rate then plan.rate = math.min(values.rate, wanted.rate or math.huge) end
    return plan
  end
end

return limit
