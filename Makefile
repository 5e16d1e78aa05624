# bitcask: build, test, install. `make help` lists what can be asked for.

VERSION := 1.0.0
PREFIX  ?= /usr/local
# Where everything that is built goes; the rock and each sanitizer have one of their own.
B       ?= build

# Modules of the engine from the ground up. A module may include only modules above it
# and bitcask.h; spec/architecture_spec.lua holds the code to this order.
MODULES := \
  base/status base/memory base/bytes base/coding \
  base/checksum_short base/checksum_avx2 base/checksum_avx512 base/checksum \
  base/radix base/thread base/latch \
  disk/disk disk/posix_call disk/posix_space disk/posix_file disk/posix_directory disk/posix \
  disk/sim_node disk/sim_image disk/sim_choice disk/sim_cut \
  disk/sim_fault disk/sim_history disk/sim_machine disk/sim_file disk/sim_disk disk/sim \
  format/filename format/record format/header format/hint format/edit format/checkpoint \
  store/guard store/segment store/hint_file store/keydir_table store/keydir \
  store/checkpoint store/manifest \
  engine/hash engine/event engine/worker engine/expiry engine/commit \
  engine/engine engine/lookup engine/publish engine/reserve engine/flush engine/hints engine/closing \
  engine/settle engine/ahead engine/successor engine/rotation engine/checkpointing \
  engine/write engine/batch engine/snapshot engine/tombstones \
  engine/throttle engine/verdicts engine/moves engine/inputs engine/needed engine/outputs \
  engine/read_ahead engine/copying engine/switching engine/merge \
  engine/stops engine/straight engine/iterator engine/load engine/restore engine/tails \
  engine/evidence engine/strays engine/recovery engine/read engine/view engine/changes \
  engine/stats engine/opening engine/registry engine/cask
BIND_MODULES := bind/lua_result bind/lua_guard bind/lua_handle bind/lua_event bind/lua_hash \
  bind/lua_sim bind/lua_sim_files bind/lua_options bind/lua_cask bind/lua_access bind/lua_whole \
  bind/lua_policy bind/lua_snapshot bind/lua_iterator bind/lua_batch bind/lua_changes bind/lua_merge bind/lua_module

# TRIAL=1: with deliberate defects, and memory that can run out (see csrc/base/mutant.h).
ifdef TRIAL
MODULES := base/status base/mutant $(filter-out base/status,$(MODULES))
BIND_MODULES := bind/lua_trial $(BIND_MODULES)
TRIAL_CFLAGS := -DBITCASK_TRIAL -DBITCASK_TEST_MEMORY
endif

CC      ?= cc
AR      ?= ar
LUA     ?= lua5.4
LIBFLAG ?= -shared
CFLAGS  ?= -O2 -g -fPIC
LUA_INCDIR    ?= /usr/include/lua5.4
XXHASH_INCDIR ?= /usr/include

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
  -Wwrite-strings -Wvla -Wundef
# What the code needs whatever CFLAGS says; luarocks passes its own.
BITCASK_CFLAGS := -std=c11 -D_GNU_SOURCE -O3 -fPIC -fvisibility=hidden -pthread $(WARNINGS) \
  -Icsrc -isystem $(XXHASH_INCDIR) $(TRIAL_CFLAGS) $(EXTRA_CFLAGS)

OBJECTS      := $(MODULES:%=$(B)/%.o)
BIND_OBJECTS := $(BIND_MODULES:%=$(B)/%.o)

.DEFAULT_GOAL := all
.PHONY: all lib test check lint warnings sanitize install dist clean help print-modules

all: lib $(B)/bitcask/core.so ## build the library and the Lua module

lib: $(B)/libbitcask.a $(B)/libbitcask.so ## build libbitcask.a and libbitcask.so

$(B)/%.o: csrc/%.c
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(CFLAGS) $(BITCASK_CFLAGS) $(if $(filter bind/%,$*),-isystem $(LUA_INCDIR)) -MMD -MP -c -o $@ $<

$(B)/libbitcask.a: $(OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(B)/libbitcask.so: $(OBJECTS)
	@echo "  cc $@"
	@$(CC) $(CFLAGS) $(EXTRA_CFLAGS) -shared -pthread -Wl,-soname,libbitcask.so.1 -o $@ $^ $(LDFLAGS)

$(B)/bitcask/core.so: $(OBJECTS) $(BIND_OBJECTS) | csrc/bind/core.map
	@mkdir -p $(@D)
	@echo "  cc $@"
	@$(CC) $(CFLAGS) $(EXTRA_CFLAGS) $(LIBFLAG) -pthread -Wl,--version-script=csrc/bind/core.map -o $@ $^ $(LDFLAGS)

-include $(OBJECTS:.o=.d) $(BIND_OBJECTS:.o=.d)

$(B)/bitcask.pc: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	  'Name: bitcask' 'Description: A crash-safe log-structured key/value store' \
	  'Version: $(VERSION)' 'Libs: -L$${libdir} -lbitcask' 'Libs.private: -pthread' \
	  'Cflags: -I$${includedir}' > $@

install: lib ## install the C library: header, libraries, pkg-config file (PREFIX=, DESTDIR=)
	@rm -f $(B)/bitcask.pc
	@$(MAKE) --no-print-directory $(B)/bitcask.pc
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 csrc/bitcask.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(B)/libbitcask.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(B)/libbitcask.so $(DESTDIR)$(PREFIX)/lib/libbitcask.so.$(VERSION)
	ln -sf libbitcask.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libbitcask.so.1
	ln -sf libbitcask.so.1 $(DESTDIR)$(PREFIX)/lib/libbitcask.so
	install -m 644 $(B)/bitcask.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/

# A source rock: the committed tree and a rockspec that leads to it; installs without a network.
dist: ## pack the committed tree as a source rock, in dist/
	@rm -rf dist && mkdir -p dist
	git archive --prefix=bitcask-$(VERSION)/ -o dist/bitcask-$(VERSION).tar.gz HEAD
	sed 's|^  url = .*|  url = "file://$(CURDIR)/dist/bitcask-$(VERSION).tar.gz", dir = "bitcask-$(VERSION)",|; /^  tag = /d' \
	  rockspec/bitcask-$(VERSION)-1.rockspec > dist/bitcask-$(VERSION)-1.rockspec
	cd dist && luarocks --lua-version 5.4 pack bitcask-$(VERSION)-1.rockspec

clean: ## remove everything that was built
	rm -rf build dist

test: all ## build everything and run the specs (SPEC= names some of them)
	$(LUA) spec/run.lua $(SPEC)

# What the specs are worth: two compilers without a warning, lock annotations, lint, the
# sanitizers over the specs and over threads.
check: lint warnings sanitize stress-tsan stress-asan ## everything that guards the code, tests apart

lint: ## luacheck
	luacheck -q .

warnings: ## gcc and clang with warnings as errors, and clang's check of the locks
	@$(MAKE) --no-print-directory B=build/gcc-errors CC=gcc EXTRA_CFLAGS=-Werror all
	@$(MAKE) --no-print-directory B=build/clang-errors CC=clang \
	  EXTRA_CFLAGS="-Werror -Wthread-safety" all

# The interpreter knows nothing of sanitizers, so their library is loaded before it; what the
# interpreter leaves to the end of the process is no leak of ours.
ASAN_SPECS ?= spec/api spec/lua spec/model spec/csrc spec/golden_spec.lua
sanitize: ## the specs under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory B=build/asan CC=gcc \
	  EXTRA_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" \
	  all internals spec-tools
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 EFFORT=0.3 \
	  $(LUA) spec/run.lua --cpath='./build/asan/?.so' $(ASAN_SPECS)

# What specs, benchmarks and packaging need beyond the library.
-include fuzz/fuzz.mk bench/bench.mk spec/spec.mk spec/crash.mk spec/tools.mk

print-modules:
	@echo $(MODULES) $(BIND_MODULES)

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
