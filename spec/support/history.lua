--- Operations that a seed decides, so that a process that dies and the one that looks at
-- what it left agree on what was done; and what a store should hold after so many of them.

local bitcask = require "bitcask"

local history = {}

local function value_of(i)
  local size = math.random(0, 300)
  if math.random(60) == 1 then size = 20000 end -- large ones are written in another way
  return ("%d:%s"):format(i, string.char(math.random(97, 122)):rep(size))
end

local random_operation

local function random_batch(i, keys)
  local operations = {}
  for n = 1, math.random(1, 8) do
    repeat
      operations[n] = random_operation(i, keys)
    until operations[n].kind == "put" or operations[n].kind == "delete"
  end
  return { kind = "batch", operations = operations }
end

function random_operation(i, keys)
  local chance = math.random(1040)
  local key = "key " .. math.random(keys)
  if chance > 1000 then return random_batch(i, keys) end
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
  -- All of a batch or nothing of it: each leaves another picture of these three keys.
  local function add_batch(number, size, last)
    local value = ("%d:"):format(number) .. ("c"):rep(size)
    operations[#operations + 1] = { kind = "batch", operations = {
      { kind = "put", key = "b1", value = value },
      { kind = last and "put" or "delete", key = "b2", value = last and value or nil },
      { kind = "put", key = "b3", value = value },
    } }
  end
  for i = 1, 14 do
    add("put", "k" .. i % 6, ("first %d:"):format(i) .. ("a"):rep(60))
  end
  add_batch(1, 50, true)
  add("delete", "k3")
  add("put", "large", ("b"):rep(20000))
  add("seal")
  add("put", "k3", "again")
  add_batch(2, 20000, false)
  add("merge")
  add("put", "k1", "after the merge")
  add("delete", "k2")
  add("delete", "large")
  add "reopen"
  add("put", "k4", "after reopening")
  add("seal")
  add("merge_async")
  add("put", "k5", "beside the merge")
  add("wait")
  add_batch(3, 200, true)
  add("put", "k4", "last")
  return operations
end

--- Commit the operations of a batch; as batch:commit().
function history.commit(db, operations)
  local batch <close> = db:batch()
  for _, operation in ipairs(operations) do
    if operation.kind == "put" then
      batch:put(operation.key, operation.value)
    else
      batch:delete(operation.key)
    end
  end
  return batch:commit()
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
  if kind == "batch" then return assert(history.commit(db, operation.operations)), db end
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

--- Perform the script on a new store, line by line in the file `results`: the number of each
--- operation once it has returned, and "end".
function history.play(path, options, results)
  local done <close> = assert(io.open(results, "w"))
  done:setvbuf "no"
  local db = assert(bitcask.open(path, options))
  local state = {}
  function state.reopen(old)
    assert(old:close())
    return assert(bitcask.open(path, options))
  end
  for i, operation in ipairs(history.script()) do
    local _
    _, db = history.perform(db, operation, state)
    done:write(("%d\n"):format(i))
  end
  assert(db:close())
  done:write "end\n"
end

--- Let a plain table follow.
function history.follow(model, operation)
  if operation.kind == "put" then model[operation.key] = operation.value end
  if operation.kind == "delete" then model[operation.key] = nil end
  for _, part in ipairs(operation.operations or {}) do
    history.follow(model, part)
  end
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
