--- The witness: a store that remembers what was done to it, and when.
--
-- It answers to what a store answers to. Of every write it keeps which operation of the disk
-- came before it and which was its last, so that for any moment in between it can be said what
-- had been acknowledged, what was on its way, and what had been made durable.

local witness = {}

---@class bitcask.scenario.log
-- `entries`: the writes in the order in which they were begun, each
--   kind      "put", "batch" ...
--   changes   list of {key =, value = (or false), expires = (ms, or nil)}
--   first     operations of the disk before it
--   last      operations when it returned; nil while it is on its way
--   version   that it returned
--   is_in_doubt  it failed in a way that leaves open whether it happened
-- `marks`: what made writes durable: {last =, upto = number of entries}

--- A log without anything in it.
---@return bitcask.scenario.log log
function witness.new_log() return { entries = {}, marks = {} } end

-- With these a write has not happened.
local without_effect = {
  conflict = true, nospace = true, stopped = true, nomemory = true, readonly = true,
  toolarge = true, busy = true,
}

local methods = {}

local function ops(self) return self.disk:ops() end

local function mark(self)
  local log = self.log
  log.marks[#log.marks + 1] = { last = ops(self), upto = #log.entries }
end

local function drop(log, entry)
  for i = #log.entries, 1, -1 do
    if log.entries[i] == entry then table.remove(log.entries, i) end
  end
end

-- What became of a write: `done` and the results of its call.
local function settle(self, entry, done, first, message, code)
  entry.last = ops(self)
  if not done or first == nil then
    if without_effect[code] then
      drop(self.log, entry)
    else
      entry.is_in_doubt = true
    end
    if not done then error(first, 0) end
    return first, message, code
  end
  if first == false then drop(self.log, entry) end -- nothing was there to delete
  entry.version = math.type(first) == "integer" and first or nil
  if self.is_always_synced then mark(self) end
  return first, message, code
end

-- Call `call`, which makes `changes`, and remember it.
local function write(self, kind, changes, call, ...)
  local entry = { kind = kind, changes = changes, first = ops(self) }
  self.log.entries[#self.log.entries + 1] = entry
  return settle(self, entry, pcall(call, ...))
end

-- When what is written now with this time to live expires, in milliseconds; nil: never.
local function expiry(self, opts)
  local ttl = opts and opts.ttl or self.default_ttl
  if not ttl or ttl == math.huge then return nil end
  return self.disk:now() + math.max(1, math.ceil(ttl * 1000))
end

local function change(self, key, value, opts)
  return { key = key, value = value, expires = value and expiry(self, opts) or nil }
end

function methods:put(key, value, opts)
  local store = self.store
  return write(self, "put", { change(self, key, value, opts) }, store.put, store, key, value, opts)
end

function methods:delete(key, opts)
  local store = self.store
  return write(self, "delete", { change(self, key, false) }, store.delete, store, key, opts)
end

-- A batch, or what stands for one in a transaction: `changes` gets what is added to it.
local function recorder(self, target, changes, own_methods)
  return setmetatable({}, {
    __index = function(_, name)
      if own_methods[name] then return own_methods[name] end
      return function(_, ...) return target[name](target, ...) end
    end,
    __name = "watched " .. tostring(target),
    changes = changes,
    owner = self,
  })
end

--- A batch whose commit is remembered as one write.
function methods:batch()
  local batch, changes, own = self.store:batch(), {}, {}
  function own.put(proxy, key, value, opts)
    batch:put(key, value, opts)
    changes[#changes + 1] = change(self, key, value, opts)
    return proxy
  end
  function own.delete(proxy, key, opts)
    batch:delete(key, opts)
    changes[#changes + 1] = change(self, key, false)
    return proxy
  end
  function own.commit() return write(self, "batch", changes, batch.commit, batch) end
  return recorder(self, batch, changes, own)
end

--- A transaction that is remembered as one write.
function methods:transaction(body, opts)
  local changes = {}
  local function watched(tx)
    for i = #changes, 1, -1 do
      changes[i] = nil -- of a run that met a conflict
    end
    local own = {}
    function own.put(_, key, value, put_opts)
      changes[#changes + 1] = change(self, key, value, put_opts)
      return tx:put(key, value, put_opts)
    end
    function own.delete(_, key, delete_opts)
      changes[#changes + 1] = change(self, key, false)
      return tx:delete(key, delete_opts)
    end
    return body(recorder(self, tx, changes, own))
  end
  local store = self.store
  return write(self, "transaction", changes, store.transaction, store, watched, opts)
end

-- The options of a merge with a filter, of which what it says is noted as writes.
local function watched_filter(self, opts, noted)
  local first, copy = ops(self), {}
  for name, value in pairs(opts) do
    copy[name] = value
  end
  function copy.filter(key, value, info)
    local verdict = opts.filter(key, value, info)
    if verdict ~= true then
      local entry = { kind = "filter", changes = { { key = key, value = verdict } }, first = first }
      table.insert(self.log.entries, entry)
      noted[#noted + 1] = entry
    end
    return verdict
  end
  return copy
end

-- A merge that had to make do with fewer segments asks again, and does less than was said.
local function was_all_done(report, noted)
  return report and report.keys_dropped + report.keys_rewritten == #noted
end

--- A merge; what a filter drops or rewrites is remembered as writes, one after the other.
function methods:merge(opts)
  local noted = {}
  if type(opts) == "table" and opts.filter then opts = watched_filter(self, opts, noted) end
  local report, message, code = self.store:merge(opts)
  for _, entry in ipairs(noted) do
    entry.last = ops(self)
    entry.is_in_doubt = not was_all_done(report, noted) or nil
  end
  return report, message, code
end

-- A call after which everything before it is durable, when it succeeds.
local function flushing(name)
  return function(self, ...)
    local results = table.pack(self.store[name](self.store, ...))
    if results[1] ~= nil then mark(self) end
    return table.unpack(results, 1, results.n)
  end
end

methods.sync = flushing "sync"
methods.seal = flushing "seal"
methods.close = flushing "close"

--- Close the store and open it again, as the story's options say.
---@return boolean true; raises when it cannot be opened
function methods:reopen()
  self:close()
  self.store = assert(self.open(self.disk))
  return true
end

--- Move the clock of the disk.
---@param seconds number
function methods:advance(seconds) return self.disk:advance(seconds) end

local metatable = {
  __index = function(self, name)
    if methods[name] then return methods[name] end
    local method = self.store[name]
    if type(method) ~= "function" then return method end
    return function(proxy, ...)
      if proxy == self then proxy = self.store end
      return method(proxy, ...)
    end
  end,
  __len = function(self) return #self.store end,
}

--- Open a store on a disk, and watch it.
---@param disk bitcask.sim.disk
---@param open fun(disk): table opens a store on a disk
---@param story table the story's `options` tell of default times to live, and of syncing
---@param log bitcask.scenario.log
---@return table witness
function witness.open(disk, open, story, log)
  local store = assert(open(disk))
  local opts = story.options or {}
  return setmetatable({
    disk = disk,
    open = open,
    store = store,
    log = log,
    default_ttl = opts.ttl,
    is_always_synced = opts.sync == "always",
  }, metatable)
end

return witness
