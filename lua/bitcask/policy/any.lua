--- Several policies as one: what any of them wants merged is merged. Where two want the same
-- segment, the one that is named first has it, and the other's merge waits for the next time.
-- The lowest of their rates holds for all, and the lowest of the sizes at which they seal.

local options = require "bitcask.options"
local plans = require "bitcask.plan"

local any = { name = "any", sentence = "what any of several policies wants" }

local function overlaps(ids, taken)
  for _, id in ipairs(ids) do
    if taken[id] then return true end
  end
  return false
end

local function add(plan, taken, wanted)
  local count = #plan
  for _, ids in ipairs(wanted.lists or {}) do
    if #ids > 0 and not overlaps(ids, taken) then
      plan[#plan + 1] = ids
      for _, id in ipairs(ids) do
        taken[id] = true
      end
    end
  end
  return #plan > count
end

local function lower(a, b)
  return a and b and math.min(a, b) or a or b
end

--- Combine policies.
---@param policies function[]
---@return fun(store: table): table|nil policy
function any.new(policies)
  return function(store)
    local plan, taken, reasons = {}, {}, {}
    for _, policy in ipairs(policies) do
      local given = policy(store)
      local wanted = given ~= nil and plans.check(given, options.policy_plan, 2) or {}
      plan.seal = lower(plan.seal, wanted.seal)
      if add(plan, taken, wanted) then
        reasons[#reasons + 1] = wanted.reason
        plan.rate = lower(plan.rate, wanted.rate)
      end
    end
    if #plan == 0 then return plan.seal and { seal = plan.seal } end
    if #reasons > 0 then plan.reason = table.concat(reasons, "; ") end
    return plan
  end
end

return any
