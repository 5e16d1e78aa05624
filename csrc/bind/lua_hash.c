#include "bind/lua_hash.h"

#include "bind/lua_handle.h"
#include "bind/lua_result.h"

/* ---- A Lua function as the hash of a store ------------------------------------- */

struct question {
  const struct lua_hash *hash;
  bitcask_bytes key;
  uint64_t answer;
};

/* Everything here may raise, so all of it runs inside the pcall. */
static int ask(lua_State *L) {
  struct question *question = lua_touserdata(L, 1);
  int is_integer;
  lua_handle_push_user_value(L, question->hash->owner, question->hash->user_value);
  lua_result_push_bytes(L, question->key);
  lua_call(L, 1, 1);
  question->answer = (uint64_t)lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || lua_type(L, -1) != LUA_TNUMBER)
    return luaL_error(L, "the hash function returned %s, not an integer",
                      luaL_tolstring(L, -1, NULL));
  return 0;
}

/* The engine's frames below must be left as they were entered: an error may not jump over
 * them, and a call of the function on the same store may not change what they see. */
enum bitcask_status lua_hash_function(void *context, bitcask_bytes key, uint64_t *out) {
  struct lua_hash *hash = context;
  lua_State *L = hash->state;
  struct question question = {hash, key, 0};
  if (hash->failed || !lua_checkstack(L, 4)) return BITCASK_NOMEMORY;

  lua_pushcfunction(L, ask);
  lua_pushlightuserdata(L, &question);
  bool failed = lua_pcall(L, 1, 0, 0) != LUA_OK;
  hash->state = L;
  hash->failed = failed;
  *out = question.answer;
  return failed ? BITCASK_INVALID : BITCASK_OK;
}

/* ---- xxHash ---------------------------------------------------------------------- */

static uint64_t check_seed(lua_State *L, int arg) {
  return (uint64_t)luaL_optinteger(L, arg, 0);
}

static int hash_xxh3(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  lua_pushinteger(L, (lua_Integer)bitcask_xxh3(bytes, check_seed(L, 2)));
  return 1;
}

static int hash_xxh64(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  lua_pushinteger(L, (lua_Integer)bitcask_xxh64(bytes, check_seed(L, 2)));
  return 1;
}

static int hash_xxh32(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  uint64_t seed = check_seed(L, 2);
  luaL_argcheck(L, seed <= UINT32_MAX, 2, "a seed of xxh32 is from 0 to 2^32-1");
  lua_pushinteger(L, bitcask_xxh32(bytes, (uint32_t)seed));
  return 1;
}

static int hash_xxh128(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  uint64_t halves[2];
  bitcask_xxh128(bytes, check_seed(L, 2), halves);
  lua_pushinteger(L, (lua_Integer)halves[0]);
  lua_pushinteger(L, (lua_Integer)halves[1]);
  return 2;
}

void lua_hash_register(lua_State *L) {
  static const luaL_Reg functions[] = {{"xxh3", hash_xxh3},
                                       {"xxh64", hash_xxh64},
                                       {"xxh32", hash_xxh32},
                                       {"xxh128", hash_xxh128},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
}
