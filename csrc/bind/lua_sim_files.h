/*
 * The files of a simulated disk as Lua programs use them: to write a store of their own on
 * it, and try that by the same rules as ours.
 *
 * What they do goes through the table of operations that the engine uses, is counted, fails
 * and is lost as there. Writing in place and cutting, which the engine never does, come on
 * top. A file keeps its directory alive, and that its disk.
 */
#ifndef BIND_LUA_SIM_FILES_H
#define BIND_LUA_SIM_FILES_H

#include <lua.h>

/* Let the disks of lua_sim_register, whose table is on top of the stack, answer to
 * `directory`. */
void lua_sim_files_register(lua_State *L);

#endif
