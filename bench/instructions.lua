-- How many instructions a call of this engine takes, counted by callgrind: a figure that no
-- other program on the machine can change.
--
--   lua bench/instructions.lua PROGRAM [KEYS] [DIRECTORY]

local program, keys, directory = arg[1], tonumber(arg[2] or 50000), arg[3] or "/var/tmp"
local OVERWRITES_A_KEY <const> = 3

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- Instructions inside of `call` while the workloads run, in all processes and threads.
local function count(call, workloads)
  local out = os.tmpname()
  local command = ("valgrind -q --tool=callgrind --toggle-collect=%s " ..
    "--callgrind-out-file=%s.%%p %s --engines bitcask --rounds 1 --seconds 0 --keys %d " ..
    "--workloads %s --dir %s >%s 2>&1"):format(
    call, quote(out), quote(program), keys, workloads, quote(directory), quote(out))
  local succeeded = os.execute(command)
  local sum = 0
  local listing <close> = io.popen("cat " .. quote(out) .. ".*")
  for line in listing:lines() do sum = sum + (tonumber(line:match "^totals: (%d+)") or 0) end
  if not succeeded or sum == 0 then error(io.open(out):read "a", 0) end
  os.execute("rm -f " .. quote(out) .. " " .. quote(out) .. ".*")
  return sum
end

local function main()
  local fill = count("bitcask_put", "fill")
  local rows = {
    { "put of a new key", fill / keys },
    { "put over a key", (count("bitcask_put", "fill,overwrite") - fill) / OVERWRITES_A_KEY / keys },
    { "get", count("bitcask_get", "fill,get") / keys },
    { "get of an absent key", count("bitcask_get", "fill,absent") / keys },
  }
  print(("| call, %d keys of 16 bytes, values of 100 | instructions |\n|---|---|"):format(keys))
  for _, row in ipairs(rows) do print(("| %s | %.0f |"):format(row[1], row[2])) end
end

main()
