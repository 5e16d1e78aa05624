--- Merging by a plan, in the thread of the caller; bitcask.job does it in the background.

local core = require "bitcask.core"
local plans = require "bitcask.plan"

local merging = {}

-- A step reads about so much, bytes: short enough that progress moves.
local step_size = 1 << 20

-- The figures of a report, which add up over several merges.
local figures = {
  "segments_in", "segments_out", "bytes_read", "bytes_written", "records_kept",
  "records_dropped", "tombstones_kept", "tombstones_dropped", "segments_damaged", "seconds",
}

--- One report for a whole plan: the report itself of one merge, the sum of several.
function merging.sum(reports, reason)
  local total = reports[1]
  if #reports ~= 1 then
    total = { merges = reports }
    for _, figure in ipairs(figures) do
      total[figure] = figure == "seconds" and 0.0 or 0
      for _, report in ipairs(reports) do
        total[figure] = total[figure] + report[figure]
      end
    end
  end
  total.reason = reason
  return total
end

--- Check a plan against its store.
---@param db bitcask.store
---@param given? table as db:merge takes it
---@param level integer whose mistake it is, as for error
---@return table plan as bitcask.plan has it, with the `queue` of merges in order; in it false
--- stands for "whatever has anything to drop"
function merging.check(db, given, level)
  local plan = plans.check(given, level + 1)
  local queue = plan.lists or { false }
  if #queue > 1 then plans.check_against(queue, core.cask.segments(db), level + 1) end
  plan.queue = {}
  for _, ids in ipairs(queue) do
    if not ids or #ids > 0 then plan.queue[#plan.queue + 1] = ids end
  end
  return plan
end

--- Open one of the merges of a checked plan.
---@return userdata|nil merge of the core
---@return string? message
---@return string? code
function merging.open(db, plan, index, level)
  local ids = plan.queue[index] or nil
  -- Through pcall, so that a mistake is raised where it was made and not here.
  local ok, merge, message, code = pcall(core.merge.open, db, ids, plan.rate or 0)
  if not ok then error(merge, level + 1) end
  return merge, message, code
end

--- How far a merge is, as progress functions and jobs tell it.
function merging.progress_of(merge, plan, index)
  local done, total, finished = merge:progress()
  return {
    done = done, total = total, what = "merging", finished = finished,
    merge = index, merges = #plan.queue,
  }
end

-- With somebody to tell, and at a slow rate, in smaller steps.
local function step_budget(plan)
  if not plan.progress then return 0 end
  return plan.rate and math.max(4096, math.min(step_size, plan.rate // 4)) or step_size
end

local function run(db, plan, index, level)
  local merge <close>, message, code = merging.open(db, plan, index, level + 1)
  if not merge then return nil, message, code end
  local budget = step_budget(plan)
  local finished, report
  repeat
    finished, message, code = merge:step(budget)
    if finished == nil then return nil, message, code end
    if finished then report = merge:report() end
    if plan.progress then plan.progress(merging.progress_of(merge, plan, index)) end
  until finished
  return report
end

--- Merge by a plan and wait; see db:merge.
function merging.now(db, given, level)
  local plan = merging.check(db, given, level + 1)
  local reports = {}
  for index = 1, #plan.queue do
    local report, message, code = run(db, plan, index, level + 1)
    if not report then return nil, message, code end
    reports[index] = report
  end
  return merging.sum(reports, plan.reason)
end

return merging
