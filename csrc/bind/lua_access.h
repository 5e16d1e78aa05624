/*
 * Reading and writing a store, one key or many.
 */
#ifndef BIND_LUA_ACCESS_H
#define BIND_LUA_ACCESS_H

#include <lauxlib.h>

/* Functions of the type of stores, ended by NULL. */
extern const luaL_Reg lua_access_functions[];

#endif
