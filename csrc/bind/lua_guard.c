#include "bind/lua_guard.h"

#include <stdalign.h>
#include <string.h>

#include <lauxlib.h>

#define GUARD_NAME "bitcask guard"

struct guard {
  void (*release)(void *bytes); /* NULL: released */
  alignas(max_align_t) unsigned char bytes[];
};

static void release(struct guard *guard) {
  if (guard->release != NULL) guard->release(guard->bytes);
  guard->release = NULL;
}

static int guard_gc(lua_State *L) {
  release(luaL_checkudata(L, 1, GUARD_NAME));
  return 0;
}

void *lua_guard_push(lua_State *L, size_t size, void (*release_bytes)(void *bytes)) {
  struct guard *guard = lua_newuserdatauv(L, sizeof *guard + size, 0);
  memset(guard->bytes, 0, size);
  guard->release = release_bytes;
  luaL_setmetatable(L, GUARD_NAME);
  return guard->bytes;
}

void lua_guard_release(void *bytes) {
  release((struct guard *)((unsigned char *)bytes - offsetof(struct guard, bytes)));
}

void lua_guard_register(lua_State *L) {
  luaL_newmetatable(L, GUARD_NAME);
  lua_pushcfunction(L, guard_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, GUARD_NAME);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
