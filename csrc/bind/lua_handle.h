/*
 * Handles: the userdata that Lua programs hold.
 *
 * The functions of a type carry its struct lua_handle_type as their first upvalue, which makes
 * telling a right self from a wrong one a comparison of two pointers:
 *
 *   function --upvalue--> struct lua_handle_type <--> metatable <-- userdata
 *                                          | known
 *                                          +--------------------> userdata
 *
 * To fetch the metatable of a self takes as long as everything else that is asked of it, so
 * a type may note of a userdata that it is known. Such a note is to be gone before the
 * userdata is, or else what stands at its address next would be taken for it.
 *
 * A store also is to be found by its address: a hash function or a handler of events is a user
 * value of it, so that the collector sees a function which refers to its own store.
 */
#ifndef BIND_LUA_HANDLE_H
#define BIND_LUA_HANDLE_H

#include <stdbool.h>

#include <lauxlib.h>
#include <lua.h>

/* Make the type `name` with these metamethods, and push its metatable, locked. */
void lua_handle_new_type(lua_State *L, const char *name, const luaL_Reg *metamethods);

/* Push the struct lua_handle_type of the metatable at `metatable`: the first upvalue of a function
 * of the type. */
void lua_handle_push_type(lua_State *L, int metatable);

/* Push a table of functions of the type whose metatable is on top of the stack. */
void lua_handle_push_functions(lua_State *L, const luaL_Reg *functions);

/* Add functions of the type whose metatable is at `metatable` to the table on top of the stack. */
void lua_handle_add_functions(lua_State *L, int metatable, const luaL_Reg *functions);

struct lua_handle_type {
  const void *metatable; /* as lua_topointer tells it */
  const void *known;     /* a userdata of the type; or NULL */
};

/* The type that the running function is of. */
static inline struct lua_handle_type *lua_handle_type(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/* The userdata at 1 in a function of the type; raises for any other value. */
static inline void *lua_handle_self(lua_State *L, const char *name) {
  void *self = lua_touserdata(L, 1);
  if (self == NULL || !lua_getmetatable(L, 1) ||
      lua_topointer(L, -1) != lua_handle_type(L)->metatable)
    luaL_typeerror(L, 1, name);
  lua_pop(L, 1);
  return self;
}

/* The userdata at 1 in a function of the type, if it is the one that is known; else NULL. */
static inline void *lua_handle_known_self(lua_State *L) {
  void *self = lua_touserdata(L, 1);
  bool is_known = self == lua_handle_type(L)->known && lua_type(L, 1) == LUA_TUSERDATA;
  return is_known ? self : NULL;
}

/* In a function of the type: `self` is known from now on, and no other. */
static inline void lua_handle_know(lua_State *L, const void *self) {
  lua_handle_type(L)->known = self;
}

/* The same: `self` is not known from now on. */
static inline void lua_handle_forget(lua_State *L, const void *self) {
  struct lua_handle_type *type = lua_handle_type(L);
  if (type->known == self) type->known = NULL;
}

/* Let the userdata at `index` be found by its address for as long as it lives. */
void lua_handle_remember(lua_State *L, int index);

/* Push the userdata remembered at `address`; nil when it is gone. */
void lua_handle_push(lua_State *L, const void *address);

/* Push user value `n` of the userdata remembered at `address`; nil when it is gone. */
void lua_handle_push_user_value(lua_State *L, const void *address, int n);

#endif
