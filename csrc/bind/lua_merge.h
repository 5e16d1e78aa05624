/*
 * Merges under way: in steps of the caller's, or on a thread of the engine's.
 */
#ifndef BIND_LUA_MERGE_H
#define BIND_LUA_MERGE_H

#include <lua.h>

/* Push the table of functions: open. What it returns has step, question, answer, rest, start, wait,
 * cancel, pause, progress, report, close and is_open. */
void lua_merge_register(lua_State *L);

#endif
