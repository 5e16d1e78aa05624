#include "bind/lua_policy.h"

#include "bind/lua_cask.h"

/* (store) -> whether it is this one, of all that are open on the directory, whose policy counts */
static int policy_consults(lua_State *L) {
  lua_pushboolean(L, bitcask_consults(lua_cask_self(L)->db));
  return 1;
}

/* (store): notes are looked for from now on, since there is a job to go on with */
static int policy_listen(lua_State *L) {
  lua_cask_self(L)->listens = true;
  return 0;
}

/* (store, whether it is not to be closed) */
static int policy_hold(lua_State *L) {
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  lua_cask_self(L)->is_held = lua_toboolean(L, 2);
  return 0;
}

/* (store): the policy is asked at the end of the next call */
static int policy_leave_note(lua_State *L) {
  bitcask_leave_note(lua_cask_self(L)->db, BITCASK_NOTE_CONSULT);
  return 0;
}

/* (store, bytes at which its active segment is sealed from now on; 0: as its options say) */
static int policy_seal_at(lua_State *L) {
  lua_Integer size = luaL_checkinteger(L, 2);
  luaL_argcheck(L, size >= 0, 2, "less than nothing");
  bitcask_seal_at(lua_cask_self(L)->db, (uint64_t)size);
  return 0;
}

/* (store, message): an event of the kind "error", with the code "policy" */
static int policy_report(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  bitcask_report(cask->db, BITCASK_POLICY, luaL_checkstring(L, 2));
  return 0;
}

const luaL_Reg lua_policy_functions[] = {{"consults", policy_consults},
                                         {"listen", policy_listen},
                                         {"hold", policy_hold},
                                         {"leave_note", policy_leave_note},
                                         {"seal_at", policy_seal_at},
                                         {"report_policy", policy_report},
                                         {NULL, NULL}};
