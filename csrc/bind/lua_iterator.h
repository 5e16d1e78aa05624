/*
 * Iterators over a store or a snapshot, for the generic for.
 *
 *   open ----> at the end ----> closed
 *     \___________________________^
 *
 * At the end the engine's part is given back at once, and further calls answer nil;
 * a closed iterator raises. Failures are raised: in a loop nil would look like the end.
 */
#ifndef BIND_LUA_ITERATOR_H
#define BIND_LUA_ITERATOR_H

#include <lua.h>

/* Push the table of functions: open, open_snapshot, close, is_open. */
void lua_iterator_register(lua_State *L);

#endif
