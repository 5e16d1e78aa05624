local bitcask = require "bitcask"
local ramdisk = require "spec.support.ramdisk"
local scratch = require "spec.support.scratch"

local has_argparse = pcall(require, "argparse")

-- Run a command as a shell would, and return its status, what it printed, and what it said.
local function run(...)
  local arguments = { ... }
  for i, argument in ipairs(arguments) do
    arguments[i] = "'" .. argument:gsub("'", "'\\''") .. "'"
  end
  local output, messages = ramdisk.path(), ramdisk.path()
  local _, _, status = os.execute(("lua5.4 bin/bitcask %s >%s 2>%s"):format(
    table.concat(arguments, " "), output, messages))
  return status, scratch.read(output), scratch.read(messages)
end

describe("bitcask policy", function()
  local directory

  before_each(function()
    directory = ramdisk.directory()
  end)

  after_each(ramdisk.clean)

  local function it_runs(title, body)
    it(title, function()
      if not has_argparse then return pending "argparse is missing: lua-argparse" end
      body()
    end)
  end

  local function file(name, text)
    scratch.write(directory .. "/" .. name, text)
    return directory .. "/" .. name
  end

  local few = { "--keys", "300", "--writes", "3000" }

  local function lab(...)
    local report = directory .. "/report.html"
    return run("policy", "lab", "-o", report, few[1], few[2], few[3], few[4], ...)
  end

  it_runs("list tells what there is", function()
    local status, output = run("policy", "list")
    assert.equals(0, status)
    for _, kind in ipairs(bitcask.policy.kinds()) do
      assert(output:find("%f[%w_]" .. kind.name .. "%f[^%w_]"), kind.name)
    end
  end)

  it_runs("lab takes one size of values, or a range", function()
    assert.equals(0, (lab("-w", "zipf", "--value-size", "50-400")))
    assert.equals(0, (lab("-w", "zipf", "--value-size", "50")))
    assert.equals(2, (lab("-w", "zipf", "--value-size", "many")))
  end)

  it_runs("lab judges policies from files beside those that are shipped", function()
    local one = file("mine.lua", [[
      return function(store)
        if #store.segments > 5 then return { store.segments[1].id } end
      end]])
    local two = file("others.lua", [[
      local policy = require("bitcask").policy
      return { lazy = policy.default { space = 3 }, idle = policy.never() }]])
    local status, output, messages = lab(one, two, "-w", "uniform", "-w", "zipf")
    assert.equals(0, status, messages)
    for _, name in ipairs { "mine", "lazy", "idle", "default", "threshold" } do
      assert(output:find("\nuniform +" .. name), name)
      assert(output:find("\nzipf +" .. name), name)
    end
    assert.is_truthy(scratch.read(directory .. "/report.html"):find "<svg")
  end)

  it_runs("lab prints figures that a program can read", function()
    local status, output = lab("--json", "-w", "series", "--with", "never")
    assert.equals(0, status)
    assert.is_truthy(output:find '^%[{"mean_space_amplification":')
    assert.is_truthy(output:find '"policy":"never"')
    assert.is_truthy(output:find '"write_amplification":1[,.}]')
  end)

  it_runs("record makes a trace of a store that is in use, and lab plays it", function()
    local db <close> = assert(bitcask.open(directory .. "/store",
      { segment_size = 4096, policy = false }))
    for i = 1, 300 do assert(db:put("k" .. i % 20, ("v"):rep(100))) end
    local trace = directory .. "/store.trace"
    local status, _, messages = run("policy", "record", directory .. "/store", "-o", trace)
    assert.equals(0, status, messages)
    assert.is_truthy(messages:find "300 writes to 20 keys")
    local output
    status, output, messages = run("policy", "lab", "-t", trace, "-o", directory .. "/report.html")
    assert.equals(0, status, messages)
    assert.is_truthy(output:find "\nstore.trace +default")
  end)

  it_runs("says what went wrong, and fails", function()
    local broken = file("broken.lua", "return 5")
    local raising = file("raising.lua", "return function() error 'no idea' end")
    for message, arguments in pairs {
      ["should return a policy"] = { "lab", broken },
      ["No such file"] = { "lab", directory .. "/none.lua" },
      ["there is no policy 'x'"] = { "lab", "--with", "x" },
      ["no policy to judge"] = { "lab", "--with", "none" },
      ["no idea"] = { "lab", raising, "-w", "uniform", "--writes", "1000", "-o",
        directory .. "/report.html" },
      ["cannot read the trace"] = { "lab", "-t", directory .. "/none" },
      ["none"] = { "record", directory .. "/none" },
    } do
      local status, _, messages = run("policy", table.unpack(arguments))
      assert.equals(1, status, messages)
      assert(messages:find(message, 1, true), messages)
      assert.is_nil(messages:find "traceback")
    end
  end)

  it_runs("tells how it is used when it is called wrongly", function()
    for _, arguments in ipairs {
      {}, { "nonsense" }, { "policy" }, { "policy", "nonsense" }, { "policy", "lab", "-w", "none" },
      { "policy", "lab", "--keys", "many" }, { "policy", "record" }, { "policy", "list", "more" },
    } do
      local status, output, messages = run(table.unpack(arguments))
      assert.equals(2, status)
      assert.equals("", output)
      assert.is_truthy(messages:find "Usage: bitcask")
    end
  end)
end)
