--- Operations that a seed decides, so that a process that dies and the one that looks at
-- what it left agree on what was done; and what a store should hold after so many of them.

local history = {}

local function value_of(i)
  local size = math.random(0, 300)
  if math.random(60) == 1 then size = 20000 end -- large ones are written in another way
  return ("%d:%s"):format(i, string.char(math.random(97, 122)):rep(size))
end

local function random_operation(i, keys)
  local chance = math.random(1000)
  local key = "key " .. math.random(keys)
  if chance <= 720 then return { kind = "put", key = key, value = value_of(i) } end
  if chance <= 930 then return { kind = "delete", key = key } end
  if chance <= 945 then return { kind = "seal" } end
  if chance <= 955 then return { kind = "merge" } end
  if chance <= 970 then return { kind = "merge_async" } end
  if chance <= 974 then return { kind = "wait" } end
  if chance <= 980 then return { kind = "sync" } end
  return { kind = "get", key = key }
end

--- `count` operations on so many keys. The seed is used for nothing else afterwards.
function history.random(seed, count, keys)
  math.randomseed(seed)
  local operations = {}
  for i = 1, count do
    operations[i] = random_operation(i, keys or 24)
  end
  return operations
end

--- A fixed history that does everything once: for segments of 512 bytes.
function history.script()
  local operations = {}
  local function add(kind, key, value)
    operations[#operations + 1] = { kind = kind, key = key, value = value }
  end
  for i = 1, 14 do
    add("put", "k" .. i % 6, ("first %d:"):format(i) .. ("a"):rep(60))
  end
  add("delete", "k3")
  add("put", "large", ("b"):rep(20000))
  add("seal")
  add("put", "k3", "again")
  add("merge")
  add("put", "k1", "after the merge")
  add("delete", "k2")
  add("delete", "large")
  add "reopen"
  add("put", "k4", "after reopening")
  add("seal")
  add("merge")
  add("put", "k5", "last")
  return operations
end

--- Do one operation for good or raise. `state` is a table that the operations of one store
-- share; `state.reopen(db)` gives the store that goes on, where the history reopens.
function history.perform(db, operation, state)
  local kind = operation.kind
  if kind == "put" then return assert(db:put(operation.key, operation.value)), db end
  if kind == "delete" then
    local version, message = db:delete(operation.key)
    assert(version ~= nil, message)
    return version or 0, db
  end
  if kind == "seal" then
    local id, message = db:seal()
    assert(id ~= nil, message)
  elseif kind == "merge" then
    local report, message, code = db:merge()
    assert(report or code == "busy", message)
  elseif kind == "merge_async" then
    -- Slowly, so that what comes next is done beside it.
    local job, message, code = db:merge_async { rate = 500000 }
    assert(job or code == "busy", message)
    state.job = job or state.job
  elseif kind == "wait" then
    if state.job then assert(state.job:wait()) end
    state.job = nil
  elseif kind == "sync" then
    assert(db:sync())
  elseif kind == "get" then
    local value, message, code = db:get(operation.key)
    assert(not code, message)
    if state.model then assert(value == state.model[operation.key], "a read is wrong") end
  elseif kind == "reopen" then
    db = state.reopen(db)
  end
  return 0, db
end

--- Let a plain table follow.
function history.follow(model, operation)
  if operation.kind == "put" then model[operation.key] = operation.value end
  if operation.kind == "delete" then model[operation.key] = nil end
end

function history.copy(model)
  local copy = {}
  for key, value in pairs(model) do
    copy[key] = value
  end
  return copy
end

--- What is there after the first `count` operations, and before them `base`.
function history.after(operations, count, base)
  local model = history.copy(base or {})
  for i = 1, math.min(count, #operations) do
    history.follow(model, operations[i])
  end
  return model
end

--- nil where the two are the same, else a word about where they differ.
function history.difference(found, expected)
  for key, value in pairs(expected) do
    if found[key] ~= value then
      return ("%q is %q, not %q"):format(key, tostring(found[key]):sub(1, 40), value:sub(1, 40))
    end
  end
  for key in pairs(found) do
    if expected[key] == nil then return ("%q should not be there"):format(key) end
  end
end

return history
