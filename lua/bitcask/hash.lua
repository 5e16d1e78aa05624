--- xxHash, and which of its functions to take for the keydir.
--
--   name    result               as the keydir's hash
--   xxh3    64 bits              the default: the fastest; the store seeds it at random, so
--                                that nobody can choose keys that collide
--   xxh64   64 bits              the older function; a little slower for short keys
--   xxh32   32 bits              for comparison: it collides once there are many keys
--   xxh128  128 bits, two ints   not for the keydir: fingerprints of contents
--
-- All give the reference values of xxHash. Integers are Lua's, so the upper half of the
-- 64-bit values is negative: print them with %016x.

local core = require "bitcask.core"

local hash = {}

--- XXH3 of a string, 64 bits.
---@param bytes string
---@param seed? integer 64 bits; 0 when left out
---@return integer value
hash.xxh3 = core.hash.xxh3

--- XXH64 of a string, 64 bits.
---@param bytes string
---@param seed? integer 64 bits; 0 when left out
---@return integer value
hash.xxh64 = core.hash.xxh64

--- XXH32 of a string, 32 bits.
---@param bytes string
---@param seed? integer from 0 to 2^32-1; 0 when left out. Raises for others.
---@return integer value from 0 to 2^32-1
hash.xxh32 = core.hash.xxh32

--- XXH128 of a string, as two integers of 64 bits: `("%016x%016x"):format(hash.xxh128(s))`
-- is the canonical form.
---@param bytes string
---@param seed? integer 64 bits; 0 when left out
---@return integer high
---@return integer low
hash.xxh128 = core.hash.xxh128

return hash
