-- What a failure says is what failed, not what was met while clearing up after it.

local bitcask = require "bitcask"
local scratch = require "spec.support.scratch"
local sim = require "bitcask.sim"

-- A store of which a merge has much to write anew, and much to give back if it fails.
local function overwritten()
  local disk = sim.disk()
  local db = assert(bitcask.open("/store", { disk = disk, segment_size = 4096 }))
  for round = 1, 3 do
    for i = 1, 60 do
      assert(db:put("k" .. i, ("v"):rep(60) .. round))
    end
  end
  return disk, db
end

describe("a merge of which an operation fails", function()
  for _, operation in ipairs {
    { "create", ".seg" }, { "append", ".seg" }, { "sync", ".seg" }, { "finish", ".seg" },
    { "append", "MANIFEST" }, { "sync", "MANIFEST" },
  } do
    local op, file = table.unpack(operation)
    it(("names the file: %s of %s"):format(op, file), function()
      local failures = 0
      repeat
        local disk, db = overwritten()
        disk:fail { op = op, file = file, at = failures + 1 }
        local merged, message = db:merge()
        if not merged then
          failures = failures + 1
          assert.is_truthy(message:find(file, 1, true), failures .. ": " .. message)
        end
        db:close()
      until merged
      assert(failures > 0, "it never failed")
    end)
  end
end)

-- The first refusal that a store meets which grows by some segments.
local function refusal(fault)
  local disk = sim.disk()
  local db = assert(bitcask.open("/store", { disk = disk, segment_size = 4096 }))
  disk:fail(fault)
  local count = 0
  local version, message, code
  repeat
    count = count + 1
    version, message, code = db:put("k" .. count, ("v"):rep(100))
  until not version or count == 200
  db:close() -- on a disk that goes on refusing
  return message, code
end

-- What was made for nothing is removed, its hint file, too, which was never there.
describe("a put that needs a new segment, on a full disk", function()
  for _, op in ipairs { "create", "append", "sync_directory" } do
    it("is told what was refused: " .. op, function()
      for at = 1, 5 do
        local file = op == "append" and "MANIFEST" or ""
        local message, code = refusal {
          op = op, file = file, at = at, error = "nospace", times = math.huge,
        }
        assert.equals("nospace", code, message)
        assert.is_truthy(message:find("cannot " .. op, 1, true), at .. ": " .. message)
      end
    end)
  end
end)

-- In C the text is there for whoever asks, whatever was returned.
describe("what went well", function()
  after_each(scratch.clean)

  it("leaves nothing to say, though something was looked for that was not there", function()
    local directory, build = scratch.directory(), os.getenv "B" or "build"
    scratch.write(directory .. "/program.c", [[
      #include <bitcask.h>
      #include <stdio.h>
      static void tell(const char *what, enum bitcask_status status) {
        printf("%s %d%s;", what, (int)status, bitcask_error_text());
      }
      int main(void) {
        struct bitcask *db = NULL;
        struct bitcask_options options;
        struct bitcask_buffer value = {0};
        bitcask_options_default(&options);
        tell("open", bitcask_open("store", &options, &db));
        tell("put", bitcask_put(db, (bitcask_bytes){"a", 1}, (bitcask_bytes){"1", 1}, NULL));
        tell("get", bitcask_get(db, (bitcask_bytes){"b", 1}, &value, NULL));
        tell("close", bitcask_close(db));
        tell("again", bitcask_open("store", &options, &db));
        tell("close", bitcask_close(db));
        return 0;
      }
    ]])
    assert(os.execute(("cc -std=c11 -Icsrc -o '%s/program' '%s/program.c' %s/libbitcask.a -pthread")
      :format(directory, directory, build)))
    local pipe <close> = assert(io.popen(("cd '%s' && ./program"):format(directory)))
    assert.equals("open 0;put 0;get 1;close 0;again 0;close 0;", pipe:read "a")
  end)
end)
