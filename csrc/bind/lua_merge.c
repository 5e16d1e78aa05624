#include "bind/lua_merge.h"

#include <string.h>

#include "bind/lua_cask.h"
#include "bind/lua_guard.h"
#include "bind/lua_result.h"

#define MERGE_NAME "bitcask merge"

struct lua_merge {
  struct lua_child child; /* with no store: closed */
  struct bitcask_merge *merge;
};

static void close_engine(struct lua_child *child) {
  struct lua_merge *self = (struct lua_merge *)child;
  bitcask_merge_close(self->merge);
  self->merge = NULL;
}

static struct lua_merge *check_open(lua_State *L) {
  struct lua_merge *self = lua_handle_self(L, MERGE_NAME);
  if (self->merge == NULL) luaL_error(L, "attempt to use a closed merge");
  return self;
}

/* ---- Opening -------------------------------------------------------------------------- */

static struct lua_merge *push_closed_merge(lua_State *L, int store) {
  struct lua_merge *self = lua_newuserdatauv(L, sizeof *self, 1);
  memset(self, 0, sizeof *self);
  self->child.close = close_engine;
  luaL_setmetatable(L, MERGE_NAME);
  lua_cask_keep(L, store);
  return self;
}

static void release_nothing(void *bytes) { (void)bytes; }

/* The ids in the list at `arg`, owned by a guard that is pushed. */
static const uint64_t *push_ids(lua_State *L, int arg, size_t *count) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *count = lua_rawlen(L, arg);
  uint64_t *ids = lua_guard_push(L, (*count + 1) * sizeof *ids, release_nothing);
  for (size_t i = 0; i < *count; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    ids[i] = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
  }
  return ids;
}

/* (store, list of ids or nil, bytes per second or 0, reason or nil, whether it asks) -> merge */
static int merge_open(lua_State *L) {
  struct lua_cask *cask = lua_cask_check(L, 1);
  struct bitcask_merge_options options = {.rate = (uint64_t)luaL_checkinteger(L, 3),
                                          .reason = luaL_optstring(L, 4, NULL),
                                          .asks = lua_toboolean(L, 5)};
  if (!lua_isnoneornil(L, 2)) options.segments = push_ids(L, 2, &options.segment_count);
  struct lua_merge *self = push_closed_merge(L, 1);

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_merge_open(cask->db, &options, &self->merge);
  lua_cask_leave(cask);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  lua_cask_attach(cask, &self->child);
  return lua_cask_results(L, cask, 1);
}

/* ---- Working --------------------------------------------------------------------------- */

/* (merge, budget in bytes) -> whether it is committed */
static int merge_step(lua_State *L) {
  struct lua_merge *self = check_open(L);
  uint64_t budget = (uint64_t)luaL_checkinteger(L, 2);
  bool finished = false;
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_merge_step(self->merge, budget, &finished);
  lua_child_leave(&self->child);
  if (status != BITCASK_OK) return lua_cask_failure(L, self->child.cask, status);
  lua_pushboolean(L, finished);
  return lua_cask_results(L, self->child.cask, 1);
}

/* (merge) -> key, value, version, seconds since 1970 or nil, segment; nothing: it has not asked */
static int merge_question(lua_State *L) {
  struct lua_merge *self = check_open(L);
  struct bitcask_merge_question question;
  if (!bitcask_merge_question(self->merge, &question)) return 0;
  lua_result_push_bytes(L, question.key);
  lua_result_push_bytes(L, question.value);
  lua_pushinteger(L, (lua_Integer)question.version);
  if (question.expires > 0)
    lua_pushnumber(L, (lua_Number)question.expires / 1000);
  else
    lua_pushnil(L);
  lua_pushinteger(L, (lua_Integer)question.segment);
  return 5;
}

/* true, or the failure. */
static int done(lua_State *L, struct lua_merge *self, enum bitcask_status status) {
  if (status != BITCASK_OK) return lua_cask_failure(L, self->child.cask, status);
  lua_pushboolean(L, true);
  return lua_cask_results(L, self->child.cask, 1);
}

/* (merge, true, false or the new value) */
static int merge_answer(lua_State *L) {
  struct lua_merge *self = check_open(L);
  bitcask_bytes value = {NULL, 0};
  enum bitcask_verdict verdict = BITCASK_REWRITE;
  if (lua_isboolean(L, 2))
    verdict = lua_toboolean(L, 2) ? BITCASK_KEEP : BITCASK_DROP;
  else
    value = lua_result_check_bytes(L, 2);
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_merge_answer(self->merge, verdict, value);
  lua_child_leave(&self->child);
  return done(L, self, status);
}

static int merge_start(lua_State *L) {
  struct lua_merge *self = check_open(L);
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_merge_start(self->merge);
  lua_child_leave(&self->child);
  return done(L, self, status);
}

static int merge_wait(lua_State *L) {
  struct lua_merge *self = check_open(L);
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_merge_wait(self->merge);
  lua_child_leave(&self->child);
  return done(L, self, status);
}

/* (merge): wait until the rate lets the next step work */
static int merge_rest(lua_State *L) {
  struct lua_merge *self = check_open(L);
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_merge_rest(self->merge);
  lua_child_leave(&self->child);
  return done(L, self, status);
}

static int merge_cancel(lua_State *L) {
  bitcask_merge_cancel(check_open(L)->merge);
  return 0;
}

/* (merge, whether it is to rest) */
static int merge_pause(lua_State *L) {
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  bitcask_merge_pause(check_open(L)->merge, lua_toboolean(L, 2));
  return 0;
}

/* (merge) -> bytes done, bytes in all, whether it has finished, seconds that it has to rest,
 * whether it is paused */
static int merge_progress(lua_State *L) {
  struct lua_merge *self = check_open(L);
  struct bitcask_merge_progress progress;
  bitcask_merge_progress(self->merge, &progress);
  lua_pushinteger(L, (lua_Integer)progress.done);
  lua_pushinteger(L, (lua_Integer)progress.total);
  lua_pushboolean(L, progress.finished);
  lua_pushnumber(L, progress.delay);
  lua_pushboolean(L, progress.paused);
  return lua_cask_results(L, self->child.cask, 5);
}

static int merge_report(lua_State *L) {
  struct lua_merge *self = check_open(L);
  struct bitcask_merge_report report;
  bitcask_merge_report(self->merge, &report);
  lua_result_push_report(L, &report);
  return lua_cask_results(L, self->child.cask, 1);
}

/* ---- Closing --------------------------------------------------------------------------- */

static int merge_close(lua_State *L) {
  struct lua_merge *self = lua_handle_self(L, MERGE_NAME);
  lua_child_check_idle(L, &self->child, "a merge");
  lua_cask_close_child(&self->child);
  return 0;
}

static int merge_gc(lua_State *L) {
  struct lua_merge *self = lua_handle_self(L, MERGE_NAME);
  lua_cask_close_child(&self->child);
  return 0;
}

static int merge_tostring(lua_State *L) {
  struct lua_merge *self = lua_handle_self(L, MERGE_NAME);
  lua_pushfstring(L, MERGE_NAME " (%s)", self->merge != NULL ? "open" : "closed");
  return 1;
}

/* (merge) -> whether it is open */
static int merge_is_open(lua_State *L) {
  struct lua_merge *self = lua_handle_self(L, MERGE_NAME);
  lua_pushboolean(L, self->merge != NULL);
  return 1;
}

void lua_merge_register(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", merge_gc},
                                         {"__close", merge_close},
                                         {"__tostring", merge_tostring},
                                         {NULL, NULL}};
  static const luaL_Reg methods[] = {{"step", merge_step},
                                     {"start", merge_start},
                                     {"wait", merge_wait},
                                     {"question", merge_question},
                                     {"answer", merge_answer},
                                     {"rest", merge_rest},
                                     {"cancel", merge_cancel},
                                     {"pause", merge_pause},
                                     {"progress", merge_progress},
                                     {"report", merge_report},
                                     {"close", merge_close},
                                     {"is_open", merge_is_open},
                                     {NULL, NULL}};
  lua_handle_new_type(L, MERGE_NAME, metamethods);
  lua_handle_push_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, merge_open);
  lua_setfield(L, -2, "open");
}
