-- What csrc/README.md and the Makefile's list say of the code, held against the code. Each
-- rule is a function from the path and text of a file to complaints; beside it stands a file
-- that breaks it, so that a rule which has stopped seeing anything is noticed.

local lfs = require "lfs"
local scratch = require "spec.support.scratch"

local BUILD = os.getenv "B" or "build"

local function run(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1"))
  return pipe:read "a"
end

-- Modules from the ground up, and where each stands.
local order, rank = {}, {}
for name in run("make -s --no-print-directory print-modules"):gmatch "%S+" do
  order[#order + 1] = name
  rank[name] = #order
end

-- Built for the specs alone: these may look into every layer, and neither they nor the trial
-- build's are in the list.
local function is_internals(name)
  return name == "bind/lua_internals" or name:find "^bind/internals/" ~= nil
end
local trial_only = { ["base/mutant"] = true, ["bind/lua_trial"] = true }

local function walk(directory, each)
  for name in lfs.dir(directory) do
    local path = directory .. "/" .. name
    local mode = lfs.attributes(path, "mode")
    if mode == "directory" and not name:find "^%." then
      walk(path, each)
    elseif mode == "file" then
      each(path)
    end
  end
end

local sources = {}
walk("csrc", function(path)
  if path:find "%.[ch]$" then sources[path] = scratch.read(path) end
end)

local function module_of(path)
  return path:match "^csrc/(.*)%.[ch]$"
end

local function layer_of(path)
  return path:match "^csrc/([^/]+)/" or "."
end

-- Without comments and the contents of strings, which may say anything. Lines stay lines.
local function code_of(text)
  local function blank(part)
    return (part:gsub("[^\n]", " "))
  end
  text = text:gsub("\\[\"']", "  "):gsub("'\"'", "   ")
  local code, at = {}, 1
  while at <= #text do
    local from = text:find('[/"]', at)
    if not from then break end
    code[#code + 1] = text:sub(at, from - 1)
    local to
    if text:sub(from, from + 1) == "/*" then
      to = select(2, text:find("*/", from + 2, true)) or #text
      code[#code + 1] = blank(text:sub(from, to))
    elseif text:sub(from, from) == '"' and not text:sub(1, from):find "#include [^\n]*$" then
      to = text:find('"', from + 1, true) or #text
      code[#code + 1] = '"' .. blank(text:sub(from + 1, to - 1)) .. '"'
    else
      to = from
      code[#code + 1] = text:sub(from, to)
    end
    at = to + 1
  end
  code[#code + 1] = text:sub(at)
  return table.concat(code)
end

local function includes(text)
  return text:gmatch "#%s*include%s+[<\"]([^>\"\n]+)[>\"]"
end

local function own_includes(text)
  return text:gmatch '#%s*include%s+"([^"\n]+)"'
end

-- Complaints about identifiers of a set that stand in the code.
local function uses(text, identifiers)
  local found = {}
  for word in code_of(text):gmatch "[%a_][%w_]*" do
    if identifiers[word] then found[#found + 1] = "uses " .. word end
  end
  return found
end

-- The same for functions that are called; fields of these names are fine.
local function calls(text, functions)
  local found = {}
  for before, word in ("  " .. code_of(text)):gmatch "(..)%f[%w_]([%a_][%w_]*)%s*%f[(]" do
    local is_field = before == "->" or before:find "%.$"
    if functions[word] and not is_field then found[#found + 1] = "calls " .. word end
  end
  return found
end

local function set(words)
  local members = {}
  for word in words:gmatch "%S+" do
    members[word] = true
  end
  return members
end

local rules = {}

rules["is in the Makefile's list"] = {
  check = function(path)
    local name = module_of(path)
    if rank[name] or trial_only[name] or is_internals(name) or name == "bitcask" then return {} end
    return { "is not in the list" }
  end,
  broken = { ["csrc/store/stray.c"] = "" },
}

rules["includes only modules above it in the list, and bitcask.h"] = {
  check = function(path, text)
    local found = {}
    local own = module_of(path)
    if is_internals(own) or trial_only[own] then return found end
    for name in own_includes(text) do
      local other = name:match "^(.*)%.h$"
      local is_below = rank[other] and rank[own] and rank[other] <= rank[own]
      local is_fine = is_below or trial_only[other] or name == "bitcask.h"
      if not is_fine then found[#found + 1] = "includes " .. name end
    end
    return found
  end,
  broken = {
    ["csrc/base/memory.c"] = '#include "store/keydir.h"\n',
    ["csrc/store/keydir.h"] = '#  include "engine/engine.h"\n',
    ["csrc/store/guard.c"] = '#include "nowhere.h"\n',
    ["csrc/bitcask.h"] = '#include "base/status.h"\n',
  },
}

-- Simulated disks are no part of bitcask.h: whoever wants one builds the module. And the trial
-- build is for what nobody else should see.
local beside_the_interface = {
  ["csrc/bind/lua_sim.c"] = { ["disk/sim.h"] = true },
  ["csrc/bind/lua_trial.c"] = { ["base/memory.h"] = true, ["base/mutant.h"] = true },
  ["csrc/bind/lua_sim_files.c"] = { ["disk/disk.h"] = true, ["disk/sim_file.h"] = true },
}

rules["of format/ knows bytes only, and of bind/ only what is public"] = {
  check = function(path, text)
    local found = {}
    local may = { format = { format = true, base = true }, bind = { bind = true } }
    local allowed = not is_internals(module_of(path)) and may[layer_of(path)]
    for name in own_includes(text) do
      local layer = name:match "^(.-)/"
      local excepted = (beside_the_interface[path] or {})[name]
      if allowed and layer and not allowed[layer] and not excepted then
        found[#found + 1] = "includes " .. name
      end
    end
    return found
  end,
  broken = {
    ["csrc/format/record.c"] = '#include "disk/disk.h"\n',
    ["csrc/bind/lua_cask.c"] = '#include "engine/engine.h"\n',
  },
}

local allocation = set [[malloc calloc realloc reallocarray free strdup strndup aligned_alloc
  posix_memalign memalign valloc asprintf vasprintf getline]]

rules["leaves allocating to base/memory.c"] = {
  check = function(path, text)
    return path == "csrc/base/memory.c" and {} or uses(text, allocation)
  end,
  broken = {
    ["csrc/base/bytes.c"] = "void *f(void) { return malloc (1); }",
    ["csrc/store/keydir.c"] = "void (*f)(void *) = free;",
  },
}

local memory_headers = { ["sys/mman.h"] = true, ["sys/auxv.h"] = true }
local thread_headers = set "sys/resource.h sys/syscall.h unistd.h" -- priorities, a barrier
local disk_headers = set [[fcntl.h unistd.h dirent.h poll.h aio.h libgen.h ftw.h glob.h]]

local file_calls = set "fopen freopen fdopen tmpfile rename remove popen system"

rules["leaves files to disk/posix.c and its parts"] = {
  check = function(path, text)
    local found = {}
    if path:find "^csrc/disk/posix[%w_]*%.[ch]$" then return found end
    for name in includes(text) do
      local is_memory = path == "csrc/base/memory.c" and memory_headers[name]
      local is_thread = path == "csrc/base/thread.c" and thread_headers[name]
      if (disk_headers[name] or name:find "^sys/") and not is_memory and not is_thread then
        found[#found + 1] = "includes " .. name
      end
    end
    table.move(calls(text, file_calls), 1, 20, #found + 1, found)
    return found
  end,
  broken = {
    ["csrc/disk/disk.c"] = "#include <unistd.h>\n",
    ["csrc/engine/cask.c"] = "# include <sys/stat.h>\n",
    ["csrc/engine/load.c"] = 'void f(void) { fopen("x", "r"); }',
  },
}

rules["leaves Lua to bind/"] = {
  check = function(path, text)
    local found = {}
    for name in includes(text) do
      local is_lua = name:find "^lua%w*%.h" or name == "lauxlib.h"
      if is_lua and layer_of(path) ~= "bind" then found[#found + 1] = "includes " .. name end
    end
    return found
  end,
  broken = {
    ["csrc/engine/cask.c"] = "#include <lua.h>\n",
    ["csrc/engine/hash.h"] = "#include <lauxlib.h>\n",
    ["csrc/bitcask.h"] = '#include "lua.h"\n',
  },
}

local talking = set [[printf fprintf vprintf vfprintf dprintf puts fputs putchar putc fputc fwrite
  perror psignal syslog exit _exit _Exit quick_exit abort]]

rules["never prints, and never ends the process"] = {
  check = function(_, text)
    local found = calls(text, talking)
    return #found > 0 and found or uses(text, set "stdout stderr")
  end,
  broken = {
    ["csrc/engine/load.c"] = 'void f(void) { printf("x"); }',
    ["csrc/base/status.c"] = "void f(void) { say(stderr); }",
    ["csrc/disk/disk.c"] = "void f(void) {\nperror (0); }",
    ["csrc/engine/cask.c"] = "void f(void) { abort(); }",
  },
}

local marks = set("TO" .. "DO FIX" .. "ME X" .. "XX HA" .. "CK")

rules["promises no work to come"] = {
  check = function(_, text)
    local found = {}
    for word in text:gmatch "%u+" do
      if marks[word] then found[#found + 1] = "says " .. word end
    end
    return found
  end,
  broken = { ["csrc/engine/cask.c"] = "/* TO" .. "DO: later */" },
}

rules["guards a header by its path"] = {
  check = function(path, text)
    if not path:find "%.h$" then return {} end
    local name = path:match "^csrc/(.*)$":upper():gsub("[/.]", "_")
    local guard = text:match "#ifndef ([%w_]+)\n#define %1\n"
    if guard == name or guard == "BITCASK_" .. name then return {} end
    return { "is not guarded by " .. name }
  end,
  broken = {
    ["csrc/store/keydir.h"] = "#ifndef STORE_GUARD_H\n#define STORE_GUARD_H\n#endif\n",
    ["csrc/store/guard.h"] = "int x;\n",
  },
}

local names = {}
for name in pairs(rules) do
  names[#names + 1] = name
end
table.sort(names)

describe("a source file of the engine", function()
  for _, name in ipairs(names) do
    local rule = rules[name]
    it(name, function()
      local complaints = {}
      for path, text in pairs(sources) do
        for _, complaint in ipairs(rule.check(path, text)) do
          complaints[#complaints + 1] = path .. " " .. complaint
        end
      end
      table.sort(complaints)
      assert.equal("", table.concat(complaints, "\n"))
    end)

    for path, text in pairs(rule.broken) do
      it(("%s, or it is noticed: %s"):format(name, path), function()
        assert.is_true(#rule.check(path, text) > 0)
      end)
    end
  end

  it("may speak of what it may not do", function()
    local text = '/* malloc " */ const char *s = "free(\\"x\\")"; char c = \'"\'; /* printf( */'
    assert.same({}, rules["leaves allocating to base/memory.c"].check("csrc/base/bytes.c", text))
    assert.same({}, rules["never prints, and never ends the process"].check("x", text))
  end)
end)

describe("the list of modules", function()
  it("names files that are there, each once", function()
    assert.is_true(#order > 30)
    local seen = {}
    for _, name in ipairs(order) do
      assert(sources["csrc/" .. name .. ".c"], name .. " has no source")
      assert(not seen[name], name .. " is named twice")
      seen[name] = true
    end
  end)
end)

describe("csrc/README.md", function()
  it("has a row for each module below the binding", function()
    local has_row, missing = {}, {}
    for line in io.lines "csrc/README.md" do
      local first = line:match "^|([^|]*)|" or ""
      for name in first:gmatch "`([^`]+)`" do has_row[name] = true end
    end
    for _, name in ipairs(order) do
      if not (has_row[name] or name:find "^bind/") then missing[#missing + 1] = name end
    end
    assert.same({}, missing)
  end)
end)

describe("a header", function()
  it("can be included alone", function()
    local headers = {}
    for path in pairs(sources) do
      if path:find "%.h$" then headers[#headers + 1] = path end
    end
    local output = run("cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Icsrc -isystem " ..
      (os.getenv "LUA_INCDIR" or "/usr/include/lua5.4") ..
      " -Wno-unused -fsyntax-only -x c " .. table.concat(headers, " "))
    assert.equal("", output)
  end)

  local function complaints(language)
    return run("cc -Wall -Wextra -Werror -pedantic -fsyntax-only " .. language ..
      " csrc/bitcask.h")
  end

  it("of the public interface suits strict C99 and C11 programs", function()
    assert.equal("", complaints "-x c -std=c99")
    assert.equal("", complaints "-x c -std=c11")
  end)

  it("of the public interface suits C++ programs", function()
    if run("echo 'int main() {}' | cc -x c++ -fsyntax-only -") ~= "" then
      pending "there is no C++ compiler"
      return
    end
    assert.equal("", complaints "-x c++ -std=c++11")
  end)
end)

describe("what is built", function()
  -- The names that an object offers to whoever loads it.
  local function exports(path)
    if not lfs.attributes(path) then pending(path .. " is not built") end
    local exported = {}
    for name in run("nm -D --defined-only " .. path):gmatch "%x+ %u ([%w_]+)" do
      exported[#exported + 1] = name
    end
    table.sort(exported)
    return exported
  end

  it("offers Lua one name", function()
    assert.same({ "luaopen_bitcask_core" }, exports(BUILD .. "/bitcask/core.so"))
  end)

  it("offers C what bitcask.h declares, and nothing else", function()
    local declared = {}
    -- A declaration goes from BITCASK_API to its semicolon; its name stands before the first
    -- parenthesis.
    for declaration in code_of(sources["csrc/bitcask.h"]):gmatch "\nBITCASK_API ([^;]*);" do
      declared[#declared + 1] = declaration:match "([%w_]+)%s*%("
    end
    table.sort(declared)
    assert.is_true(#declared > 30)
    assert.same(declared, exports(BUILD .. "/libbitcask.so"))
  end)
end)
