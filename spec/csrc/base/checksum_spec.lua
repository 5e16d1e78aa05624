local internals = require "bitcask.internals"
local random = require "spec.support.random"

-- Around every change of the way that bytes are taken: blocks of 64, 1024 bytes and their ends.
local SIZES <const> = { 0, 1, 16, 128, 129, 240, 241, 511, 512, 513, 575, 576, 1023, 1024, 1025,
  1087, 1088, 1089, 2047, 2048, 4096, 65535, 65536, 100003 }

local function bytes_of(size)
  local words = {}
  for i = 1, size // 8 + 1 do words[i] = string.pack("<i8", math.random(0)) end
  return table.concat(words):sub(1, size)
end

describe("a checksum", function()
  for _, size in ipairs(SIZES) do
    it(("is the same by whatever instructions it is made: of %d bytes"):format(size), function()
      random.begin(size)
      for skipped = 0, 8 do
        local bytes = bytes_of(size + skipped)
        for _, seed in ipairs { 0, math.random(0) } do -- 0 takes a way of its own
          local sums = internals.checksum.ways(bytes, seed, skipped)
          assert.is_truthy(sums.chosen)
          for way, sum in pairs(sums) do
            assert.equals(sums.plain, sum, way .. ", skipped " .. skipped)
          end
        end
      end
    end)
  end
end)
