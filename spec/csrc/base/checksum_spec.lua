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

describe("two checksums at once", function()
  it("are those of each, by whatever instructions: of every size up to 130 bytes", function()
    random.begin(130)
    for size = 0, 130 do
      for _, first in ipairs { size, 40 } do
        for _, seed in ipairs { 0, math.random(0) } do
          local sums = internals.checksum.two(bytes_of(first), seed, bytes_of(size))
          assert.is_truthy(sums.chosen)
          for way, sum in pairs(sums) do
            assert.equals(sums.plain, sum, ("%s, %d and %d bytes"):format(way, first, size))
          end
        end
      end
    end
  end)

  it("are those of each for words of ones and of zeros, whose products carry farthest", function()
    for _, word in ipairs { -1, 0, 1, math.mininteger, math.maxinteger, 0xFFFFFFFF, ~0xFFFFFFFF,
        (1 << 52) - 1, ~((1 << 52) - 1) } do
      for size = 16, 128, 8 do
        local bytes = string.pack("<i8", word):rep(size // 8)
        for _, seed in ipairs { 0, -1, word, 0xbe4ba423396cfeb8 } do
          local sums = internals.checksum.two(bytes, seed, bytes)
          for way, sum in pairs(sums) do assert.equals(sums.plain, sum, way .. " " .. size) end
        end
      end
    end
  end)
end)
