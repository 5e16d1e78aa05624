# Small C modules that specs of all kinds load: a clock that can be moved, Lua in threads,
# and Lua that runs out of memory.
# Without them those specs say so and wait.

SPEC_TOOLS := $(B)/spec/clock.so $(B)/spec/threads.so $(B)/spec/starved.so

.PHONY: spec-tools
spec-tools: $(SPEC_TOOLS) ## build what the specs of time and of threads need

$(SPEC_TOOLS): $(B)/spec/%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O1 -g -fPIC -Wall -Wextra \
	  -isystem $(LUA_INCDIR) -shared -pthread -o $@ $<

test: spec-tools
