/*
 * bitcask.internals: the modules below the public interface, opened to the specs. Built for
 * them alone, from objects of their own in which allocations can be refused and counted;
 * never installed, and no part of bitcask.core. Each file of internals/ is a room of it:
 *
 *   base      memory latch status coding radix checksum  functions
 *   format    filename record header hint                functions
 *   edit      edit                                       functions
 *   disk      disk ── open ──> directory ── create, open ──> file
 *   guard     guard                                      functions
 *   segment   segment, and its hint file                 objects, closed when collected
 *   keydir    keydir_table, keydir                       objects
 *   manifest  manifest                                   objects
 *   engine    commit, hash; tombstones, throttle         functions; objects
 *
 * It translates and nothing else: numbers of 64 bits are Lua integers, facts are tables with
 * the names of the C fields, a failure is nil, message, code, and INVALID is raised.
 */
#include "bind/internals/room.h"

BITCASK_API int luaopen_bitcask_internals(lua_State *L);

int luaopen_bitcask_internals(lua_State *L) {
  luaL_checkversion(L);
  lua_newtable(L);
  room_open_base(L);
  room_open_format(L);
  room_open_edit(L);
  room_open_disk(L);
  room_open_guard(L);
  room_open_segment(L);
  room_open_keydir(L);
  room_open_manifest(L);
  room_open_engine(L);
  return 1;
}
