local layers = require "spec.support.layers"
local refusal = require "spec.support.refusal"
local scratch = require "spec.support.scratch"

describe("a file that is read whole", function()
  after_each(scratch.clean)

  it("comes as it is, if it is no longer than the limit", function()
    local directory, path = layers.directory()
    for _, size in ipairs { 0, 1, 4095, 4096, 4097, 100000 } do
      local bytes = ("x"):rep(size)
      scratch.write(path .. "/file", bytes)
      assert.equal(bytes, directory:read_whole("file", size))
      if size > 0 then
        assert.equal("corrupt", select(3, directory:read_whole("file", size - 1)))
      end
    end
    assert.equal("notfound", select(3, directory:read_whole("none", 10)))
  end)
end)

describe("a file that is replaced", function()
  after_each(scratch.clean)

  it("is the new one, whatever the temporary held", function()
    local directory, path = layers.directory()
    assert(directory:replace("new.tmp", "file", "first"))
    assert.equal("first", scratch.read(path .. "/file"))
    scratch.write(path .. "/new.tmp", ("left by a crash"):rep(100))
    assert(directory:replace("new.tmp", "file", ""))
    assert.equal("", scratch.read(path .. "/file"))
    assert.same({ "file" }, scratch.files(path))
  end)

  it("is the old one for want of memory", function()
    local directory, path = layers.directory()
    assert(directory:replace("new.tmp", "file", "old"))
    local tries = refusal.everywhere(function()
      assert.equal("old", scratch.read(path .. "/file"))
      return directory:replace("new.tmp", "file", "new")
    end)
    assert.is_true(tries > 0)
    assert.equal("new", scratch.read(path .. "/file"))
  end)
end)

describe("a view of a file", function()
  after_each(scratch.clean)

  it("is the same whatever was announced before, behind the end and of no size included", function()
    local directory, path = layers.directory()
    local bytes = ("0123456789"):rep(2000)
    scratch.write(path .. "/file", bytes)
    for _, growing in ipairs { false, true } do
      local file <close> = assert(directory:open("file", growing))
      for _, offset in ipairs { 0, 1, 4095, 4096, 19999, 20000, 20001, 24576, 1 << 40 } do
        for _, size in ipairs { 0, 1, 4096, 20000, 1 << 40, (1 << 63) - 1 } do
          file:will_read(offset, size)
          file:load(offset, size)
        end
      end
      assert.equal(bytes, file:view(0, #bytes))
    end
    local fresh <close> = assert(directory:create("fresh", 1 << 20))
    fresh:will_read(0, 1 << 20)
    fresh:load(0, 1 << 20)
    assert(fresh:append(0, "begun"))
    fresh:will_read(0, 1 << 20)
    fresh:load(0, 5)
    assert.equal("begun", fresh:view(0, 5))
  end)

  it("holds exactly what was asked for, mapped or not, or is refused", function()
    local directory, path = layers.directory()
    scratch.write(path .. "/file", "0123456789")
    for _, growing in ipairs { false, true } do
      local file <close> = assert(directory:open("file", growing))
      assert.equal(not growing, file:is_mapped())
      for offset = 0, 11 do
        for size = 0, 12 do
          local view, _, code = file:view(offset, size)
          if offset + size <= 10 then
            assert.equal(("0123456789"):sub(offset + 1, offset + size), view)
          elseif size > 0 then
            assert.equal("corrupt", code)
          end
        end
      end
      for _, far in ipairs { 1 << 31, 1 << 40, (1 << 62) } do
        assert.equal("corrupt", select(3, file:view(far, 1)))
      end
    end
  end)
end)
