#include "bind/lua_options.h"

#include <string.h>

#include <lauxlib.h>

/* Push the option; false, with nothing pushed, where it was not named. */
static bool push_option(lua_State *L, int index, const char *name) {
  if (lua_getfield(L, index, name) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

static bool read_boolean(lua_State *L, int index, const char *name, bool *out) {
  if (!push_option(L, index, name)) return false;
  *out = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return true;
}

static void read_sync(lua_State *L, int index, struct bitcask_options *out) {
  if (!push_option(L, index, "sync")) return;
  out->named |= BITCASK_NAMED_SYNC;
  if (lua_type(L, -1) == LUA_TNUMBER) {
    out->sync = BITCASK_SYNC_INTERVAL;
    out->sync_seconds = lua_tonumber(L, -1);
  } else {
    bool always = strcmp(luaL_checkstring(L, -1), "always") == 0;
    out->sync = always ? BITCASK_SYNC_ALWAYS : BITCASK_SYNC_NONE;
  }
  lua_pop(L, 1);
}

static void read_segment_size(lua_State *L, int index, struct bitcask_options *out) {
  if (!push_option(L, index, "segment_size")) return;
  out->named |= BITCASK_NAMED_SEGMENT_SIZE;
  out->segment_size = (uint64_t)luaL_checkinteger(L, -1);
  lua_pop(L, 1);
}

static void read_hash(lua_State *L, int index, struct bitcask_options *out) {
  if (!push_option(L, index, "hash")) return;
  out->named |= BITCASK_NAMED_HASH;
  if (!lua_isfunction(L, -1)) {
    luaL_checktype(L, -1, LUA_TSTRING); /* a number's text would not outlive the stack */
    out->hash = lua_tostring(L, -1);
  }
  lua_pop(L, 1);
}

void lua_options_read(lua_State *L, int index, struct bitcask_options *out) {
  bitcask_options_default(out);
  read_boolean(L, index, "readonly", &out->readonly);
  read_boolean(L, index, "create", &out->create);
  read_boolean(L, index, "salvage", &out->salvage);
  if (read_boolean(L, index, "verify", &out->verify)) out->named |= BITCASK_NAMED_VERIFY;
  read_sync(L, index, out);
  read_segment_size(L, index, out);
  read_hash(L, index, out);
}
