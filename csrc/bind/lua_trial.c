#include "bind/lua_trial.h"

#include <lauxlib.h>

#include "base/memory.h"
#include "base/mutant.h"

static int refuse(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0, 1, "a count");
  memory_refuse((uint64_t)n, lua_toboolean(L, 2));
  return 0;
}

static int refuses_after(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)memory_refuses_after());
  return 1;
}

static int balance(lua_State *L) {
  lua_pushinteger(L, memory_balance());
  return 1;
}

static int mutants(lua_State *L) {
  lua_createtable(L, MUTANT_COUNT, 0);
  for (int i = 0; i < MUTANT_COUNT; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, mutant_name((enum mutant)i));
    lua_setfield(L, -2, "name");
    lua_pushstring(L, mutant_does((enum mutant)i));
    lua_setfield(L, -2, "does");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int mutate(lua_State *L) {
  const char *name = luaL_optstring(L, 1, NULL);
  if (!mutant_choose(name)) return luaL_error(L, "there is no mutant '%s'", name);
  return 0;
}

static int met(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)mutant_met());
  return 1;
}

void lua_trial_push(lua_State *L) {
  static const luaL_Reg functions[] = {{"refuse", refuse}, {"refuses_after", refuses_after},
                                       {"balance", balance}, {"mutants", mutants},
                                       {"mutate", mutate}, {"met", met}, {NULL, NULL}};
  luaL_newlib(L, functions);
}
