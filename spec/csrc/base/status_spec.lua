local status = require "bitcask.internals".status

describe("a status", function()
  it("has a stable name", function()
    local names = {}
    for i = 0, 17 do
      names[i + 1] = status.name(i)
    end
    assert.same({
      "ok", "absent", "invalid", "io", "nospace", "locked", "corrupt", "conflict", "readonly",
      "toolarge", "exists", "notfound", "busy", "cancelled", "incompatible", "nomemory",
      "policy", "stopped",
    }, names)
  end)
end)

describe("the text of an error", function()
  it("is what was said, as long as it fits, and cut where it does not", function()
    for length = 0, 511 do
      local text = ("x"):rep(length)
      assert(status.text(text) == text)
    end
    for _, length in ipairs { 512, 513, 1000, 100000 } do
      assert.equal(("x"):rep(511), status.text(("x"):rep(length)))
    end
  end)

  it("is not taken for a format", function()
    assert.equal("100%s %n %d", status.text "100%s %n %d")
  end)
end)

describe("a failure that is kept", function()
  it("is the first, whatever failed after it", function()
    local result, message, code = status.first("first", "second", "third")
    assert.is_nil(result)
    assert.equal("first", message)
    assert.equal("nospace", code)
  end)
end)
