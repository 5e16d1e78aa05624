/*
 * Snapshots of a store: the keys as they were at one moment.
 */
#ifndef BIND_LUA_SNAPSHOT_H
#define BIND_LUA_SNAPSHOT_H

#include <lua.h>

#include "bind/lua_cask.h"
#include "bitcask.h"

#define LUA_SNAPSHOT_NAME "bitcask snapshot"

struct lua_snapshot {
  struct lua_child child; /* with no store: closed */
  struct bitcask_snapshot *snapshot;
  uint64_t version; /* stays known */
};

/* The open snapshot at `arg`; raises for anything else. Its user value 1 is its store. */
struct lua_snapshot *lua_snapshot_check(lua_State *L, int arg);

/* Push the table of functions: open, is_open, and `methods`, which snapshots answer to. */
void lua_snapshot_register(lua_State *L);

#endif
