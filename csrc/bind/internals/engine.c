/* engine/: what of it needs no engine. */
#include "base/memory.h"
#include "bind/internals/room.h"
#include "bind/lua_result.h"
#include "disk/disk.h"
#include "engine/commit.h"
#include "engine/hash.h"
#include "engine/throttle.h"
#include "engine/tombstones.h"

/* ---- Group commit ---------------------------------------------------------------- */

/* Threads that append and wait, beside a device that takes its time. */
struct commit_race {
  struct commit commit;
  unsigned rounds;
  unsigned fail_every; /* of the flushes; 0: none */
  struct mutex lock;   /* for the rest */
  uint64_t appended;
  uint64_t durable;
  bool is_flushing;
  bool is_over;
  lua_Integer flushes, overlaps, failed_flushes, early, failed_waits;
};

static uint64_t begin_flush(struct commit_race *race) {
  mutex_lock(&race->lock);
  race->overlaps += race->is_flushing;
  race->is_flushing = true;
  race->flushes++;
  uint64_t end = race->appended;
  mutex_unlock(&race->lock);
  return end;
}

/* Tickets are told of in their order: under the lock, as the engine does. */
static void tell(struct commit_race *race, uint64_t end) REQUIRES(race->lock) {
  if (end > race->durable) race->durable = end;
  commit_tell(&race->commit, race->durable);
}

static bool end_flush(struct commit_race *race, uint64_t end) {
  mutex_lock(&race->lock);
  race->is_flushing = false;
  bool has_failed = race->fail_every > 0 && race->flushes % race->fail_every == 0;
  race->failed_flushes += has_failed;
  if (!has_failed) tell(race, end);
  mutex_unlock(&race->lock);
  return !has_failed;
}

static enum bitcask_status race_flush(void *context, uint64_t ticket) {
  struct commit_race *race = context;
  (void)ticket;
  uint64_t end = begin_flush(race);
  thread_pause();
  return end_flush(race, end) ? BITCASK_OK : status_fail(BITCASK_IO, "the device is gone");
}

static void *run_commits(void *context) {
  struct commit_race *race = context;
  for (unsigned i = 0; i < race->rounds; i++) {
    mutex_lock(&race->lock);
    uint64_t ticket = ++race->appended;
    mutex_unlock(&race->lock);
    enum bitcask_status status = commit_wait(&race->commit, ticket, race_flush, race);
    mutex_lock(&race->lock);
    race->early += status == BITCASK_OK && race->durable < ticket;
    race->failed_waits += status != BITCASK_OK;
    mutex_unlock(&race->lock);
  }
  return NULL;
}

/* Somebody who waits for nothing makes all durable now and then, as one does who seals. */
static void *run_outsider(void *context) {
  struct commit_race *race = context;
  for (bool is_over = false; !is_over;) {
    thread_pause();
    mutex_lock(&race->lock);
    tell(race, race->appended);
    is_over = race->is_over;
    mutex_unlock(&race->lock);
  }
  return NULL;
}

static bool start_outsider(struct commit_race *race, pthread_t *out) {
  return thread_start(out, "outsider", run_outsider, race) == BITCASK_OK;
}

static void end_outsider(struct commit_race *race, pthread_t outsider) {
  mutex_lock(&race->lock);
  race->is_over = true;
  mutex_unlock(&race->lock);
  pthread_join(outsider, NULL);
}

static void set_count(lua_State *L, const char *name, lua_Integer count) {
  lua_pushinteger(L, count);
  lua_setfield(L, -2, name);
}

/* (threads, rounds, fail every so many flushes, beside an outsider?) -> what was counted */
static int commit_race_(lua_State *L) {
  enum { THREADS_MAX = 8 };
  pthread_t threads[THREADS_MAX], outsider;
  struct commit_race race = {.rounds = (unsigned)room_u64(L, 2),
                             .fail_every = (unsigned)room_u64(L, 3)};
  unsigned count = (unsigned)room_u64(L, 1), started = 0;
  luaL_argcheck(L, count <= THREADS_MAX, 1, "too many threads");
  commit_init(&race.commit);
  mutex_init(&race.lock);
  bool has_outsider = lua_toboolean(L, 4) && start_outsider(&race, &outsider);
  while (started < count &&
         thread_start(&threads[started], "race", run_commits, &race) == BITCASK_OK)
    started++;
  for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
  if (has_outsider) end_outsider(&race, outsider);
  mutex_destroy(&race.lock);
  commit_destroy(&race.commit);
  lua_newtable(L);
  set_count(L, "waits", (lua_Integer)race.appended);
  set_count(L, "flushes", race.flushes);
  set_count(L, "overlaps", race.overlaps);
  set_count(L, "early", race.early);
  set_count(L, "failed_flushes", race.failed_flushes);
  set_count(L, "failed_waits", race.failed_waits);
  return 1;
}

static const luaL_Reg commit_functions[] = {{"race", commit_race_}, {NULL, NULL}};

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
  room_set_functions(L, "commit", commit_functions);
  room_set_functions(L, "hash", hash_functions);
  room_set_functions(L, "tombstones", tombstones_functions);
  room_set_functions(L, "throttle", throttle_functions);
}
