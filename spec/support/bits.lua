--- Bytes with something wrong in them: every bit in turn, every length in turn.

local bits = {}

--- Each string that differs from `bytes` in one bit: flipped, place of the byte (from 1).
-- `from` and `to` bound the bytes; all of them when absent.
function bits.flips(bytes, from, to)
  return coroutine.wrap(function()
    for at = from or 1, to or #bytes do
      for bit = 0, 7 do
        local flipped = string.char(bytes:byte(at) ~ (1 << bit))
        coroutine.yield(bytes:sub(1, at - 1) .. flipped .. bytes:sub(at + 1), at)
      end
    end
  end)
end

--- The same with all bits of one byte turned, for files that take long to look at.
function bits.turns(bytes, from, to)
  return coroutine.wrap(function()
    for at = from or 1, to or #bytes do
      local turned = string.char(bytes:byte(at) ~ 0xFF)
      coroutine.yield(bytes:sub(1, at - 1) .. turned .. bytes:sub(at + 1), at)
    end
  end)
end

--- Each beginning of `bytes` that is shorter.
function bits.cuts(bytes)
  return coroutine.wrap(function()
    for kept = 0, #bytes - 1 do
      coroutine.yield(bytes:sub(1, kept), kept)
    end
  end)
end

--- From hexadecimal digits, whatever stands between them, to bytes.
function bits.from_hex(text)
  return (text:gsub("%X", ""):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

function bits.to_hex(bytes)
  return (bytes:gsub(".", function(char)
    return ("%02x"):format(char:byte())
  end))
end

return bits
