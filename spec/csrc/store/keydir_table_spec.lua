local internals = require "bitcask.internals"
local random = require "spec.support.random"
local refusal = require "spec.support.refusal"

local tables = internals.keydir_table

-- Hashes of 32 bits, good and bad, of the numbers from 1 on.
local hashes = {
  ["good"] = function(n) return (n * 0x9E3779B97F4A7C15) >> 32 end,
  ["constant"] = function() return 0x01234567 end,
  ["all zeros"] = function() return 0 end,
  ["all ones"] = function() return 0xFFFFFFFF end,
  ["few"] = function(n) return (n % 3) << 30 end,
  ["rising"] = function(n) return n << 12 end,
  ["falling"] = function(n) return 0xFFFFFFFF - (n << 12) end,
  ["near the end"] = function(n) return 0xFFFFFFFF - (n * 7 % 16 << 16) end,
}

-- What a table should be like: a list of { hash, at } in the order of hashes, equal ones in the
-- order in which they came.
local function add(list, hash, at)
  local i = #list + 1
  while i > 1 and list[i - 1][1] > hash do i = i - 1 end
  table.insert(list, i, { hash, at })
end

-- Is the table just what one that is built anew of these entries is, with as many homes?
local function check(made, list)
  local found = made:describe()
  assert(found.is_sound, "the table is not sound")
  assert(found.count == #list, "the count is wrong")
  local next = 0
  for _, entry in ipairs(list) do
    local home = entry[1] * found.homes >> 32
    for slot = next, home - 1 do assert(found[slot + 1] == 0, "a slot should be empty") end
    next = math.max(next, home)
    assert(found[next + 1] == entry[2], "an entry is not where it belongs")
    next = next + 1
  end
  assert(next <= found.used_end)
  for slot = next, found.homes + found.tail - 1 do
    assert(found[slot + 1] == 0, "a slot at the end should be empty")
  end
end

-- Where its entries are: all but used_end, which is only a bound, and how far the tail reaches.
local function describe_entries(made)
  local found = made:describe()
  while #found > found.homes and found[#found] == 0 do found[#found] = nil end
  found.used_end, found.tail = nil, nil
  return found
end

describe("a table of the keydir", function()
  for name, hash_of in pairs(hashes) do
    it("is after each step what one built anew would be, with a hash that is " .. name, function()
      local made, list = assert(tables.new()), {}
      for n = 1, 400 do
        assert(made:make_room(1))
        check(made, list)
        made:insert(hash_of(n), n)
        add(list, hash_of(n), n)
        check(made, list)
      end
    end)

    it("loses nothing while entries come and go, with a hash that is " .. name, function()
      random.begin(11)
      local made, list, next_at = assert(tables.new()), {}, 1
      for step = 1, 1500 do
        local is_growing = step % 500 < 300
        if #list == 0 or math.random() < (is_growing and 0.8 or 0.2) then
          local more = math.random(5)
          assert(made:make_room(more, math.random(0, 511)))
          assert(made:has_room(more))
          for _ = 1, math.random(more) do
            local hash = hash_of(math.random(1000))
            made:insert(hash, next_at)
            add(list, hash, next_at)
            next_at = next_at + 1
          end
        else
          local entry = table.remove(list, math.random(#list))
          assert(made:remove(entry[1], entry[2]))
          assert(not made:remove(entry[1], entry[2]))
        end
        if step % 10 == 0 then check(made, list) end
      end
      check(made, list)
    end)
  end

  it("is right for every choice of up to six hashes out of seven", function()
    local choices = { 0, 1, 0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF }
    local tried = 0
    local function try(chosen)
      for more = 1, 3 do
        local made, list = assert(tables.new()), {}
        for at, hash in ipairs(chosen) do
          assert(made:make_room(more))
          made:insert(hash, at)
          add(list, hash, at)
          check(made, list)
        end
        assert(made:make_room(20 * more)) -- all of them move
        check(made, list)
        tried = tried + 1
      end
    end
    local function choose(count, chosen, first)
      if count == 0 then return try(chosen) end
      for i = first, #choices do
        chosen[#chosen + 1] = choices[i]
        choose(count - 1, chosen, i)
        chosen[#chosen] = nil
      end
    end
    for count = 0, 6 do choose(count, {}, 1) end
    assert.equal(3 * 1716, tried) -- 6 out of 13
  end)

  it("grows from malloc's memory into pages of its own, and on, by small steps", function()
    local hash_of, list = hashes.good, {}
    local made = assert(tables.new())
    local steps, homes = 0, 0
    for n = 1, 12000 do
      if not made:has_room(1) then
        assert(made:make_room(1))
        local found = made:describe()
        assert(found.is_sound)
        if n > 2000 then assert(found.homes < 1.27 * homes, "a step too large") end
        assert(n < 500 or found.homes + found.tail < 1.75 * n)
        steps, homes = steps + 1, found.homes
      end
      made:insert(hash_of(n), n)
      list[n] = { hash_of(n), n }
    end
    table.sort(list, function(a, b) return a[1] < b[1] end)
    check(made, list)
    assert(steps > 20 and steps < 80, steps)
  end)

  it("grows at another size when its phase is another, to no more in the end", function()
    local sizes, total = {}, 0
    for phase = 0, 7 do
      local made = assert(tables.new())
      for n = 1, 5000 do
        assert(made:make_room(1, phase))
        made:insert(hashes.good(n), n)
      end
      local found = made:describe()
      local slots = found.homes + found.tail
      assert(found.is_sound and slots < 1.6 * 5000)
      if not sizes[slots] then sizes[#sizes + 1], sizes[slots] = slots, true end
      total = total + slots
    end
    assert(#sizes >= 4, "they all grow at once")
    assert(total / 8 < 1.4 * 5000)
  end)

  it("has room for as many as were asked for, all of one hash", function()
    for _, more in ipairs { 1, 2, 3, 8, 100, 1000, 5000 } do
      for _, hash in ipairs { 0, 0x80000000, 0xFFFFFFFF } do
        local made, list = assert(tables.new()), {}
        for round = 1, 3 do
          assert(made:make_room(more))
          for n = 1, more do
            made:insert(hash, (round - 1) * more + n)
            list[#list + 1] = { hash, (round - 1) * more + n }
          end
        end
        check(made, list)
      end
    end
  end)

  it("in want of memory is as it was, at every step", function()
    local refused, second = 0, 0
    for _, name in ipairs { "good", "all ones", "near the end", "falling" } do
      local hash_of = hashes[name]
      local made, list = assert(tables.new()), {}
      for n = 1, 2000 do
        if not made:has_room(1) then
          local before = describe_entries(made)
          for at = 1, 2 do -- the second: what stands behind the last home needs still more
            internals.memory.refuse(at)
            local result, _, code = made:make_room(1)
            internals.memory.refuse(0)
            if not result then
              assert.equal("nomemory", code)
              assert.same(before, describe_entries(made))
              refused = refused + 1
              second = second + at - 1
            end
          end
          assert(made:make_room(1))
        end
        made:insert(hash_of(n), n)
        add(list, hash_of(n), n)
      end
      check(made, list)
    end
    assert(refused > 100 and second > 5, refused .. " " .. second)
  end)

  it("moves into memory of its own, or stays where it is", function()
    local made, list = assert(tables.new()), {}
    for n = 1, 1500 do
      assert(made:make_room(1))
      made:insert(hashes.good(n), n)
      add(list, hashes.good(n), n)
      if n % 100 == 1 then
        local before = describe_entries(made)
        assert.equal(1, refusal.everywhere(function()
          local result, message, code = made:own()
          assert.same(before, describe_entries(made))
          return result, message, code
        end))
        check(made, list)
      end
    end
  end)

  for name, hash_of in pairs(hashes) do
    it("moves to where there is room for more, with a hash that is " .. name, function()
      for _, first in ipairs { 0, 1, 30, 300, 1500 } do
        for _, more in ipairs { 1, 10, 700 } do
          local made, list = assert(tables.new()), {}
          for n = 1, first do
            assert(made:make_room(1))
            made:insert(hash_of(n), n)
            add(list, hash_of(n), n)
          end
          assert(made:own(more, 3))
          check(made, list)
          local homes = made:describe().homes
          for n = first + 1, first + more do
            assert(made:make_room(1, 3))
            made:insert(hash_of(n), n)
            add(list, hash_of(n), n)
          end
          check(made, list)
          assert.equal(homes, made:describe().homes)
        end
      end
    end)
  end
end)
