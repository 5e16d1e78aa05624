# Small C modules that the crash specs load: faults injected into file system calls, and
# processes. Without them those specs say so and wait.

CRASH_TOOLS := $(B)/spec/shim.so $(B)/spec/process.so

.PHONY: crash-tools
crash-tools: $(CRASH_TOOLS) ## build what the crash specs need

# Lazy binding: the shim is preloaded into programs that know nothing of Lua, too.
$(CRASH_TOOLS): $(B)/spec/%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O1 -g -fPIC -Wall -Wextra \
	  -isystem $(LUA_INCDIR) -shared -Wl,-z,lazy -o $@ $< -ldl

test: crash-tools
