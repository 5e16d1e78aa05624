/*
 * bitcask.core: the engine as Lua sees it, before lua/bitcask gives it its public face.
 *
 *   core.cask      functions on stores, and `methods`: the table that Lua fills with what
 *                  stores answer to
 *   core.iterator  functions on iterators
 *   core.merge     opens merges, which are objects with methods
 *   core.hash      xxHash
 *   core.sim       simulated disks, which are objects with methods
 *   core.codes     the codes of failures
 *   core.limits    what options and keys may be
 */
#include <time.h>

#include <lauxlib.h>
#include <lua.h>

#include "bind/lua_access.h"
#include "bind/lua_batch.h"
#include "bind/lua_cask.h"
#include "bind/lua_changes.h"
#include "bind/lua_guard.h"
#include "bind/lua_handle.h"
#include "bind/lua_hash.h"
#include "bind/lua_iterator.h"
#include "bind/lua_merge.h"
#include "bind/lua_options.h"
#include "bind/lua_policy.h"
#include "bind/lua_result.h"
#include "bind/lua_sim.h"
#include "bind/lua_sim_files.h"
#include "bind/lua_snapshot.h"
#ifdef BITCASK_TRIAL
#include "bind/lua_trial.h"
#endif
#include "bind/lua_whole.h"
#include "bitcask.h"

BITCASK_API int luaopen_bitcask_core(lua_State *L);

static void push_cask(lua_State *L) {
  lua_cask_register(L);
  int metatable = lua_absindex(L, -2);
  lua_handle_add_functions(L, metatable, lua_access_functions);
  lua_handle_add_functions(L, metatable, lua_whole_functions);
  lua_handle_add_functions(L, metatable, lua_policy_functions);
  lua_getfield(L, -1, "count");
  lua_setfield(L, metatable, "__len");
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, metatable, "__index");
  lua_setfield(L, -2, "methods");
  lua_remove(L, metatable);
}

/* Let pairs() of what has the metatable `name` call the function of that name in the table on
 * top of the stack. */
static void set_pairs(lua_State *L, const char *name, const char *function) {
  luaL_getmetatable(L, name);
  lua_getfield(L, -2, function);
  lua_setfield(L, -2, "__pairs");
  lua_pop(L, 1);
}

/* pairs(store) and pairs(snapshot) open an iterator. */
static void push_iterator(lua_State *L) {
  lua_iterator_register(L);
  set_pairs(L, LUA_CASK_NAME, "open");
  set_pairs(L, LUA_SNAPSHOT_NAME, "open_snapshot");
}

static void push_limits(lua_State *L) {
  lua_newtable(L);
  lua_result_set_integer(L, "key_size_max", BITCASK_KEY_SIZE_MAX);
  lua_result_set_integer(L, "value_size_max", BITCASK_VALUE_SIZE_MAX);
  lua_result_set_integer(L, "segment_size_min", BITCASK_SEGMENT_SIZE_MIN);
  lua_result_set_integer(L, "segment_size_max", BITCASK_SEGMENT_SIZE_MAX);
  lua_result_set_integer(L, "segment_size_default", BITCASK_SEGMENT_SIZE_DEFAULT);
}

/* () -> seconds since 1970, with fractions */
static int now(lua_State *L) {
  struct timespec time;
  timespec_get(&time, TIME_UTC);
  lua_pushnumber(L, (lua_Number)time.tv_sec + (lua_Number)time.tv_nsec / 1e9);
  return 1;
}

/* (seconds): let others run for so long */
static int pause_for(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && seconds < 1, 1, "less than a second expected");
  struct timespec time = {0, (long)(seconds * 1e9)};
  nanosleep(&time, NULL);
  return 0;
}

int luaopen_bitcask_core(lua_State *L) {
  luaL_checkversion(L);
  lua_guard_register(L);
  lua_newtable(L);
  push_cask(L);
  lua_setfield(L, -2, "cask");
  lua_snapshot_register(L);
  lua_setfield(L, -2, "snapshot");
  push_iterator(L);
  lua_setfield(L, -2, "iterator");
  lua_merge_register(L);
  lua_setfield(L, -2, "merge");
  lua_batch_register(L);
  lua_setfield(L, -2, "batch");
  lua_changes_register(L);
  lua_setfield(L, -2, "changes");
  lua_options_push_taker(L);
  lua_setfield(L, -2, "check_write_with");
  lua_cask_push_consulter_taker(L);
  lua_setfield(L, -2, "consult_with");
  lua_hash_register(L);
  lua_setfield(L, -2, "hash");
  lua_sim_register(L);
  lua_sim_files_register(L);
  lua_setfield(L, -2, "sim");
#ifdef BITCASK_TRIAL
  lua_trial_push(L);
  lua_setfield(L, -2, "trial");
#endif
  lua_result_push_codes(L);
  lua_setfield(L, -2, "codes");
  push_limits(L);
  lua_setfield(L, -2, "limits");
  lua_pushcfunction(L, now);
  lua_setfield(L, -2, "now");
  lua_pushcfunction(L, pause_for);
  lua_setfield(L, -2, "pause");
  lua_result_set_string(L, "version", BITCASK_VERSION);
  return 1;
}
