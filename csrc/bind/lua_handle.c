#include "bind/lua_handle.h"

/* The address of this is the key, in the registry, of a table from address to userdata
 * with weak values. */
static const char remembered;

/* Where the type stands in its metatable, which Lua programs do not see. */
#define TYPE_AT 1

/* Make the type of the metatable on top of the stack. There is one for each metatable, even if the
 * module is loaded again: else what one knows another would not forget. */
static void make_type(lua_State *L) {
  if (lua_rawgeti(L, -1, TYPE_AT) != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  struct lua_handle_type *type = lua_newuserdatauv(L, sizeof *type, 1);
  *type = (struct lua_handle_type){.metatable = lua_topointer(L, -2)};
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, 1); /* so that the address is no other table's */
  lua_rawseti(L, -2, TYPE_AT);
}

void lua_handle_push_type(lua_State *L, int metatable) { lua_rawgeti(L, metatable, TYPE_AT); }

void lua_handle_new_type(lua_State *L, const char *name, const luaL_Reg *metamethods) {
  luaL_newmetatable(L, name);
  make_type(L);
  lua_handle_push_type(L, -1);
  luaL_setfuncs(L, metamethods, 1);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
}

void lua_handle_add_functions(lua_State *L, int metatable, const luaL_Reg *functions) {
  lua_handle_push_type(L, metatable);
  luaL_setfuncs(L, functions, 1);
}

void lua_handle_push_functions(lua_State *L, const luaL_Reg *functions) {
  lua_newtable(L);
  lua_handle_add_functions(L, -2, functions);
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
