-- Every Lua block of the README, and of the documents named here, is a program that runs.

local lfs = require "lfs"
local scratch = require "spec.support.scratch"

local function blocks(path)
  local file = io.open(path, "rb")
  if not file then return {} end
  local found, line_number, begin, lines = {}, 0, nil, nil
  for line in file:lines() do
    line_number = line_number + 1
    if line:find "^%s*```lua%s*$" then
      begin, lines = line_number, {}
    elseif begin and line:find "^%s*```%s*$" then
      found[#found + 1] = { line = begin, code = table.concat(lines, "\n") }
      begin = nil
    elseif begin then
      lines[#lines + 1] = line
    end
  end
  file:close()
  return found
end

for _, document in ipairs { "README.md", "docs/isolation.md", "docs/merging.md",
  "docs/policies.md", "docs/scenarios.md" } do
  describe(document, function()
    local home

    before_each(function()
      home = lfs.currentdir()
    end)

    after_each(function()
      assert(lfs.chdir(home))
      scratch.clean()
    end)

    -- Modules are found from where the specs run, not from where the block does.
    local function absolute(path)
      return (path:gsub("%f[^;\0]%./", lfs.currentdir() .. "/"))
    end

    for _, block in ipairs(blocks(document)) do
      it("has a program in line " .. block.line .. " that runs", function()
        local path, cpath, print = package.path, package.cpath, print
        finally(function()
          package.path, package.cpath, _G.print = path, cpath, print
        end)
        package.path, package.cpath = absolute(path), absolute(cpath)
        _G.print = function() end
        local chunk = assert(load(block.code, ("=%s:%d"):format(document, block.line)))
        assert(lfs.chdir(scratch.directory()))
        chunk()
      end)
    end
  end)
end
