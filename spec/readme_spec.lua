-- Every block of Lua or C in the README, and in the documents named here, is a program that runs.

local lfs = require "lfs"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "B" or "build"

local function blocks(path, language)
  local file = io.open(path, "rb")
  if not file then return {} end
  local found, line_number, begin, lines = {}, 0, nil, nil
  for line in file:lines() do
    line_number = line_number + 1
    if line:find("^%s*```" .. language .. "%s*$") then
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

    for _, block in ipairs(blocks(document, "lua")) do
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

    for _, block in ipairs(blocks(document, "c")) do
      it("has a C program in line " .. block.line .. " that runs", function()
        local directory = scratch.directory()
        scratch.write(directory .. "/program.c", block.code .. "\n")
        local build = ("cc -std=c11 -Wall -Wextra -Werror -Icsrc -o '%s/program' '%s/program.c' %s"
          .. "/libbitcask.a -pthread"):format(directory, directory, BUILD)
        assert(os.execute(build))
        assert(os.execute(("cd '%s' && ./program >/dev/null"):format(directory)))
      end)
    end
  end)
end
