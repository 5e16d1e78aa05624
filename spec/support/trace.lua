--- What a program asked of the file system, in order, as strace saw it.
--
-- A trace is a list of calls: `name`, `path` (of the descriptor or the name, relative to the
-- store's directory; "." is the directory itself), `to` (of a rename), `text` (the arguments),
-- `ok`, and `began` and `ended`: lines of the trace, for what happened before what. The
-- A flush of a mapping is an "fdatasync" of its file. The
-- program marks its own progress by writing lines to the file it is given: calls named "mark".

local child = require "spec.support.child"
local scratch = require "spec.support.scratch"

local trace = {}

local calls = "openat,mkdir,mkdirat,write,pwrite64,pwritev,fdatasync,fsync,msync,mmap,renameat," ..
  "renameat2,unlinkat,ftruncate,fallocate,linkat,symlinkat,fchmodat,fchmod,utimensat,flock," ..
  "close,membarrier"

local function relative(path, directory)
  path = path:gsub(" %(deleted%)$", "")
  if path == directory then return "." end
  if path:sub(1, #directory + 1) == directory .. "/" then return path:sub(#directory + 2) end
  return path
end

local function parse_call(name, text, directory)
  local call = { name = name, text = text }
  local base = text:match "^[^<,]*<([^>]*)>"
  local target = text:match '^[^<,]*<[^>]*>, "([^"]*)"' or text:match '^[^<,]*, "([^"]*)"'
    or name == "mkdir" and text:match '^"([^"]*)"'
  if name == "openat" or name == "unlinkat" then
    local path = target:sub(1, 1) == "/" and target or (base or "") .. "/" .. target
    call.path = target == "." and relative(base or "", directory) or relative(path, directory)
  elseif name == "mkdir" then
    call.path = relative(target, directory)
  elseif name == "renameat" or name == "renameat2" or name == "linkat" then
    call.path = relative((base or "") .. "/" .. target, directory)
    local onto, to = text:match '", [^<,]*<([^>]*)>, "([^"]*)"'
    call.to = relative(onto .. "/" .. to, directory)
  else
    call.path = relative(base or "", directory)
  end
  return call
end

-- Files are mapped at addresses, by which they may be flushed. That is the flush of a file like
-- another, so it gets the name of one.
local function know_mapping(call, rest, mapped, directory)
  local path = call.text:match "MAP_SHARED, %d+<([^>]*)>"
  local address = rest:match "= (0x%x+)"
  if path and address then mapped[address] = relative(path, directory) end
end

local function name_flush(call, mapped)
  call.name, call.path = "fdatasync", mapped[call.text:match "^(0x%x+)"]
end

local function finish(call, rest, number)
  local result = rest:match "= (%-?%d+)" or rest:match "= (%?)"
  call.ok = result ~= nil and tonumber(result) ~= nil and tonumber(result) >= 0
  call.ended = number
end

local function parse(log, directory, marks)
  local found, unfinished, mapped, number = {}, {}, {}, 0
  for line in log:gmatch "[^\n]+" do
    number = number + 1
    local thread, rest = line:match "^(%d+) +(.*)$"
    local resumed, tail = rest:match "^<%.%.%. ([%w_]+) resumed>(.*)$"
    if resumed then
      local call = unfinished[thread]
      finish(call, tail, number)
      if call.name == "mmap" then know_mapping(call, tail, mapped, directory) end
    else
      local name, text = rest:match "^([%w_]+)%((.*)$"
      if name then
        local call = parse_call(name, text, directory)
        call.began, call.thread = number, thread
        if call.path == marks and name == "write" then
          call.name, call.text = "mark", text:match '"(.-)\\n"'
        end
        if name == "mmap" then know_mapping(call, text, mapped, directory) end
        if name == "msync" then name_flush(call, mapped) end
        if name ~= "mmap" then found[#found + 1] = call end
        if text:find("<unfinished ...>", 1, true) then
          unfinished[thread] = call
        else
          finish(call, text:match "%).-(= .*)$" or text, number)
        end
      end
    end
  end
  return found
end

--- Run `code` (as spec.support.child does, with `directory` as its first argument, and a
-- function `mark(text)`), and return its calls from the first mark on.
function trace.run(code, directory, ...)
  local log, marks = scratch.path(), scratch.path()
  local preamble = ([[
    local marks = assert(io.open(%q, "w"))
    marks:setvbuf "no"
    local function mark(text) assert(marks:write(text .. "\n")) end
    mark "begin"
  ]]):format(marks)
  local command = child.command(preamble .. code, directory, ...)
  local pipe = assert(io.popen(("strace -f -q -y -s 64 -e trace=%s -o %s %s 2>&1"):format(
    calls, log, command)))
  local output = pipe:read "a"
  local ok = pipe:close()
  assert(ok, output)
  local all, first = parse(scratch.read(log), directory, marks), nil
  for i, call in ipairs(all) do
    if call.name == "mark" then
      first = i
      break
    end
  end
  return table.move(all, first, #all, 1, {}), output
end

--- The calls that `wanted` describes: each of its fields is a pattern that the call's has to
-- match wholly, or the value itself; `after` and `before` are calls, or lines.
function trace.find(all, wanted)
  local found = {}
  local after = type(wanted.after) == "table" and wanted.after.ended or wanted.after or 0
  local before = type(wanted.before) == "table" and wanted.before.began or wanted.before
  for _, call in ipairs(all) do
    local fits = call.began > after and (not before or (call.ended or math.huge) < before)
    for field, pattern in pairs(wanted) do
      if field ~= "after" and field ~= "before" then
        local value = call[field]
        local same = value == pattern or type(value) == "string" and type(pattern) == "string"
          and value:find("^" .. pattern .. "$") ~= nil
        fits = fits and same
      end
    end
    if fits then found[#found + 1] = call end
  end
  return found
end

--- The first such call; raises, saying what was looked for, where there is none.
function trace.first(all, wanted, what)
  local call = trace.find(all, wanted)[1]
  if call then return call end
  error("missing in the trace: " .. what, 2)
end

--- Calls that change something: what exists, what is in it, or who holds it.
function trace.is_change(call)
  if call.name == "openat" then
    return call.text:find("O_CREAT", 1, true) ~= nil or call.text:find("O_WRONLY", 1, true) ~= nil
      or call.text:find("O_RDWR", 1, true) ~= nil or call.text:find("O_TRUNC", 1, true) ~= nil
  end
  return call.name ~= "close" and call.name ~= "mark" and call.name ~= "membarrier"
end

return trace
