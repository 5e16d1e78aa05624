local bitcask = require "bitcask"
local contents = require "spec.support.contents"
local scratch = require "spec.support.scratch"

-- Twenty records in several sealed segments, of which one is damaged.
describe("a damaged record", function()
  local path, db, events, file, at

  local function value_of(i)
    return ("value %d: %s"):format(i, ("x"):rep(60))
  end

  local function open()
    return assert(bitcask.open(path, {
      segment_size = 512,
      on_event = function(event)
        if event.kind == "corruption" then events[#events + 1] = event end
      end,
    }))
  end

  before_each(function()
    path, events = scratch.path(), {}
    do
      local writer <close> = assert(bitcask.open(path, { segment_size = 512 }))
      assert(writer:put("k3", "an older value"))
      for i = 1, 20 do
        assert(writer:put("k" .. i, value_of(i)))
      end
      assert(writer:seal() ~= nil)
    end
    file, at = scratch.damage(path, "value 3: ")
    db = open()
  end)

  after_each(function()
    db:close()
    scratch.clean()
  end)

  it("is never returned, and never passed over for an older version", function()
    for _ = 1, 2 do
      local value, message, code = db:get "k3"
      assert.is_nil(value)
      assert.equals("corrupt", code)
      assert.matches(file, message, 1, true)
    end
    assert.equals("corrupt", (select(3, db:get_many { "k2", "k3", "k4" })))
  end)

  it("leaves everything else readable and writable", function()
    for i = 1, 20 do
      if i ~= 3 then assert.equals(value_of(i), (db:get("k" .. i))) end
    end
    assert(db:put("k21", "new"))
    assert(db:put("k3", "mended"))
    assert.equals("mended", (db:get "k3"))
    assert.is_truthy(db:delete "k3")
    assert.is_nil(select(3, db:get "k3"))
  end)

  it("is told to on_event: file, offset, bytes, message", function()
    db:get "k3"
    db:count()
    assert.is_truthy(#events >= 1)
    local event = events[1]
    assert.equals(file, event.file:match "[^/]*$")
    assert.is_truthy(event.offset < at and at <= event.offset + event.bytes)
    assert.is_string(event.message)
  end)

  it("makes an iterator raise, which then goes on behind it", function()
    local next, iterator = db:pairs()
    local seen, failures = {}, 0
    while true do
      local ok, key, value = pcall(next, iterator)
      if not ok then
        failures = failures + 1
        assert.matches(file, key, 1, true)
      elseif key == nil then
        break
      else
        seen[key] = value
      end
    end
    assert.equals(1, failures)
    assert.equals(19, #contents.keys(seen))
  end)

  it("ends a loop over pairs with an error", function()
    assert.has_error(function()
      for _ in db:pairs() do end
    end)
    assert.has_error(function()
      for _ in pairs(db:table()) do end
    end)
    assert.has_error(function() return db:table().k3 end)
  end)

  it("is skipped, and reported, with on_damage = \"skip\"", function()
    local seen = {}
    for key, value in db:pairs { on_damage = "skip" } do
      seen[key] = value
    end
    assert.is_nil(seen.k3)
    assert.equals(19, #contents.keys(seen))
    assert.is_truthy(#events >= 1)
  end)

  it("survives a merge as it is, and loses nothing to it", function()
    for i = 10, 20 do
      assert(db:put("k" .. i, "changed"))
    end
    assert(db:seal())
    for _ = 1, 2 do
      assert.is_not_nil(db:merge())
      for i = 1, 20 do
        if i ~= 3 then
          assert.equals(i < 10 and value_of(i) or "changed", (db:get("k" .. i)))
        end
      end
      assert.equals("corrupt", (select(3, db:get "k3")))
      db:close()
      db = open()
    end
  end)

  it("goes with a merge once its key is written anew, if only its value is damaged", function()
    assert(db:put("k3", "mended"))
    assert(db:seal() ~= nil)
    local report = assert(db:merge())
    assert.equals(0, report.segments_damaged)
    assert.same({}, events)
    for _, name in ipairs(scratch.files(path, "seg$")) do assert.is_not_equal(file, name) end
    assert.equals("mended", (db:get "k3"))
    for i = 1, 20 do
      if i ~= 3 then assert.equals(value_of(i), (db:get("k" .. i))) end
    end
  end)

  it("is counted", function()
    local before = db:stats().corruptions
    db:get "k3"
    assert.is_truthy(db:stats().corruptions > before)
  end)
end)

describe("opening a store", function()
  local path

  before_each(function()
    path = scratch.path()
    local db <close> = assert(bitcask.open(path, { segment_size = 512 }))
    for i = 1, 30 do
      assert(db:put("k" .. i, ("v"):rep(60)))
    end
  end)

  after_each(scratch.clean)

  -- Files that hold records, by what one of them says.
  local function data_files()
    local found = {}
    for _, name in ipairs(scratch.files(path)) do
      local bytes = scratch.read(path .. "/" .. name)
      if bytes:find(("v"):rep(60), 1, true) then found[#found + 1] = name end
    end
    return found
  end

  it("that misses a file is refused, naming it, and salvaged on demand", function()
    local name = data_files()[2]
    os.remove(path .. "/" .. name)
    local db, message, code = bitcask.open(path)
    assert.is_nil(db)
    assert.equals("corrupt", code)
    assert.matches(name, message, 1, true)
    assert.equals("corrupt", (select(3, bitcask.open(path, { readonly = true }))))

    local rest <close> = assert(bitcask.open(path, { salvage = true }))
    local seen = 0
    for _, value in rest:pairs { on_damage = "skip" } do
      assert.equals(("v"):rep(60), value)
      seen = seen + 1
    end
    assert.is_truthy(seen > 15 and seen < 30)
    assert.equals("readonly", (select(3, rest:put("a", "1"))))
  end)

  it("with a file too short is refused, naming it", function()
    local name = data_files()[2]
    local bytes = scratch.read(path .. "/" .. name)
    scratch.write(path .. "/" .. name, bytes:sub(1, #bytes // 2))
    local db, message, code = bitcask.open(path)
    assert.is_nil(db)
    assert.equals("corrupt", code)
    assert.matches(name, message, 1, true)
  end)

  it("is never an empty one instead of a damaged one", function()
    local data = {}
    for _, name in ipairs(data_files()) do
      data[name] = true
    end
    for _, name in ipairs(scratch.files(path)) do
      if not data[name] then
        local copy = scratch.copy(path)
        os.remove(copy .. "/" .. name)
        local db, _, code = bitcask.open(copy)
        if db then
          assert.equals(30, db:count(), "without " .. name)
          db:close()
        else
          assert.equals("corrupt", code, "without " .. name)
        end
      end
    end
  end)
end)
