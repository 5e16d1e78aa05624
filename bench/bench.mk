# Benchmarks; see bench/README.md. An engine whose library is not there is left out.

ifndef BENCH_SOURCES

BENCH_SOURCES := bench options report workload worker memory_limit measure data driver \
  driver_limit
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
BENCH_SOURCES += driver_bitcask
BENCH_FLAGS   += -DBENCH_bitcask
BENCH_ENGINE  := $(B)/libbitcask.a
endif
endif

BENCH_OBJECTS := $(BENCH_SOURCES:%=$(B)/bench/%.o)

.PHONY: bench bench-quick bench-build bench-lua FORCE

bench: bench-build ## measure this engine and others, a million keys (minutes)
	$(B)/bench/bench $(BENCH_ARGS)

BENCH_QUICK := fill,get,absent,get2,scan,a,overwrite,merge,reopen,recover

bench-quick: bench-build ## the main part of it in less than a minute: 50,000 keys, one round
	$(B)/bench/bench --keys 50000 --rounds 1 --workloads $(BENCH_QUICK) $(BENCH_ARGS)

bench-lua: all ## what a put and a get cost from Lua
	LUA_PATH="lua/?.lua;lua/?/init.lua;;" LUA_CPATH="$(B)/?.so;;" \
	  $(LUA) bench/lua_bench.lua $(BENCH_ARGS)

bench-build: $(B)/bench/bench
	$(if $(BENCH_SKIPPED),@echo "left out because the library is not here:$(BENCH_SKIPPED)")

$(B)/bench/bench: $(BENCH_OBJECTS) $(BENCH_ENGINE)
	$(CC) $(CFLAGS) $(EXTRA_CFLAGS) -pthread -o $@ $^ $(BENCH_LIBS) -lm $(LDFLAGS)

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
