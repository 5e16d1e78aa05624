#include "bind/lua_options.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/lua_sim.h"

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

static void read_ttl(lua_State *L, int index, struct bitcask_options *out) {
  if (!push_option(L, index, "ttl_ms")) return;
  out->named |= BITCASK_NAMED_TTL;
  out->ttl_ms = (uint64_t)luaL_checkinteger(L, -1);
  lua_pop(L, 1);
}

/* "if_free" or "only", where the store is to have a policy. */
static void read_consults(lua_State *L, int index, struct bitcask_options *out) {
  if (!push_option(L, index, "consults")) return;
  bool is_optional = strcmp(luaL_checkstring(L, -1), "if_free") == 0;
  out->consults = is_optional ? BITCASK_CONSULTS_IF_FREE : BITCASK_CONSULTS;
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

/* On a simulated disk everything happens inside the calls, so that it happens again the same
 * way. The engine keeps the disk alive. */
static void read_disk(lua_State *L, int index, struct bitcask_options *out) {
  if (!push_option(L, index, "disk")) return;
  out->disk = lua_sim_test(L, -1);
  out->no_threads = true;
  luaL_argcheck(L, out->disk != NULL, index, "option 'disk' is no simulated disk");
  lua_pop(L, 1);
}

void lua_options_read(lua_State *L, int index, struct bitcask_options *out) {
  bitcask_options_default(out);
  read_disk(L, index, out);
  read_boolean(L, index, "readonly", &out->readonly);
  read_boolean(L, index, "create", &out->create);
  read_boolean(L, index, "salvage", &out->salvage);
  if (read_boolean(L, index, "verify", &out->verify)) out->named |= BITCASK_NAMED_VERIFY;
  read_sync(L, index, out);
  read_segment_size(L, index, out);
  read_ttl(L, index, out);
  read_hash(L, index, out);
  read_consults(L, index, out);
}

/* ---- Options of a write ------------------------------------------------------------- */

/* The address of this is the key, in the registry, of the function that checks them. */
static const char checker;

static int take_checker(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &checker);
  return 0;
}

void lua_options_push_taker(lua_State *L) { lua_pushcfunction(L, take_checker); }

bool lua_options_check_write(lua_State *L, int arg, enum lua_options_write which,
                             struct bitcask_write_options *out) {
  memset(out, 0, sizeof *out);
  if (lua_isnoneornil(L, arg)) return false;
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &checker);
  lua_pushvalue(L, arg);
  lua_pushstring(L, which == LUA_OPTIONS_PUT ? "put" : "delete");
  lua_call(L, 2, 3);
  out->ttl_ms = (uint64_t)luaL_checkinteger(L, -3);
  out->if_version = (uint64_t)luaL_checkinteger(L, -2);
  out->if_absent = lua_toboolean(L, -1);
  lua_pop(L, 3);
  return true;
}
