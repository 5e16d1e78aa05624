#include "bind/lua_handle.h"

/* The address of this is the key, in the registry, of a table from address to userdata
 * with weak values. */
static const char remembered;

void lua_handle_new_type(lua_State *L, const char *name, const luaL_Reg *metamethods) {
  luaL_newmetatable(L, name);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
}

void lua_handle_push_functions(lua_State *L, const luaL_Reg *functions) {
  lua_newtable(L);
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, functions, 1);
}

static void push_remembered(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &remembered) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &remembered);
}

void lua_handle_remember(lua_State *L, int index) {
  index = lua_absindex(L, index);
  push_remembered(L);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, lua_touserdata(L, index));
  lua_pop(L, 1);
}

void lua_handle_push(lua_State *L, const void *address) {
  push_remembered(L);
  lua_rawgetp(L, -1, address);
  lua_remove(L, -2);
}

void lua_handle_push_user_value(lua_State *L, const void *address, int n) {
  push_remembered(L);
  lua_rawgetp(L, -1, address);
  if (lua_isuserdata(L, -1))
    lua_getiuservalue(L, -1, n);
  else
    lua_pushnil(L);
  lua_replace(L, -3);
  lua_pop(L, 1);
}
