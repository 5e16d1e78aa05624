--- Snapshots: the store as it was at one moment, for as long as it is wanted. Most of what
-- they answer to is the core's own.

local core = require "bitcask.core"
local walks = require "bitcask.walk"

--- A store at one moment: whatever is written, sealed or merged since changes nothing of what
-- it tells, except that what has expired is hidden here, too. Taking one copies nothing; as
-- long as it is open, what it sees is kept. Closes itself at the end of a
-- `local snap <close>`, when it is collected, and with its store. `#snap` is its count.
---@class bitcask.snapshot
---@field version integer of the newest write that it sees; stays known when it is closed
local snapshot = core.snapshot.methods

--- The value that a key had.
---@param key string
---@return string|nil value nil alone: there was none
---@return integer|string? version or message
---@return string? code "corrupt", "io", "nomemory". Raises on a closed snapshot, as all do.
snapshot.get = snapshot.get

--- Whether there was such a key. Reads no value.
---@param key string
---@return boolean|nil was_there
---@return string? message
---@return string? code
snapshot.has = snapshot.has

--- What was known of a key, as db:stat tells it.
---@param key string
---@return table|nil stat
---@return string? message
---@return string? code
snapshot.stat = snapshot.stat

--- The number of keys; `#snap` is the same. Where keys may have expired since they are walked
-- over.
---@return integer|nil count
---@return string? message
---@return string? code
snapshot.count = snapshot.count

--- Let go of what it keeps. Closing twice is harmless; iterators of it go on.
---@return boolean ok true
snapshot.close = snapshot.close

--- Iterate over its pairs, as db:pairs does; `pairs(snap)` is the same.
---@param opts? table `prefix`, `on_damage`
---@return function next raises what fails
---@return userdata iterator has `close`
---@return nil
---@return userdata closing
function snapshot:pairs(opts)
  return walks.begin(core.iterator.open_snapshot, self, opts, false)
end

--- Iterate over its keys, as db:keys does.
---@param opts? table as for pairs
---@return function next
---@return userdata iterator
---@return nil
---@return userdata closing
function snapshot:keys(opts)
  return walks.begin(core.iterator.open_snapshot, self, opts, true)
end

return snapshot
