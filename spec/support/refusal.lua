--- What happens when memory runs out, at every place where it can.

local internals = require "bitcask.internals"

local refusal = {}

--- Run `body` again and again, refusing its first allocation, its second, ... until it
-- succeeds. Each failure has to be "nomemory" and to leave nothing allocated behind.
-- `body` returns what a call returned: a value, or nil, message, code.
---@return integer tries how many allocations were refused
function refusal.everywhere(body, forever)
  for n = 1, 1000 do
    collectgarbage()
    local before = internals.memory.balance()
    internals.memory.refuse(n, forever)
    local result, message, code = body()
    internals.memory.refuse(0)
    if result then return n - 1 end
    assert(code == "nomemory", ("allocation %d: %s, %s"):format(n, code, message))
    collectgarbage()
    local left = internals.memory.balance() - before
    assert(left == 0, ("allocation %d: %d left behind"):format(n, left))
  end
  error "it never ends"
end

return refusal
