--- The laboratory: several policies against several workloads.

local policy = require "bitcask.policy"
local report = require "bitcask.lab.report"
local workloads = require "bitcask.lab.workload"

local lab = {}

--- Play every workload with every policy.
---@param candidates table[] each `name` and `policy`
---@param given table[] workloads
---@param progress? fun(done: integer, total: integer, what: string)
---@return table[]|nil experiments one for each workload: `workload` (checked), `results` (for
--- each policy `name`, and `report`, or `message` where it failed)
---@return string? message a workload makes no sense
---@return string? code "policy"
function lab.compare(candidates, given, progress)
  local checked = {}
  for i, workload in ipairs(given) do
    local values, message = workloads.check(workload)
    if not values then return nil, message, "policy" end
    checked[i] = values
  end
  local experiments, done = {}, 0
  for i, values in ipairs(checked) do
    experiments[i] = { workload = values, results = {} }
    for k, candidate in ipairs(candidates) do
      if progress then
        progress(done, #checked * #candidates, values.name .. ", " .. candidate.name)
      end
      local result, message = policy.simulate(candidate.policy, given[i])
      experiments[i].results[k] = { name = candidate.name, report = result, message = message }
      done = done + 1
    end
  end
  if progress then progress(done, done, "done") end
  return experiments
end

--- The report of such experiments, as one HTML page.
lab.html = report.html

return lab
