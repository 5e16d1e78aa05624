--- Batches: writes that are committed as one. All that they answer to is the core's own.

local core = require "bitcask.core"

--- Writes collected in memory for one store. Nothing of it is seen, and nothing survives a
-- crash, before commit has written all of it. `#batch` is its count. Closes itself, which
-- discards it, at the end of a `local batch <close>`, when it is collected, and with its
-- store. A closed batch raises.
---@class bitcask.batch
local batch = core.batch.methods

--- Add a put. Of several writes to one key the last counts. What fails here is returned by
-- commit, so that calls can be chained.
---@param key string
---@param value string
---@param opts? table as for db:put: `ttl`, which counts from the commit, `if_version`,
--- `if_absent`. Conditions are about the store as it is when the batch is committed, without
--- the batch's own writes.
---@return bitcask.batch self
batch.put = batch.put

--- Add a delete. Where there is no such key when it is committed, nothing is written for it.
---@param key string
---@param opts? table as for db:delete: `if_version`, `if_absent`
---@return bitcask.batch self
batch.delete = batch.delete

--- Write all of it, or nothing. Afterwards the batch is empty, and may be used again; when it
-- failed it holds what it held, and may be committed again.
---@return integer|nil version of its last write; of an empty batch the newest of the store
---@return string? message
---@return string? code "conflict": a condition did not hold; "toolarge", "nomemory": of a
--- write that could not be added, until it is cleared; as for db:put. Nothing was written.
batch.commit = batch.commit

--- Forget all writes and failures.
---@return bitcask.batch self
batch.clear = batch.clear

--- The number of writes; `#batch` is the same.
---@return integer count
batch.count = batch.count

--- Discard it and give its memory back. Closing twice is harmless.
---@return boolean ok true
batch.close = batch.close

return batch
