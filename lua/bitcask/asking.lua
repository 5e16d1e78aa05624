--- Asking a policy: whatever it does, there is an answer, and soon.

local asking = {}

-- So many instructions a policy may take; they are counted in steps.
local interval <const> = 10000

-- Count the instructions of a coroutine; one that goes on after the last, behind a pcall, is
-- stopped at every step.
local function limit(thread, most)
  local left = most
  local function count()
    left = left - interval
    if left > 0 then return end
    debug.sethook(thread, count, "", 1)
    error(("the policy took more than %d instructions"):format(most), 0)
  end
  debug.sethook(thread, count, "", interval)
end

local function text_of(problem)
  local ok, text = pcall(tostring, problem)
  return ok and text or "(an error that has no text)"
end

asking.text_of = text_of

--- Ask a policy, in a coroutine of its own. (Coroutines that it makes itself are not counted.)
---@param policy function
---@param description table of a store; the policy's from now on
---@param instructions integer how many it may take
---@return boolean ok whether it answered
---@return any answer the plan; or what is wrong, a text
function asking.ask(policy, description, instructions)
  local thread = coroutine.create(function() return policy(description) end)
  limit(thread, instructions)
  local ok, plan = coroutine.resume(thread)
  local is_finished = coroutine.status(thread) == "dead"
  coroutine.close(thread)
  if not ok then return false, "the policy failed: " .. text_of(plan) end
  if not is_finished then return false, "the policy yielded" end
  return true, plan
end

return asking
