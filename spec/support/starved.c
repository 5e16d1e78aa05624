/*
 * Lua that runs out of memory:
 *
 *   local starved = require "spec.starved"
 *   local hungry, message = starved.run(before, body, after, n)
 *
 * Runs three chunks of code in a new Lua state, one after the other. From the n-th allocation
 * of `body` on, until its end, every request for more memory is refused. `hungry` tells whether
 * there was such an allocation; `message` is the error that `body` ended with, or nil. An error
 * of the other two chunks is raised here. In the end the state is closed.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct larder {
  lua_Integer left; /* requests until the first refusal; 0: none is refused */
  bool is_empty;
};

static void *allocate(void *context, void *old, size_t old_size, size_t size) {
  struct larder *larder = context;
  if (size == 0) {
    free(old);
    return NULL;
  }
  bool is_more = old == NULL || size > old_size;
  if (is_more && larder->left > 0 && --larder->left == 0) larder->is_empty = true;
  if (is_more && larder->is_empty) return NULL;
  return realloc(old, size);
}

static bool run_chunk(lua_State *L, const char *code, const char *name) {
  return luaL_loadbuffer(L, code, strlen(code), name) == LUA_OK && lua_pcall(L, 0, 0, 0) == LUA_OK;
}

/* An error in another state, as one here. */
static int pass_on(lua_State *L, lua_State *other, const char *where) {
  lua_pushfstring(L, "%s: %s", where, luaL_tolstring(other, -1, NULL));
  lua_close(other);
  return lua_error(L);
}

static int run(lua_State *L) {
  const char *before = luaL_checkstring(L, 1), *body = luaL_checkstring(L, 2);
  const char *after = luaL_checkstring(L, 3);
  lua_Integer n = luaL_checkinteger(L, 4);
  struct larder larder = {0};
  lua_State *hungry = lua_newstate(allocate, &larder);
  if (hungry == NULL) return luaL_error(L, "no memory for another state");
  luaL_openlibs(hungry);
  if (!run_chunk(hungry, before, "=before")) return pass_on(L, hungry, "before");
  if (luaL_loadbuffer(hungry, body, strlen(body), "=body") != LUA_OK)
    return pass_on(L, hungry, "body");
  larder.left = n;
  bool failed = lua_pcall(hungry, 0, 0, 0) != LUA_OK;
  bool was_hungry = larder.is_empty;
  larder = (struct larder){0};
  lua_pushboolean(L, was_hungry);
  if (failed)
    lua_pushstring(L, luaL_tolstring(hungry, -1, NULL));
  else
    lua_pushnil(L);
  lua_settop(hungry, 0);
  if (!run_chunk(hungry, after, "=after")) return pass_on(L, hungry, "after");
  lua_close(hungry);
  return 2;
}

int luaopen_spec_starved(lua_State *L);
int luaopen_spec_starved(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", run}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
