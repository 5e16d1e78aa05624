#include "bind/lua_whole.h"

#include "bind/lua_cask.h"
#include "bind/lua_guard.h"
#include "bind/lua_result.h"

/* A count cannot fail; of a store that came through a fork it is 0, which the figures can
 * tell from an empty one. */
static int whole_count(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  struct bitcask_stats stats;
  uint64_t count = bitcask_count(cask->db);
  enum bitcask_status status = count == 0 ? bitcask_stats(cask->db, &stats) : BITCASK_OK;
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  lua_pushinteger(L, (lua_Integer)count);
  return lua_cask_results(L, cask, 1);
}

/* true, or the failure. */
static int done(lua_State *L, struct lua_cask *cask, enum bitcask_status status) {
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  lua_pushboolean(L, true);
  return lua_cask_results(L, cask, 1);
}

static int whole_refresh(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_refresh(cask->db);
  lua_cask_leave(cask);
  return done(L, cask, status);
}

static int whole_sync(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_sync_now(cask->db);
  lua_cask_leave(cask);
  return done(L, cask, status);
}

/* false: there are none with a hash function of the caller's. */
static int whole_checkpoint(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_checkpoint(cask->db);
  lua_cask_leave(cask);
  if (status != BITCASK_ABSENT) return done(L, cask, status);
  lua_pushboolean(L, false);
  return lua_cask_results(L, cask, 1);
}

static int whole_seal(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  uint64_t segment;
  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_seal(cask->db, &segment);
  lua_cask_leave(cask);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  if (segment != 0)
    lua_pushinteger(L, (lua_Integer)segment);
  else
    lua_pushboolean(L, false);
  return lua_cask_results(L, cask, 1);
}

static int whole_stats(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  struct bitcask_stats stats;
  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_stats(cask->db, &stats);
  lua_cask_leave(cask);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  lua_createtable(L, 0, 24);
#define FIELD(name, text) lua_result_set_integer(L, #name, stats.name);
  BITCASK_STATS_LIST(FIELD)
#undef FIELD
  return lua_cask_results(L, cask, 1);
}

/* ---- Segments --------------------------------------------------------------------------- */

struct segments {
  struct bitcask_segment *list;
  size_t count;
};

static void release_segments(void *bytes) {
  bitcask_segments_free(((struct segments *)bytes)->list);
}

static void push_segment(lua_State *L, const struct bitcask_segment *segment) {
  lua_createtable(L, 0, 18);
  lua_result_set_integer(L, "id", segment->id);
  lua_result_set_integer(L, "bytes", segment->bytes);
  lua_result_set_integer(L, "live_bytes", segment->live_bytes);
  lua_result_set_integer(L, "dead_bytes", segment->dead_bytes);
  lua_result_set_integer(L, "records", segment->records);
  lua_result_set_integer(L, "live_records", segment->live_records);
  lua_result_set_integer(L, "tombstones", segment->tombstones);
  lua_result_set_integer(L, "tombstone_bytes", segment->tombstone_bytes);
  lua_result_set_integer(L, "expired_bytes", segment->expired_bytes);
  lua_result_set_time(L, "expired", segment->last_expired_ms);
  lua_result_set_integer(L, "min_version", segment->min_version);
  lua_result_set_integer(L, "max_version", segment->max_version);
  lua_result_set_time(L, "created", segment->created_ms);
  lua_result_set_time(L, "sealed", segment->sealed_ms);
  lua_result_set_boolean(L, "pinned", segment->pinned);
  lua_result_set_boolean(L, "damaged", segment->damaged);
  lua_result_set_boolean(L, "active", segment->active);
}

/* (store) -> seconds since 1970, by the clock of its disk */
static int whole_now(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  lua_pushnumber(L, (lua_Number)bitcask_now_ms(cask->db) / 1000);
  return lua_cask_results(L, cask, 1);
}

/* (store) -> bytes at which its segments are sealed */
static int whole_segment_size(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  lua_pushinteger(L, (lua_Integer)bitcask_segment_size(cask->db));
  return lua_cask_results(L, cask, 1);
}

/* (store) -> list of all segments, oldest first, the active one last */
static int whole_segments(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  struct segments *segments = lua_guard_push(L, sizeof *segments, release_segments);
  lua_cask_enter(L, cask);
  enum bitcask_status status =
      bitcask_segments(cask->db, &segments->list, &segments->count);
  lua_cask_leave(cask);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);

  lua_createtable(L, (int)segments->count, 0);
  for (size_t i = 0; i < segments->count; i++) {
    push_segment(L, &segments->list[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_guard_release(segments);
  return lua_cask_results(L, cask, 1);
}

const luaL_Reg lua_whole_functions[] = {
    {"count", whole_count}, {"refresh", whole_refresh}, {"sync", whole_sync},
    {"checkpoint", whole_checkpoint},
    {"seal", whole_seal},   {"stats", whole_stats},     {"segments", whole_segments},
    {"segment_size", whole_segment_size},
    {"now", whole_now},
    {NULL, NULL}};
