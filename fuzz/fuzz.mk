# Fuzzers of everything that reads bytes it did not write itself (clang, libFuzzer), under
# AddressSanitizer and UndefinedBehaviorSanitizer. fuzz/README.md tells of each.

FUZZ_TARGETS ?= record header hint edit checkpoint manifest scan recovery directory operations
FUZZ_SECONDS ?= 60
FUZZ_JOBS    ?= 2
FUZZ_BUILD   := build/fuzz
FUZZ_SHARED  := $(foreach name,fuzz reseal values bytes_disk,$(FUZZ_BUILD)/fuzz/$(name).o)
FUZZ_SANITIZERS := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-coverage=trace-cmp \
  -fno-sanitize-recover=all -fno-omit-frame-pointer

.PHONY: fuzz fuzzers fuzz-seeds
fuzzers: ## build the fuzzers
	@$(MAKE) --no-print-directory B=$(FUZZ_BUILD) CC=clang CFLAGS="-O1 -g" \
	  EXTRA_CFLAGS="$(FUZZ_SANITIZERS)" $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%)

$(FUZZ_BUILD)/fuzz/%.o: fuzz/%.c
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(CFLAGS) $(BITCASK_CFLAGS) -Ifuzz -MMD -MP -c -o $@ $<

$(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%): $(FUZZ_BUILD)/%: $(FUZZ_BUILD)/fuzz/%.o $(FUZZ_SHARED) $(FUZZ_BUILD)/libbitcask.a
	@$(CC) $(CFLAGS) $(EXTRA_CFLAGS) -fsanitize=fuzzer -pthread -o $@ $^

.PRECIOUS: $(FUZZ_BUILD)/fuzz/%.o
-include $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/fuzz/%.d) $(FUZZ_SHARED:.o=.d)

fuzz: fuzzers ## fuzz for FUZZ_SECONDS=60 each of FUZZ_TARGETS=..., FUZZ_JOBS=2 at a time
	@printf '%s\n' $(FUZZ_TARGETS) | xargs -P $(FUZZ_JOBS) -n 1 sh fuzz/run.sh $(FUZZ_BUILD) $(FUZZ_SECONDS)
