/*
 * What bitcask.consulting needs of a store: whether its policy is to be asked, and a way to
 * tell what went wrong with it.
 */
#ifndef BIND_LUA_POLICY_H
#define BIND_LUA_POLICY_H

#include <lauxlib.h>

/* Functions of the type of stores, ended by NULL. */
extern const luaL_Reg lua_policy_functions[];

#endif
