/*
 * Memory of C that Lua's collector owns for the length of a call.
 *
 * An error in Lua is a longjmp: what C holds then is lost. So before anything is
 * allocated a guard is pushed, and the guard holds it. A call that gets through gives it
 * back at once with lua_guard_release; one that does not leaves it to the collector.
 */
#ifndef BIND_LUA_GUARD_H
#define BIND_LUA_GUARD_H

#include <stddef.h>

#include <lua.h>

/* Push a guard of `size` zeroed bytes, which `release` empties, and return the bytes. */
void *lua_guard_push(lua_State *L, size_t size, void (*release)(void *bytes));

/* Release the bytes now; the guard stays, empty, for the collector. */
void lua_guard_release(void *bytes);

/* Create the metatable of guards; to be called once in a state, first of all. */
void lua_guard_register(lua_State *L);

#endif
