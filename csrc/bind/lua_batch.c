#include "bind/lua_batch.h"

#include <string.h>

#include "bind/lua_cask.h"
#include "bind/lua_options.h"
#include "bind/lua_result.h"

#define BATCH_NAME "bitcask batch"

enum user_value { STORE = 1, FAILURE_TEXT, USER_VALUES = FAILURE_TEXT };

struct lua_batch {
  struct lua_child child; /* with no store: closed */
  struct bitcask_batch *batch;
  enum bitcask_status failure; /* the first of a write that was not added */
};

static void close_engine(struct lua_child *child) {
  struct lua_batch *self = (struct lua_batch *)child;
  bitcask_batch_free(self->batch);
  self->batch = NULL;
}

static struct lua_batch *check_open(lua_State *L) {
  struct lua_batch *self = lua_handle_self(L, BATCH_NAME);
  if (self->batch == NULL) luaL_error(L, "attempt to use a closed batch");
  return self;
}

/* The same, and no commit of it is under way. */
static struct lua_batch *check_idle(lua_State *L) {
  struct lua_batch *self = check_open(L);
  lua_child_check_idle(L, &self->child, "a batch");
  return self;
}

/* (store) -> batch */
static int batch_open(lua_State *L) {
  struct lua_cask *cask = lua_cask_check(L, 1);
  struct lua_batch *self = lua_newuserdatauv(L, sizeof *self, USER_VALUES);
  memset(self, 0, sizeof *self);
  self->child.close = close_engine;
  luaL_setmetatable(L, BATCH_NAME);
  lua_cask_keep(L, 1);
  enum bitcask_status status = bitcask_batch_new(&self->batch);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  lua_cask_attach(cask, &self->child);
  return 1;
}

/* ---- Adding --------------------------------------------------------------------------- */

/* A write that is missing would make the batch another one: it is remembered, once. */
static int added(lua_State *L, struct lua_batch *self, enum bitcask_status status) {
  lua_settop(L, 1);
  if (status == BITCASK_OK || self->failure != BITCASK_OK) return 1;
  self->failure = status;
  lua_pushstring(L, bitcask_error_text());
  lua_setiuservalue(L, 1, FAILURE_TEXT);
  return 1;
}

/* (batch, key, value, options) -> batch */
static int batch_put(lua_State *L) {
  struct bitcask_write_options options;
  struct lua_batch *self = check_idle(L);
  if (lua_options_check_write(L, 4, LUA_OPTIONS_PUT, &options)) self = check_idle(L);
  bitcask_bytes key = lua_result_check_bytes(L, 2);
  bitcask_bytes value = lua_result_check_bytes(L, 3);
  return added(L, self, bitcask_batch_put(self->batch, key, value, &options));
}

/* (batch, key, options) -> batch */
static int batch_delete(lua_State *L) {
  struct bitcask_write_options options;
  struct lua_batch *self = check_idle(L);
  if (lua_options_check_write(L, 3, LUA_OPTIONS_DELETE, &options)) self = check_idle(L);
  bitcask_bytes key = lua_result_check_bytes(L, 2);
  return added(L, self, bitcask_batch_delete(self->batch, key, &options));
}

/* (batch, key, version or 0) -> batch */
static int batch_expect(lua_State *L) {
  struct lua_batch *self = check_idle(L);
  bitcask_bytes key = lua_result_check_bytes(L, 2);
  uint64_t version = (uint64_t)luaL_checkinteger(L, 3);
  return added(L, self, bitcask_batch_expect(self->batch, key, version));
}

static void clear(lua_State *L, struct lua_batch *self) {
  bitcask_batch_clear(self->batch);
  self->failure = BITCASK_OK;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, FAILURE_TEXT);
}

static int batch_clear(lua_State *L) {
  clear(L, check_idle(L));
  lua_settop(L, 1);
  return 1;
}

/* ---- Committing ----------------------------------------------------------------------- */

static int push_failure(lua_State *L, const struct lua_batch *self) {
  lua_pushnil(L);
  lua_getiuservalue(L, 1, FAILURE_TEXT);
  lua_pushstring(L, bitcask_status_name(self->failure));
  return lua_cask_results(L, self->child.cask, 3);
}

/* (batch) -> version */
static int batch_commit(lua_State *L) {
  struct lua_batch *self = check_idle(L);
  struct lua_cask *cask = self->child.cask;
  uint64_t version = 0;
  lua_settop(L, 1);
  if (self->failure != BITCASK_OK) return push_failure(L, self);
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_batch_commit(cask->db, self->batch, &version);
  lua_child_leave(&self->child);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  clear(L, self);
  lua_pushinteger(L, (lua_Integer)version);
  return lua_cask_results(L, cask, 1);
}

static int batch_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)bitcask_batch_count(check_open(L)->batch));
  return 1;
}

/* ---- Closing -------------------------------------------------------------------------- */

static int batch_close(lua_State *L) {
  struct lua_batch *self = lua_handle_self(L, BATCH_NAME);
  lua_child_check_idle(L, &self->child, "a batch");
  lua_cask_close_child(&self->child);
  lua_pushboolean(L, true);
  return 1;
}

static int batch_gc(lua_State *L) {
  struct lua_batch *self = lua_handle_self(L, BATCH_NAME);
  lua_cask_close_child(&self->child);
  return 0;
}

static int batch_tostring(lua_State *L) {
  struct lua_batch *self = lua_handle_self(L, BATCH_NAME);
  if (self->batch == NULL)
    lua_pushliteral(L, BATCH_NAME " (closed)");
  else
    lua_pushfstring(L, BATCH_NAME " (%s, writes: %I)", bitcask_directory(self->child.cask->db),
                    (LUAI_UACINT)bitcask_batch_count(self->batch));
  return 1;
}

/* (any value) -> true; false when it is a closed batch, nil when it is something else */
static int batch_is_open(lua_State *L) {
  struct lua_batch *self = luaL_testudata(L, 1, BATCH_NAME);
  if (self == NULL)
    lua_pushnil(L);
  else
    lua_pushboolean(L, self->batch != NULL);
  return 1;
}

void lua_batch_register(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", batch_gc},
                                         {"__close", batch_close},
                                         {"__tostring", batch_tostring},
                                         {"__len", batch_count},
                                         {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"open", batch_open}, {"is_open", batch_is_open}, {"expect", batch_expect}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"put", batch_put},     {"delete", batch_delete},
                                     {"clear", batch_clear}, {"commit", batch_commit},
                                     {"count", batch_count}, {"close", batch_close},
                                     {NULL, NULL}};
  lua_handle_new_type(L, BATCH_NAME, metamethods);
  lua_handle_push_functions(L, functions);
  lua_insert(L, -2);
  lua_handle_push_functions(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -3, "methods");
  lua_pop(L, 1);
}
