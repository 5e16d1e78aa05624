local core = require "bitcask.core"
local options = require "bitcask.options"

describe("every option", function()
  for _, set_name in ipairs {
    "open", "put", "delete", "transaction", "iterate", "plan", "merge", "merging",
  } do
    for name, option in pairs(options[set_name]) do
      it(("%s's %s has a sentence, a check, a default"):format(set_name, name), function()
        assert.is_string(option.sentence)
        assert.is_function(option.check)
        if option.default ~= nil then
          assert.equals(option.default, (option.check(option.default)))
        end
        local value, wanted = option.check(setmetatable({}, { __name = "strange" }))
        if value == nil then assert.is_string(wanted) end
      end)
    end
  end
end)

describe("the options of opening", function()
  it("are these", function()
    assert.same({
      "create", "disk", "hash", "on_event", "policy", "readonly", "salvage", "segment_size", "sync",
      "ttl", "verify",
    }, options.names(options.open))
  end)

  it("have the engine's default of segment_size: 256 MiB", function()
    assert.equals(256 << 20, options.open.segment_size.default)
    assert.equals(core.limits.segment_size_default, options.open.segment_size.default)
  end)
end)

describe("checking options", function()
  local set = options.open

  it("of none gives none", function()
    assert.same({}, options.check(set, nil, 1))
    assert.same({}, options.check(set, {}, 1))
  end)

  it("gives what was given, as it is used", function()
    local checked = options.check(set, { segment_size = 4096.0, sync = 0.5, verify = false }, 1)
    assert.same({ segment_size = 4096, sync = 0.5, verify = false }, checked)
    assert.equals("integer", math.type(checked.segment_size))
  end)

  it("raises for an unknown name, and lists those it knows", function()
    local ok, message = pcall(options.check, set, { sycn = 1 }, 1)
    assert.is_false(ok)
    for _, name in ipairs(options.names(set)) do
      assert.matches(name, message, 1, true)
    end
    assert.is_false(pcall(options.check, set, { "readonly" }, 1))
    assert.is_false(pcall(options.check, set, { [{}] = 1 }, 1))
  end)

  it("raises for a wrong value, and says what it should be", function()
    local ok, message = pcall(options.check, set, { sync = "sometimes" }, 1)
    assert.is_false(ok)
    assert.matches('option \'sync\' is "sometimes"', message, 1, true)
    assert.matches('"none", "always" or a number of seconds above 0', message, 1, true)
  end)

  it("raises for anything but a table", function()
    for _, given in ipairs { 1, "readonly", true, print } do
      assert.is_false(pcall(options.check, set, given, 1))
    end
  end)
end)
