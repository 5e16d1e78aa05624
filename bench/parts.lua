-- The parts of a run: options of build/bench/bench, and in `quick` those of the quick run.
-- A part without `quick` is left out there; `engines` left out means all that were built.

local NEAR <const> = "bitcask,tkrzw,lmdb,lmdb-writemap,leveldb,rocksdb,limit-map,limit-write"
local LARGE <const> = "bitcask,bitcask-unverified,tkrzw,lmdb,lmdb-writemap,leveldb,rocksdb," ..
  "rocksdb-blob,bdb,limit-map,limit-write"
local FEW <const> = "bitcask,tkrzw,lmdb-writemap,leveldb,limit-map"
local OPENING <const> = "fill,get,absent,reopen,recover"
local QUICK_FEW <const> = "bitcask,tkrzw,leveldb,limit-map"

local function large(kibibytes, keys)
  return {
    name = ("value-%dk"):format(kibibytes), keys = keys, ["value-size"] = kibibytes * 1024,
    engines = LARGE, workloads = "fill,get,overwrite",
    quick = kibibytes == 64 and { keys = 500, engines = QUICK_FEW } or nil,
  }
end

local function many(millions, engines)
  return {
    name = ("keys-%dm"):format(millions), keys = millions * 1000000, engines = engines,
    workloads = OPENING,
    quick = millions <= 10 and { keys = millions * 10000, engines = QUICK_FEW } or nil,
  }
end

local function key_size(bytes)
  return {
    name = ("key-%d"):format(bytes), keys = 1000000, ["key-size"] = bytes, engines = FEW,
    workloads = "fill,get",
    quick = bytes == 200 and { keys = 20000, engines = QUICK_FEW } or nil,
  }
end

return {
  { name = "main", keys = 1000000, quick = { keys = 8000 } },
  large(1, 200000), large(16, 20000), large(64, 8000),
  many(1, FEW), many(5, FEW), many(10, FEW), many(40, "bitcask,limit-map"),
  key_size(8), key_size(32), key_size(64), key_size(128), key_size(200),
  -- 256 MB in 64: four times the memory.
  { name = "scarce", keys = 250000, ["value-size"] = 1000, memory = 64000000, seconds = 5,
    engines = NEAR, workloads = "fill,get,absent,overwrite",
    quick = { keys = 10000, memory = 8000000, engines = "bitcask,tkrzw" } },
}
