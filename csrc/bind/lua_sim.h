/*
 * Simulated disks (disk/sim.h) as Lua holds them.
 *
 * The states of a power cut are made from a copy, so that whatever is done to the disk
 * meanwhile does not matter.
 */
#ifndef BIND_LUA_SIM_H
#define BIND_LUA_SIM_H

#include <lua.h>

#include "bitcask.h"

/* The disk at `index`; NULL for any other value. It lives as long as the userdata, and as
 * any store that is open on it. */
struct disk *lua_sim_test(lua_State *L, int index);

/* Push the table of functions: `new`, `is_disk`, and `methods`, which disks answer to. */
void lua_sim_register(lua_State *L);

#endif
