/* engine/: what of it needs no engine. */
#include "base/memory.h"
#include "bind/internals/room.h"
#include "bind/lua_result.h"
#include "disk/disk.h"
#include "engine/hash.h"
#include "engine/throttle.h"
#include "engine/tombstones.h"

/* ---- Hash ------------------------------------------------------------------------ */

/* (name, key, seed) -> the hash; raises for a name that is not there */
static int hash_of_(lua_State *L) {
  struct hash hash;
  uint64_t value = 0;
  enum bitcask_status status =
      hash_init(&hash, luaL_checkstring(L, 1), NULL, NULL, (uint64_t)luaL_optinteger(L, 3, 0));
  if (status == BITCASK_OK) status = hash_of(&hash, lua_result_check_bytes(L, 2), &value);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushinteger(L, (lua_Integer)value);
  return 1;
}

static const luaL_Reg hash_functions[] = {{"of", hash_of_}, {NULL, NULL}};

/* ---- Tombstones ------------------------------------------------------------------ */

#define TOMBSTONES_TYPE "bitcask.internals.tombstones"

static struct tombstones *check_tombstones(lua_State *L) {
  return room_object(L, 1, TOMBSTONES_TYPE);
}

static int tombstones_new(lua_State *L) {
  void **object = room_new_object(L, TOMBSTONES_TYPE, 0);
  struct tombstones *set = memory_zeroed(1, sizeof *set);
  if (set == NULL) return lua_result_failure(L, BITCASK_NOMEMORY);
  tombstones_init(set);
  *object = set;
  return 1;
}

/* (segment, store, oldest_put) */
static int tombstones_collect_(lua_State *L) {
  return room_status(L, tombstones_collect(check_tombstones(L), room_segment(L, 2),
                                           room_store(L, 3), room_u64(L, 4)));
}

/* (segment, store) */
static int tombstones_mark_(lua_State *L) {
  return room_status(
      L, tombstones_mark(check_tombstones(L), room_segment(L, 2), room_store(L, 3)));
}

/* (key, version, oldest_put) */
static int tombstones_is_needed_(lua_State *L) {
  lua_pushboolean(L, tombstones_is_needed(check_tombstones(L), lua_result_check_bytes(L, 2),
                                          room_u64(L, 3), room_u64(L, 4)));
  return 1;
}

static int tombstones_close(lua_State *L) {
  struct tombstones *set = room_take_object(L, TOMBSTONES_TYPE);
  if (set == NULL) return 0;
  tombstones_release(set);
  memory_free(set);
  return 0;
}

static const luaL_Reg tombstones_methods[] = {{"collect", tombstones_collect_},
                                              {"mark", tombstones_mark_},
                                              {"is_needed", tombstones_is_needed_},
                                              {NULL, NULL}};
static const luaL_Reg tombstones_functions[] = {{"new", tombstones_new}, {NULL, NULL}};

/* ---- Throttle -------------------------------------------------------------------- */

#define THROTTLE_TYPE "bitcask.internals.throttle"

static struct throttle *check_throttle(lua_State *L) {
  return room_object(L, 1, THROTTLE_TYPE);
}

/* (rate, now) */
static int throttle_new(lua_State *L) {
  uint64_t rate = room_u64(L, 1), now = room_u64(L, 2);
  void **object = room_new_object(L, THROTTLE_TYPE, 0);
  struct throttle *throttle = memory_zeroed(1, sizeof *throttle);
  if (throttle == NULL) return lua_result_failure(L, BITCASK_NOMEMORY);
  throttle_init(throttle, rate, now);
  *object = throttle;
  return 1;
}

/* (throttle, bytes, now) */
static int throttle_spend_(lua_State *L) {
  throttle_spend(check_throttle(L), room_u64(L, 2), room_u64(L, 3));
  return 0;
}

/* (throttle, now) -> microseconds */
static int throttle_delay_(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)throttle_delay(check_throttle(L), room_u64(L, 2)));
  return 1;
}

static int throttle_pause_(lua_State *L) {
  throttle_pause(check_throttle(L), lua_toboolean(L, 2));
  return 0;
}

static int throttle_cancel_(lua_State *L) {
  throttle_cancel(check_throttle(L));
  return 0;
}

/* (throttle): waits by the system's clock */
static int throttle_wait_(lua_State *L) {
  throttle_wait(check_throttle(L), disk_posix());
  return 0;
}

static int throttle_close(lua_State *L) {
  struct throttle *throttle = room_take_object(L, THROTTLE_TYPE);
  if (throttle == NULL) return 0;
  throttle_release(throttle);
  memory_free(throttle);
  return 0;
}

static const luaL_Reg throttle_methods[] = {
    {"spend", throttle_spend_},   {"delay", throttle_delay_}, {"pause", throttle_pause_},
    {"cancel", throttle_cancel_}, {"wait", throttle_wait_},   {NULL, NULL}};
static const luaL_Reg throttle_functions[] = {{"new", throttle_new}, {NULL, NULL}};

void room_open_engine(lua_State *L) {
  room_new_type(L, TOMBSTONES_TYPE, tombstones_methods, tombstones_close);
  room_new_type(L, THROTTLE_TYPE, throttle_methods, throttle_close);
  room_set_functions(L, "hash", hash_functions);
  room_set_functions(L, "tombstones", tombstones_functions);
  room_set_functions(L, "throttle", throttle_functions);
}
