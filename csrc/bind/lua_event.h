/*
 * Events of a store, given to a Lua function as tables.
 *
 * Whatever the function does, the call that delivers goes on: an error raised in it is
 * said with warn() and forgotten, and the events behind it are delivered still. It may
 * call the store; the events that this causes come with the next call from outside.
 */
#ifndef BIND_LUA_EVENT_H
#define BIND_LUA_EVENT_H

#include <lua.h>

#include "bitcask.h"

/* Give `first` and all that wait behind it in `db` to the function on top of the stack,
 * and pop the function. Raises nothing. */
void lua_event_deliver(lua_State *L, struct bitcask *db, const struct bitcask_event *first);

/* Say the error on top of the stack, which is popped, with warn(). */
void lua_event_warn(lua_State *L, const char *where);

#endif
