--- Merge plans: what to merge, as callers and policies write it.
--
--   {3, 4, 7}                    one merge of three segments
--   {{3, 4}, {7, 8}}             two merges, one after the other
--   {3, 4, rate = 2^20}          one merge, at most a mebibyte per second
--   {segments = {3, 4}}          the same list as an option
--   {rate = 2^20}                what nil says, at that rate
--   nil                          one merge of every sealed segment with anything to drop
--   {}                           nothing

local options = require "bitcask.options"

local plan = {}

local function check_id(value, level)
  local id = type(value) == "number" and math.tointeger(value)
  if not id or id < 1 then
    error(("bad plan: %s is not the id of a segment"):format(tostring(value)), level + 1)
  end
  return id
end

-- No store has more segments than that.
local most = (1 << 20) - 1

local function check_length(list, level)
  local length = #list
  if math.type(length) ~= "integer" or length < 0 or length > most then
    error(("bad plan: a list of %s; a store has at most %d segments"):format(length, most),
      level + 1)
  end
  return length
end

local function check_ids(list, level)
  local ids = {}
  for i = 1, check_length(list, level + 1) do
    ids[i] = check_id(list[i], level + 1)
  end
  return ids
end

-- A list of ids is a list of one such list.
local function check_lists(list, level)
  if type(list[1]) ~= "table" then return { check_ids(list, level + 1) } end
  local lists = {}
  for i = 1, check_length(list, level + 1) do
    if type(list[i]) ~= "table" then
      error("bad plan: ids and lists of ids do not mix", level + 1)
    end
    lists[i] = check_ids(list[i], level + 1)
  end
  return lists
end

-- Everything in the table that is not a place of the list.
local function check_fields(given, set, level)
  local fields = {}
  for name, value in pairs(given) do
    local is_place = math.type(name) == "integer" and name >= 1 and name <= #given
    if not is_place then
      fields[name] = options.check_one(set, name, value, level + 1)
    end
  end
  return fields
end

--- Check a plan as it was given.
---@param given? table a plan, as above; it is not changed
---@param set table the options that may stand in it, of bitcask.options
---@param level integer whose mistake it is, as for error
---@return table plan `{lists =, rate =, reason =, ...}`; lists is nil for "whatever
--- has anything to drop". Raises where the plan makes no sense.
function plan.check(given, set, level)
  if given == nil then return {} end
  if type(given) ~= "table" then
    error(("a plan should be a table, not a %s"):format(type(given)), level + 1)
  end
  local checked = check_fields(given, set, level + 1)
  if checked.segments and #given > 0 then
    error("bad plan: segments are given both as a list and as an option", level + 1)
  end
  local list = checked.segments or given
  if check_length(list, level + 1) > 0 then
    checked.lists = check_lists(list, level + 1)
  elseif checked.segments or next(given) == nil then
    checked.lists = {}
  end
  checked.segments = nil
  return checked
end

--- Raise unless every segment of a plan is there, sealed, and named once.
-- The engine checks each merge as it begins; this keeps a plan from failing in the middle.
---@param lists table the lists of a checked plan
---@param segments table[] the store's segments
---@param level integer whose mistake it is, as for error
function plan.check_against(lists, segments, level)
  local sealed, named = {}, {}
  for _, segment in ipairs(segments) do
    sealed[segment.id] = not segment.active
  end
  local function check_segment(id)
    if sealed[id] == nil then return "there is no segment %d" end
    if not sealed[id] then return "segment %d is not sealed" end
    if named[id] then return "segment %d is named twice" end
    named[id] = true
  end
  for _, ids in ipairs(lists) do
    for _, id in ipairs(ids) do
      local mistake = check_segment(id)
      if mistake then error("bad plan: " .. mistake:format(id), level + 1) end
    end
  end
end

return plan
