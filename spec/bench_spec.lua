-- What the benchmark makes of the lines that a run leaves.

local scratch = require "spec.support.scratch"

package.path = "bench/?.lua;" .. package.path
local results = require "results"
local targets = require "targets"

local function run_of(lines)
  local path = scratch.directory() .. "/results.json"
  local file = assert(io.open(path, "w"))
  for _, line in ipairs(lines) do file:write(results.encode(line), "\n") end
  file:close()
  return results.read(path)
end

local function figures(engine, metric, values)
  local lines = {}
  for round, value in ipairs(values) do
    lines[round] = { part = "main", round = round, engine = engine, metric = metric, value = value,
      unit = "k/s" }
  end
  return lines
end

local function main_part(...)
  local lines = { { part = "main", keys = 1000, key_size = 16, value_size = 100, rounds = 3 } }
  for _, more in ipairs { ... } do table.move(more, 1, #more, #lines + 1, lines) end
  return lines
end

local function row_of(run, work, target)
  for _, row in ipairs(targets.judge(run)) do
    if row.work == work and row.target:find(target, 1, true) then return row end
  end
  error("no such target: " .. work .. ", " .. target)
end

local function stall_of(stolen)
  return row_of(run_of(main_part(figures("bitcask", "overwrite_max", { 4000, 60000, 4200 }),
    figures("bitcask", "overwrite_stolen", stolen))), "overwrite, uniform", "worst stall")
end

describe("the worst stall", function()
  after_each(scratch.clean)

  it("is that of the rounds in which nobody took the processors away", function()
    local row = stall_of { 0, 70, 10 }
    assert.equals("4.10 ms", row.reached)
    assert.is_true(row.met)
  end)

  it("is not known where every round was disturbed", function()
    assert.is_nil(stall_of({ 30, 70, 21 }).reached)
  end)
end)

describe("the results of a run", function()
  after_each(scratch.clean)

  it("come back as they were written, commas in names included", function()
    local run = run_of { { machine = "2 x CPU, 24 GiB" }, table.unpack(main_part()) }
    assert.equals("2 x CPU, 24 GiB", run.machine)
    assert.equals(1000, run.parts.main.keys)
  end)

  it("are medians over the rounds", function()
    local run = run_of(main_part(figures("lmdb", "get", { 5, 100, 7 })))
    assert.equals(7, run:value("main", "lmdb", "get"))
    assert.is_nil(run:value("main", "lmdb", "fill"))
  end)

  it("are those of the last run where a part was run twice", function()
    local lines = main_part(figures("lmdb", "get", { 1, 1, 1 }))
    local again = main_part(figures("lmdb", "get", { 9, 9, 9 }))
    local run = run_of(table.move(again, 1, #again, #lines + 1, lines))
    assert.equals(9, run:value("main", "lmdb", "get"))
  end)

  it("give the curve of the median round", function()
    local lines = main_part(figures("lmdb", "overwrite", { 10, 30, 20 }))
    for round = 1, 3 do
      lines[#lines + 1] = { part = "main", round = round, engine = "lmdb",
        curve = "overwrite_rate", x = 0.5, y = round }
    end
    assert.same({ { x = 0.5, y = 3 } },
      run_of(lines):curve("main", "lmdb", "overwrite_rate", "overwrite"))
  end)
end)

describe("a target", function()
  after_each(scratch.clean)

  it("is judged by the median of the ratios within each round", function()
    -- The ratio of the medians would be 20 / 20, and the target missed.
    local run = run_of(main_part(figures("bitcask", "fill", { 20, 10, 40 }),
      figures("tkrzw", "fill", { 10, 20, 20 })))
    local row = row_of(run, "fill", "tkrzw")
    assert.equals("2.00 times", row.reached)
    assert.is_true(row.met)
  end)

  it("is missed below what it asks for", function()
    local run = run_of(main_part(figures("bitcask", "fill", { 12, 12, 12 }),
      figures("tkrzw", "fill", { 10, 10, 10 })))
    assert.is_false(row_of(run, "fill", "tkrzw").met)
  end)

  it("against several engines is against the best of them", function()
    local run = run_of(main_part(figures("bitcask", "a", { 20, 20, 20 }),
      figures("tkrzw", "a", { 10, 10, 10 }), figures("lmdb", "a", { 40, 40, 40 })))
    assert.equals("0.50 times", row_of(run, "mixed A, one thread", "best").reached)
  end)

  it("that asks for little is missed by much", function()
    local run = run_of(main_part(figures("bitcask", "merge", { 200, 200, 200 }),
      figures("limit-map", "merge", { 100, 100, 100 })))
    assert.is_false(row_of(run, "full merge", "limit-map").met)
  end)

  it("is neither met nor missed where nothing was measured", function()
    local row = row_of(run_of(main_part()), "fill", "tkrzw")
    assert.is_nil(row.reached)
    assert.is_nil(row.met)
  end)
end)
