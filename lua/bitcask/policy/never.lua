--- Never merge. Good at: stores that are written once, or merged by hand. Costs: every byte
-- ever written stays on disk.

local never = { name = "never", sentence = "nothing is merged but by hand", options = {} }

--- Make the policy.
---@return fun(store: table): nil policy
function never.new()
  return function() return nil end
end

return never
