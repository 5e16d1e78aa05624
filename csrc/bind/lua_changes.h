/*
 * Changes of a store since a version, for the generic for. As with iterators the engine's
 * part is given back at the end, and failures are raised.
 */
#ifndef BIND_LUA_CHANGES_H
#define BIND_LUA_CHANGES_H

#include <lua.h>

/* Push the table of functions: open, is_open. */
void lua_changes_register(lua_State *L);

#endif
