# Benchmarks; see bench/README.md. An engine whose library is not there is left out.

ifndef BENCH_SOURCES

BENCH_SOURCES := bench options report workload worker memory_limit memory_hold measure \
  data driver driver_limit
BENCH_FLAGS   := -D_GNU_SOURCE -O3 -g -pthread -Wall -Wextra -Icsrc \
  $(patsubst %,-isystem %,$(filter-out /usr/include,$(XXHASH_INCDIR)))
BENCH_ARGS    ?=
# Engines not to build, such as "rocksdb tkrzw".
BENCH_WITHOUT ?=

# $(call bench_try,name,compiler,language,header,libraries): the driver of an engine, if a
# program with that header and those libraries links.
bench_links = $(shell echo 'int main() { return 0; }' | \
  $(2) -x $(3) -include $(4) - -o /dev/null $(5) 2>/dev/null && echo yes)
bench_try   = $(if $(filter $(1),$(BENCH_WITHOUT)),,$(if $(bench_links),$(bench_add),$(bench_skip)))
bench_add   = $(eval BENCH_SOURCES += driver_$(1)) \
  $(eval BENCH_FLAGS += -DBENCH_$(1)) $(eval BENCH_LIBS += $(5))
bench_skip  = $(eval BENCH_SKIPPED += $(1))

# Compiling to find out what is there takes a second: only when it is asked for.
ifneq ($(filter bench bench-% %/bench/bench,$(MAKECMDGOALS)),)
$(call bench_try,lmdb,$(CC),c,lmdb.h,-llmdb)
$(call bench_try,leveldb,$(CC),c,leveldb/c.h,-lleveldb)
$(call bench_try,rocksdb,$(CC),c,rocksdb/c.h,-lrocksdb)
$(call bench_try,tkrzw,$(CXX),c++ -std=c++17,tkrzw_dbm_hash.h,-ltkrzw -lstdc++)
$(call bench_try,bdb,$(CC),c,db.h,-ldb)
$(call bench_try,gdbm,$(CC),c,gdbm.h,-lgdbm)
$(call bench_try,sqlite,$(CC),c,sqlite3.h,-lsqlite3)
ifeq ($(filter bitcask,$(BENCH_WITHOUT)),)
BENCH_SOURCES += driver_bitcask cleaning
BENCH_FLAGS   += -DBENCH_bitcask
BENCH_ENGINE  := $(B)/libbitcask.a
endif
endif

# The module that lua_bench.lua needs, where LMDB is.
ifneq ($(filter -DBENCH_lmdb,$(BENCH_FLAGS)),)
BENCH_NATIVE := $(B)/bench_native.so
endif

BENCH_OBJECTS := $(BENCH_SOURCES:%=$(B)/bench/%.o)

.PHONY: bench bench-quick bench-build bench-lua bench-instructions bench-charts \
  bench-tables FORCE

BENCH_LUA := LUA_PATH="bench/?.lua;lua/?.lua;lua/?/init.lua;;" LUA_CPATH="$(B)/?.so;;" $(LUA)
BENCH_RUN := $(BENCH_LUA) bench/run.lua --bench $(B)/bench/bench --lua $(LUA) --out $(B)/bench
BENCH_DOCS ?= docs

bench: bench-build ## measure this engine and others, all parts (an hour): tables, targets, charts
	$(BENCH_RUN) $(BENCH_ARGS)

bench-quick: bench-build ## every part, small, one round: less than a minute
	$(BENCH_RUN) --quick $(BENCH_ARGS)

bench-lua: bench-build ## what a put and a get cost from Lua
	$(BENCH_LUA) bench/lua_bench.lua $(BENCH_ARGS)

bench-instructions: bench-build ## how many instructions a call takes, counted by callgrind
	$(LUA) bench/instructions.lua $(B)/bench/bench $(BENCH_ARGS)

bench-charts: ## draw the charts of the last run into docs/
	$(BENCH_LUA) bench/charts.lua $(B)/bench/results.json $(BENCH_DOCS)

bench-tables: ## the figures of the last run as tables in Markdown
	@$(BENCH_LUA) bench/tables.lua $(B)/bench/results.json

bench-build: $(B)/bench/bench $(BENCH_NATIVE) all
	$(if $(BENCH_SKIPPED),@echo "left out because the library is not here:$(BENCH_SKIPPED)")

$(B)/bench/bench: $(BENCH_OBJECTS) $(BENCH_ENGINE)
	$(CC) $(CFLAGS) $(EXTRA_CFLAGS) -pthread -o $@ $^ $(BENCH_LIBS) -lm $(LDFLAGS)

$(B)/bench_native.so: bench/native.c $(B)/libbitcask.a
	$(CC) $(CFLAGS) -std=c11 $(filter-out -DBENCH_%,$(BENCH_FLAGS)) $(EXTRA_CFLAGS) \
	  -fvisibility=hidden -isystem $(LUA_INCDIR) $(LIBFLAG) -o $@ $< $(B)/libbitcask.a \
	  -Wl,--exclude-libs,ALL -llmdb $(LDFLAGS)

# Written anew when the engines that can be built have changed.
$(B)/bench/engines: FORCE
	@mkdir -p $(@D)
	@echo '$(BENCH_FLAGS)' | cmp -s - $@ || echo '$(BENCH_FLAGS)' > $@

$(B)/bench/%.o: bench/%.c $(B)/bench/engines
	$(CC) $(CFLAGS) -std=c11 $(BENCH_FLAGS) $(EXTRA_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/bench/%.o: bench/%.cc $(B)/bench/engines
	$(CXX) $(CFLAGS) -std=c++17 $(BENCH_FLAGS) -MMD -MP -c -o $@ $<

-include $(BENCH_OBJECTS:.o=.d)

endif
