# What the specs need: the modules below the interface opened to Lua, and the test of threads.

# ---- Internals: objects of their own, in which allocations can be refused ---------------

INTERNALS := $(MODULES:%=$(B)/internals/%.o) \
  $(patsubst csrc/%.c,$(B)/internals/%.o,$(wildcard csrc/bind/internals/*.c)) \
  $(B)/internals/bind/lua_result.o $(B)/internals/bind/lua_internals.o

$(B)/internals/%.o: csrc/%.c
	@mkdir -p $(@D)
	@echo "  cc $< (internals)"
	@$(CC) $(CFLAGS) $(BITCASK_CFLAGS) -DBITCASK_TEST_MEMORY -isystem $(LUA_INCDIR) \
	  -MMD -MP -c -o $@ $<

$(B)/bitcask/internals.so: $(INTERNALS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(EXTRA_CFLAGS) $(LIBFLAG) -pthread -Wl,-Bsymbolic -o $@ $^ $(LDFLAGS)

-include $(INTERNALS:.o=.d)

.PHONY: internals
internals: $(B)/bitcask/internals.so ## build what spec/csrc needs
test check: internals

# ---- The trial build: deliberate defects, memory that runs out -----------------------------

.PHONY: trial mutants
trial: ## build/trial: the library with defects to switch on and memory that can run out
	@$(MAKE) --no-print-directory B=build/trial TRIAL=1 all
mutants: trial ## let the scenarios find each deliberate defect of the engine
	$(LUA) spec/mutants.lua
test: trial

# ---- Threads: a driver over bitcask.h, with the sanitizers' eyes on the engine -----------

STRESS_SECONDS ?= 10
STRESS_SEED    ?= $(shell date +%s)
# In memory where there is a place for it: ten times as much happens between two flushes.
STRESS_DIR     ?= $(or $(wildcard /dev/shm),$(TMPDIR),/tmp)

STRESS_SOURCES := $(wildcard spec/threads/stress/*.c)

$(B)/spec/stress: $(STRESS_SOURCES) spec/threads/stress/stress.h $(B)/libbitcask.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BITCASK_CFLAGS) -o $@ $(STRESS_SOURCES) $(B)/libbitcask.a

$(B)/spec/failed_flush: spec/threads/failed_flush.c $(B)/libbitcask.a
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(BITCASK_CFLAGS) -o $@ $< $(B)/libbitcask.a
test: $(B)/spec/failed_flush

$(B)/spec/closing: spec/threads/closing.c $(B)/libbitcask.a
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(BITCASK_CFLAGS) -o $@ $< $(B)/libbitcask.a
test sanitize: $(B)/spec/closing

# Of modules below bitcask.h: the archive has them, whatever the library shows.
$(B)/spec/nearly_full: spec/threads/nearly_full.c $(B)/libbitcask.a
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(BITCASK_CFLAGS) -o $@ $< $(B)/libbitcask.a
test sanitize: $(B)/spec/nearly_full

$(B)/spec/ready: spec/threads/ready.c $(B)/libbitcask.a
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(BITCASK_CFLAGS) -o $@ $< $(B)/libbitcask.a
test sanitize: $(B)/spec/ready

# $(1): the program
stress_run = directory=$$(mktemp -d $(STRESS_DIR)/bitcask-stress-XXXXXX) && \
  $(1) $(STRESS_SECONDS) $(STRESS_SEED) $$directory/store; \
  status=$$?; rm -rf $$directory; exit $$status

ready_run = directory=$$(mktemp -d $(STRESS_DIR)/bitcask-ready-XXXXXX) && \
  $(1) $$directory $(STRESS_SEED); status=$$?; rm -rf $$directory; exit $$status

# $(1): name, $(2): what clang's -fsanitize gets
define stress_sanitized
	@$(MAKE) --no-print-directory B=build/clang-$(1) CC=clang \
	  EXTRA_CFLAGS="-fsanitize=$(2) -fno-sanitize-recover=all -fno-omit-frame-pointer" \
	  build/clang-$(1)/spec/stress build/clang-$(1)/spec/ready
	@$(call ready_run,build/clang-$(1)/spec/ready)
	@$(call stress_run,build/clang-$(1)/spec/stress)
endef
comma := ,

.PHONY: stress stress-tsan stress-asan
stress: $(B)/spec/stress ## threads against a store for STRESS_SECONDS=10, STRESS_SEED=n
	@$(call stress_run,$<)
stress-tsan: ## the same under ThreadSanitizer
	$(call stress_sanitized,tsan,thread)
stress-asan: ## the same under AddressSanitizer and UndefinedBehaviorSanitizer
	$(call stress_sanitized,asan,address$(comma)undefined)

# ---- Coverage: what of the engine the specs run ------------------------------------------

# Not of the binding, whose allocations Lua makes, nor of the simulated disk, which is a tool.
COVERED_MODULES := $(filter-out bind/% disk/sim%,$(MODULES))
COVERAGE_SPECS  ?= spec

.PHONY: coverage
coverage: ## which lines and branches of the engine the specs run, by gcov
	@$(MAKE) --no-print-directory B=build/coverage CC=gcc \
	  EXTRA_CFLAGS="-O0 --coverage -fprofile-update=atomic" all internals
	@$(MAKE) --no-print-directory spec-tools crash-tools
	@find build/coverage -name '*.gcda' -delete
	-COVERAGE=1 $(LUA) spec/run.lua --cpath='./build/coverage/?.so;./build/?.so' $(COVERAGE_SPECS)
	@$(LUA) spec/coverage.lua build/coverage $(COVERED_MODULES)

# ---- As long as there is time -------------------------------------------------------------

SOAK_SECONDS ?= 3600

.PHONY: soak
soak: all internals spec-tools crash-tools $(B)/spec/stress ## what chance decides, with ever new seeds, for SOAK_SECONDS=3600
	$(LUA) spec/soak.lua $(SOAK_SECONDS) $(SOAK_SEED)
