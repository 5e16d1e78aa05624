--- bitcask policy: list what there is, compare policies, record a store for that.

local bitcask = require "bitcask"
local candidates = require "bitcask.cli.candidates"
local json = require "bitcask.cli.json"
local lab = require "bitcask.lab"
local recorder = require "bitcask.lab.recorder"
local settings = require "bitcask.policy.settings"
local workloads = require "bitcask.lab.workload"

local policy = { name = "policy", summary = "Compare merge policies, and record what to judge by." }

-- ---- What may be given ----------------------------------------------------------------

local function integer(text)
  local value, wanted = settings.count(0)(tonumber(text))
  return value, wanted and ("'%s' should be %s"):format(text, wanted)
end

-- A number of bytes, or two of them, as in 50-400.
local function range(text)
  local least, most = text:match "^(%d+)-(%d+)$"
  if not least then return integer(text) end
  return { math.tointeger(tonumber(least)), math.tointeger(tonumber(most)) }
end

local function seconds(text)
  local value, wanted = settings.from(0)(tonumber(text))
  return value, wanted and ("'%s' should be %s"):format(text, wanted)
end

local function one_kind(text)
  if workloads.kinds[text] and text ~= "trace" then return text end
  return nil, ("there is no workload '%s' (there are: %s; --trace for a recorded one)"):format(
    text, table.concat(workloads.names(), ", "):gsub(", trace", ""))
end

local function define_lab(command)
  command:argument("files", "Lua programs that return a policy, or a table of them by name.")
    :args("*")
  command:option("-o --output", "Write the report there.", "policies.html")
  command:option("-w --workload", "A workload; may be given several times."):count("*")
    :convert(one_kind)
  command:option("-t --trace", "A trace recorded from a store; may be given several times.")
    :count("*")
  command:option("--with", "Shipped policies to compare with: names, or none.",
    "default,threshold")
  for _, name in ipairs { "keys", "writes", "warmup", "value_size", "segment_size", "seed" } do
    local option = workloads.options[name]
    local sentence = option.sentence:gsub("^%l", string.upper):gsub("{least, most}", "50-400")
    command:option("--" .. name:gsub("_", "-"), sentence .. ".")
      :target(name):convert(name == "value_size" and range or integer)
  end
  command:flag("--json", "Print the figures as JSON.")
end

local function define_record(command)
  command:argument("directory", "The store. It is read only, and may be in use.")
  command:option("-o --output", "Write the trace there.", "store.trace")
  command:option("--since", "Begin after this version; as far back as possible when left out.")
    :convert(integer)
  command:option("--seconds", "Then follow what is written for so long."):convert(seconds)
end

--- Add the arguments of the command.
function policy.define(parser)
  parser:require_command(true)
  parser:command_target("subcommand")
  define_lab(parser:command("lab", "Compare policies in simulations; writes one HTML report."))
  define_record(parser:command("record", "Record the writes of a store, sizes only, as a trace."))
  parser:command("list", "Tell which policies are shipped, and their options.")
end

-- ---- lab ------------------------------------------------------------------------------

local standard = { "uniform", "zipf", "sequential", "deletes", "expiring", "series" }

local function chosen_workloads(arguments)
  local chosen = {}
  local kinds = arguments.workload
  if #kinds == 0 and #arguments.trace == 0 then kinds = standard end
  for _, kind in ipairs(kinds) do
    chosen[#chosen + 1] = {
      kind = kind, keys = arguments.keys, writes = arguments.writes or 500000,
      warmup = arguments.warmup, value_size = arguments.value_size,
      segment_size = arguments.segment_size, seed = arguments.seed,
    }
  end
  for _, path in ipairs(arguments.trace) do
    chosen[#chosen + 1] = {
      kind = "trace", path = path, name = path:match "[^/]*$", writes = arguments.writes,
      warmup = arguments.warmup, segment_size = arguments.segment_size,
    }
  end
  return chosen
end

local shown = {
  "write_amplification", "space_amplification", "mean_space_amplification", "user_bytes",
  "merge_bytes", "merges", "peak_bytes", "segment_size",
}

local function figures_of(experiments)
  local rows = {}
  for _, experiment in ipairs(experiments) do
    for _, result in ipairs(experiment.results) do
      local row = { workload = experiment.workload.name, policy = result.name,
        failure = result.message }
      for _, name in ipairs(shown) do row[name] = result.report and result.report[name] end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function print_table(rows, console)
  local widest = 6
  for _, row in ipairs(rows) do widest = math.max(widest, #row.policy) end
  local format = "%-12s %-" .. widest .. "s %8s %8s %8s %8s"
  console.print(format:format("workload", "policy", "write", "space", "mean", "merges"))
  for _, row in ipairs(rows) do
    if row.failure then
      console.print(("%-12s %-" .. widest .. "s %s"):format(row.workload, row.policy, row.failure))
    else
      console.print(format:format(row.workload, row.policy,
        ("%.2f"):format(row.write_amplification), ("%.2f"):format(row.space_amplification),
        ("%.2f"):format(row.mean_space_amplification), row.merges))
    end
  end
end

local function write_file(path, text)
  local file, message = io.open(path, "w")
  if not file then return nil, "cannot write the report: " .. message end
  local ok
  ok, message = file:write(text)
  if not file:close() or not ok then
    return nil, ("cannot write the report: %s: %s"):format(path, message or "close failed")
  end
  return true
end

local function run_lab(arguments, console)
  local list, message = candidates.load(arguments.files, arguments.with)
  if not list then return nil, message end
  local experiments
  experiments, message = lab.compare(list, chosen_workloads(arguments), function(done, total, what)
    if done < total then console.say(("%d/%d %s"):format(done + 1, total, what)) end
  end)
  if not experiments then return nil, message end
  local rows = figures_of(experiments)
  if arguments.json then console.print(json.encode(rows)) else print_table(rows, console) end
  local ok
  ok, message = write_file(arguments.output, lab.html(experiments))
  if not ok then return nil, message end
  console.say("report: " .. arguments.output)
  for _, row in ipairs(rows) do
    if row.failure then return nil, ("%s, %s: %s"):format(row.workload, row.policy, row.failure) end
  end
  return true
end

-- ---- record ---------------------------------------------------------------------------

-- Looks often, as long as it is to follow.
local function follower(length)
  if not length then return nil end
  local stop = os.time() + length
  return function()
    if os.time() >= stop then return false end
    return (os.execute "sleep 0.05") == true
  end
end

local function run_record(arguments, console)
  local db <close>, message = bitcask.open(arguments.directory, { readonly = true })
  if not db then return nil, message end
  local file <close>, problem = io.open(arguments.output, "w")
  if not file then return nil, "cannot write the trace: " .. problem end
  local counts
  counts, message = recorder.record(db, file, {
    since = arguments.since, again = follower(arguments.seconds),
  })
  if not counts then return nil, message end
  console.say(("%d writes to %d keys, after version %d: %s"):format(counts.writes, counts.keys,
    counts.since, arguments.output))
  if counts.missing > 0 then
    console.say(("%d more are missing: merged away before they were read"):format(counts.missing))
  end
  return true
end

-- ---- list -----------------------------------------------------------------------------

local function run_list(_, console)
  for _, kind in ipairs(bitcask.policy.kinds()) do
    console.print(("%-14s %s"):format(kind.name, kind.sentence))
    local names = {}
    for name in pairs(kind.options or {}) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local option = kind.options[name]
      local default = option.default ~= nil and (" (%s)"):format(option.default) or ""
      console.print(("    %-22s %s%s"):format(name, option.sentence, default))
    end
  end
  return true
end

local subcommands = { lab = run_lab, record = run_record, list = run_list }

--- Do it.
function policy.run(arguments, console)
  return subcommands[arguments.subcommand](arguments, console)
end

return policy
