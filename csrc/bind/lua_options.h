/*
 * The options of a store and of a write, from tables that Lua has checked.
 *
 * A store's table holds what the caller named and nothing else; what is not in it keeps the
 * default of bitcask_options_default. Options of a write are given to the core as they are;
 * so it asks a function of Lua's, which bitcask.options hands over, what they come to. It
 * runs before anything is locked or allocated.
 */
#ifndef BIND_LUA_OPTIONS_H
#define BIND_LUA_OPTIONS_H

#include <stdbool.h>

#include <lua.h>

#include "bitcask.h"

/* Fill *out from the table at `index`; names are borrowed from its strings. Functions are
 * not looked at: they belong to the store's userdata. */
void lua_options_read(lua_State *L, int index, struct bitcask_options *out);

/* The writes that differ in what they may ask for. */
enum lua_options_write { LUA_OPTIONS_PUT, LUA_OPTIONS_DELETE };

/* Fill *out from the options of a write at `arg`, which may be absent; raises for unknown
 * and wrong ones. True: Lua code has run, of metamethods too, and may have closed anything. */
bool lua_options_check_write(lua_State *L, int arg, enum lua_options_write which,
                             struct bitcask_write_options *out);

/* Push the Lua function that takes the function (options, "put" or "delete") -> milliseconds
 * to live or 0, version or 0, whether the key is to be absent. */
void lua_options_push_taker(lua_State *L);

#endif
