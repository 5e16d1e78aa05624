/*
 * Handles: the userdata that Lua programs hold.
 *
 * The functions of a type carry its metatable as their first upvalue, which makes telling
 * a right self from a wrong one a comparison of two pointers. A store also is to be found
 * by its address: a hash function or a handler of events is a user value of it, so that
 * the collector sees a function which refers to its own store.
 */
#ifndef BIND_LUA_HANDLE_H
#define BIND_LUA_HANDLE_H

#include <lauxlib.h>
#include <lua.h>

/* Make the type `name` with these metamethods, and push its metatable, locked. */
void lua_handle_new_type(lua_State *L, const char *name, const luaL_Reg *metamethods);

/* Push a table of functions of the type whose metatable is on top of the stack. */
void lua_handle_push_functions(lua_State *L, const luaL_Reg *functions);

/* The userdata at 1 in a function of such a type; raises for any other value. */
static inline void *lua_handle_self(lua_State *L, const char *name) {
  void *self = lua_touserdata(L, 1);
  if (self == NULL || !lua_getmetatable(L, 1) ||
      !lua_rawequal(L, -1, lua_upvalueindex(1)))
    luaL_typeerror(L, 1, name);
  lua_pop(L, 1);
  return self;
}

/* Let the userdata at `index` be found by its address for as long as it lives. */
void lua_handle_remember(lua_State *L, int index);

/* Push the userdata remembered at `address`; nil when it is gone. */
void lua_handle_push(lua_State *L, const void *address);

/* Push user value `n` of the userdata remembered at `address`; nil when it is gone. */
void lua_handle_push_user_value(lua_State *L, const void *address, int n);

#endif
