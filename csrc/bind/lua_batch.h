/*
 * Batches: writes collected for one store, to be committed as one.
 *
 *   put, delete, expect --> commit --> empty, to be used again
 *          |                  |
 *          a write that       refused: it keeps what it holds
 *          could not be added refuses every commit, until clear
 *
 * put and delete return the batch, so that they can be chained; what failed in them commit
 * returns.
 */
#ifndef BIND_LUA_BATCH_H
#define BIND_LUA_BATCH_H

#include <lua.h>

/* Push the table of functions: open, is_open, expect, and `methods`, which batches answer
 * to. */
void lua_batch_register(lua_State *L);

#endif
