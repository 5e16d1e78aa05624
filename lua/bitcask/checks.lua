--- Checks of what a caller gives: each a function of a value that returns the value as it is
-- used, or nil and what it should have been. Options are checked by them.

local checks = {}

local function of_type(name, wanted)
  return function(value)
    if type(value) ~= name then return nil, wanted end
    return value
  end
end

checks.boolean = of_type("boolean", "true or false")
checks.text = of_type("string", "a string")
checks.callable = of_type("function", "a function")
checks.table = of_type("table", "a table")

-- A float with an integer's value, like 1e9, is that integer.
local function integer(least, most, wanted)
  return function(value)
    local whole = type(value) == "number" and math.tointeger(value)
    if not whole or whole < least or whole > most then return nil, wanted end
    return whole
  end
end

--- Integers between two, which count.
function checks.integer_between(least, most)
  return integer(least, most, ("an integer from %d to %d"):format(least, most))
end

--- Integers from `least` on; any, where none is given.
function checks.whole(least)
  if not least then return integer(math.mininteger, math.maxinteger, "a whole number") end
  return integer(least, math.maxinteger,
    least == 1 and "a whole number above 0" or ("a whole number, %d or more"):format(least))
end

--- The set of some words, and how they are listed for a reader.
function checks.words(...)
  local words, quoted = {}, {}
  for i, word in ipairs { ... } do
    words[word], quoted[i] = true, ('"%s"'):format(word)
  end
  return words, table.concat(quoted, ", ")
end

--- One of some words.
function checks.word_of(...)
  local words, wanted = checks.words(...)
  return function(value)
    if not words[value] then return nil, wanted end
    return value
  end
end

return checks
