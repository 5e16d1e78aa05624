/*
 * Hashing: xxHash for Lua programs, and a Lua function as the hash of a store.
 *
 *   db:get(key) -> bitcask_get -> lua_hash_function -> pcall(function, key)
 *                                                          |
 *        raise <- the binding sees `failed` <- a failure <-+- an error stays on the stack
 *
 * The function runs in the state of the call that needs it, so each call into the engine
 * is announced with lua_hash_enter. It may call the store itself, in any coroutine.
 *
 * Threads: a store with such a hash stays in its Lua state; the engine calls the hash in
 * the thread of the call alone.
 */
#ifndef BIND_LUA_HASH_H
#define BIND_LUA_HASH_H

#include <stdbool.h>

#include <lua.h>

#include "bitcask.h"

struct lua_hash {
  lua_State *state;  /* of the innermost call into the engine */
  bool failed;       /* the function raised in it; the error is on top of the stack */
  const void *owner; /* the remembered userdata of which the function is a user value */
  int user_value;    /* which one */
};

/* Before a call into the engine. */
static inline void lua_hash_enter(struct lua_hash *hash, lua_State *L) {
  hash->state = L;
  hash->failed = false;
}

/* For bitcask_options.hash_function; `context` is a struct lua_hash. */
enum bitcask_status lua_hash_function(void *context, bitcask_bytes key, uint64_t *out);

/* Push the table of xxHash functions. */
void lua_hash_register(lua_State *L);

#endif
