/*
 * A Lua module for lua_bench.lua:
 *
 *   native.now()                 seconds of a monotonic clock
 *   native.own_time()            from now on, less the time that the thread waits for a processor
 *   native.call(key, value)      an empty C function: what any binding costs
 *   native.warm(directory, key, value, count)
 *       nanoseconds of a put and of a get of one key through bitcask.h, without Lua
 *   native.lmdb(directory, mapsize)  an environment of LMDB, without syncing:
 *       env:put(key, value)   a transaction of its own
 *       env:get(key)          in a read transaction that is held until the next put
 *       env:close()
 *
 * The binding of LMDB is as thin as one can be that checks its arguments: what a user of a
 * good one would see.
 */
#include <fcntl.h>
#include <lauxlib.h>
#include <lmdb.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bitcask.h"

static int own_time = -1; /* /proc/thread-self/schedstat; -1: the clock on the wall */

/* Nanoseconds that this thread has waited for a processor: the second number. */
static double waited_ns(void) {
  unsigned long long running = 0, waiting = 0;
  char text[96] = "";
  if (own_time < 0 || pread(own_time, text, sizeof text - 1, 0) <= 0) return 0;
  return sscanf(text, "%llu %llu", &running, &waiting) == 2 ? (double)waiting : 0;
}

static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec - waited_ns();
}

static int native_own_time(lua_State *L) {
  own_time = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (own_time < 0) return luaL_error(L, "no /proc/thread-self/schedstat here");
  return 0;
}

static int native_now(lua_State *L) {
  lua_pushnumber(L, now_ns() / 1e9);
  return 1;
}

static int native_call(lua_State *L) {
  size_t size;
  luaL_checklstring(L, 1, &size);
  luaL_checklstring(L, 2, &size);
  return 0;
}

/* ---- bitcask.h ------------------------------------------------------------------- */

static double time_puts(struct bitcask *db, bitcask_bytes key, bitcask_bytes value,
                        lua_Integer count, enum bitcask_status *status) {
  double begin = now_ns();
  uint64_t version;
  for (lua_Integer i = 0; i < count && *status == BITCASK_OK; i++)
    *status = bitcask_put(db, key, value, &version);
  return (now_ns() - begin) / (double)count;
}

static double time_gets(struct bitcask *db, bitcask_bytes key, bitcask_bytes value,
                        lua_Integer count, enum bitcask_status *status) {
  struct bitcask_buffer buffer = {0};
  uint64_t version;
  double begin = now_ns();
  for (lua_Integer i = 0; i < count && *status == BITCASK_OK; i++)
    *status = bitcask_get(db, key, &buffer, &version);
  double taken = (now_ns() - begin) / (double)count;
  if (*status == BITCASK_OK &&
      (buffer.size != value.size || memcmp(buffer.data, value.data, value.size) != 0))
    *status = BITCASK_CORRUPT;
  bitcask_buffer_release(&buffer);
  return taken;
}

static int native_warm(lua_State *L) {
  const char *directory = luaL_checkstring(L, 1);
  bitcask_bytes key, value;
  key.data = luaL_checklstring(L, 2, &key.size);
  value.data = luaL_checklstring(L, 3, &value.size);
  lua_Integer count = luaL_checkinteger(L, 4);
  struct bitcask_options options;
  struct bitcask *db;
  bitcask_options_default(&options);
  enum bitcask_status status = bitcask_open(directory, &options, &db);
  if (status != BITCASK_OK) return luaL_error(L, "%s: %s", directory, bitcask_error_text());
  double put = time_puts(db, key, value, count, &status);
  double get = time_gets(db, key, value, count, &status);
  bitcask_close(db);
  if (status != BITCASK_OK) return luaL_error(L, "%s: %s", directory, bitcask_error_text());
  lua_pushnumber(L, put);
  lua_pushnumber(L, get);
  return 2;
}

/* ---- LMDB ------------------------------------------------------------------------ */

#define LMDB_TYPE "bench.lmdb"

struct environment {
  MDB_env *env; /* NULL: closed */
  MDB_dbi dbi;
  MDB_txn *reading; /* NULL: none was begun yet */
  int is_held;
};

static void lmdb_check(lua_State *L, int code) {
  if (code != MDB_SUCCESS) luaL_error(L, "lmdb: %s", mdb_strerror(code));
}

static struct environment *check_open(lua_State *L) {
  struct environment *self = luaL_checkudata(L, 1, LMDB_TYPE);
  if (self->env == NULL) luaL_error(L, "lmdb: closed");
  return self;
}

static int lmdb_open(lua_State *L) {
  const char *directory = luaL_checkstring(L, 1);
  size_t map_size = (size_t)luaL_checkinteger(L, 2);
  struct environment *self = lua_newuserdatauv(L, sizeof *self, 0);
  memset(self, 0, sizeof *self);
  luaL_setmetatable(L, LMDB_TYPE);
  MDB_txn *txn;
  lmdb_check(L, mdb_env_create(&self->env));
  lmdb_check(L, mdb_env_set_mapsize(self->env, map_size));
  lmdb_check(L, mdb_env_open(self->env, directory, MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD, 0644));
  lmdb_check(L, mdb_txn_begin(self->env, NULL, 0, &txn));
  lmdb_check(L, mdb_dbi_open(txn, NULL, MDB_CREATE, &self->dbi));
  lmdb_check(L, mdb_txn_commit(txn));
  return 1;
}

static int lmdb_close(lua_State *L) {
  struct environment *self = luaL_checkudata(L, 1, LMDB_TYPE);
  if (self->reading != NULL) mdb_txn_abort(self->reading);
  if (self->env != NULL) mdb_env_close(self->env);
  self->reading = NULL;
  self->env = NULL;
  return 0;
}

static void let_go(struct environment *self) {
  if (self->is_held) mdb_txn_reset(self->reading);
  self->is_held = 0;
}

static void hold(lua_State *L, struct environment *self) {
  if (self->is_held) return;
  lmdb_check(L, self->reading == NULL ? mdb_txn_begin(self->env, NULL, MDB_RDONLY, &self->reading)
                                      : mdb_txn_renew(self->reading));
  self->is_held = 1;
}

static int lmdb_put(lua_State *L) {
  struct environment *self = check_open(L);
  MDB_val key, value;
  MDB_txn *txn;
  key.mv_data = (void *)luaL_checklstring(L, 2, &key.mv_size);
  value.mv_data = (void *)luaL_checklstring(L, 3, &value.mv_size);
  let_go(self);
  lmdb_check(L, mdb_txn_begin(self->env, NULL, 0, &txn));
  int code = mdb_put(txn, self->dbi, &key, &value, 0);
  if (code != MDB_SUCCESS) mdb_txn_abort(txn);
  lmdb_check(L, code);
  lmdb_check(L, mdb_txn_commit(txn));
  lua_pushboolean(L, 1);
  return 1;
}

static int lmdb_get(lua_State *L) {
  struct environment *self = check_open(L);
  MDB_val key, value;
  key.mv_data = (void *)luaL_checklstring(L, 2, &key.mv_size);
  hold(L, self);
  int code = mdb_get(self->reading, self->dbi, &key, &value);
  if (code == MDB_NOTFOUND) return 0;
  lmdb_check(L, code);
  lua_pushlstring(L, value.mv_data, value.mv_size);
  return 1;
}

__attribute__((visibility("default"))) int luaopen_bench_native(lua_State *L) {
  static const luaL_Reg methods[] = {{"put", lmdb_put},     {"get", lmdb_get},
                                     {"close", lmdb_close}, {"__gc", lmdb_close},
                                     {"__close", lmdb_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"now", native_now},   {"own_time", native_own_time},
                                       {"call", native_call}, {"warm", native_warm},
                                       {"lmdb", lmdb_open},   {NULL, NULL}};
  luaL_newmetatable(L, LMDB_TYPE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
