/*
 * The options of a store, from the table that Lua has checked.
 *
 * The table holds what the caller named and nothing else; what is not in it keeps the
 * default of bitcask_options_default.
 */
#ifndef BIND_LUA_OPTIONS_H
#define BIND_LUA_OPTIONS_H

#include <lua.h>

#include "bitcask.h"

/* Fill *out from the table at `index`; names are borrowed from its strings. Functions are
 * not looked at: they belong to the store's userdata. */
void lua_options_read(lua_State *L, int index, struct bitcask_options *out);

#endif
