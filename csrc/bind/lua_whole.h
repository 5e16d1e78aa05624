/*
 * Calls on a store as a whole: how many keys, flushing, sealing, figures.
 */
#ifndef BIND_LUA_WHOLE_H
#define BIND_LUA_WHOLE_H

#include <lauxlib.h>

/* Functions of the type of stores, ended by NULL. */
extern const luaL_Reg lua_whole_functions[];

#endif
