#include "bind/lua_snapshot.h"

#include <string.h>

#include "bind/lua_result.h"

static void close_engine(struct lua_child *child) {
  struct lua_snapshot *self = (struct lua_snapshot *)child;
  bitcask_snapshot_close(self->snapshot);
  self->snapshot = NULL;
}

static struct lua_snapshot *check_open(lua_State *L, struct lua_snapshot *self) {
  if (self->snapshot == NULL) luaL_error(L, "attempt to use a closed snapshot");
  return self;
}

struct lua_snapshot *lua_snapshot_check(lua_State *L, int arg) {
  return check_open(L, luaL_checkudata(L, arg, LUA_SNAPSHOT_NAME));
}

static struct lua_snapshot *check_self(lua_State *L) {
  return check_open(L, lua_handle_self(L, LUA_SNAPSHOT_NAME));
}

/* ---- Opening -------------------------------------------------------------------------- */

/* (store) -> snapshot */
static int snapshot_open(lua_State *L) {
  struct lua_cask *cask = lua_cask_check(L, 1);
  struct lua_snapshot *self = lua_newuserdatauv(L, sizeof *self, 1);
  memset(self, 0, sizeof *self);
  self->child.close = close_engine;
  luaL_setmetatable(L, LUA_SNAPSHOT_NAME);
  lua_cask_keep(L, 1);

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_snapshot_open(cask->db, &self->snapshot);
  lua_cask_leave(cask);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  lua_cask_attach(cask, &self->child);
  self->version = bitcask_snapshot_version(self->snapshot);
  return lua_cask_results(L, cask, 1);
}

/* ---- Reading -------------------------------------------------------------------------- */

static int snapshot_get(lua_State *L) {
  struct lua_snapshot *self = check_self(L);
  struct lua_cask *cask = self->child.cask;
  bitcask_bytes key = lua_result_check_bytes(L, 2);
  uint64_t version;

  lua_child_enter(L, &self->child);
  enum bitcask_status status =
      bitcask_snapshot_get(self->snapshot, key, &cask->scratch, &version);
  lua_child_leave(&self->child);
  if (status == BITCASK_OK)
    return lua_cask_results(L, cask, lua_cask_push_scratch(L, cask, version));
  if (status != BITCASK_ABSENT) return lua_cask_failure(L, cask, status);
  lua_pushnil(L);
  return lua_cask_results(L, cask, 1);
}

static enum bitcask_status read_stat(lua_State *L, struct lua_snapshot *self,
                                     struct bitcask_stat *out) {
  bitcask_bytes key = lua_result_check_bytes(L, 2);
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_snapshot_stat_key(self->snapshot, key, out);
  lua_child_leave(&self->child);
  return status;
}

static int snapshot_has(lua_State *L) {
  struct lua_snapshot *self = check_self(L);
  struct bitcask_stat ignored;
  enum bitcask_status status = read_stat(L, self, &ignored);
  if (status != BITCASK_OK && status != BITCASK_ABSENT)
    return lua_cask_failure(L, self->child.cask, status);
  lua_pushboolean(L, status == BITCASK_OK);
  return lua_cask_results(L, self->child.cask, 1);
}

static int snapshot_stat(lua_State *L) {
  struct lua_snapshot *self = check_self(L);
  struct bitcask_stat stat;
  enum bitcask_status status = read_stat(L, self, &stat);
  if (status == BITCASK_OK)
    lua_result_push_stat(L, &stat);
  else if (status == BITCASK_ABSENT)
    lua_pushnil(L);
  else
    return lua_cask_failure(L, self->child.cask, status);
  return lua_cask_results(L, self->child.cask, 1);
}

static int snapshot_count(lua_State *L) {
  struct lua_snapshot *self = check_self(L);
  uint64_t count;
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_snapshot_count(self->snapshot, &count);
  lua_child_leave(&self->child);
  if (status != BITCASK_OK) return lua_cask_failure(L, self->child.cask, status);
  lua_pushinteger(L, (lua_Integer)count);
  return lua_cask_results(L, self->child.cask, 1);
}

/* (snapshot, name) -> its version, or the method. Upvalue 2 is the table of methods. */
static int snapshot_index(lua_State *L) {
  struct lua_snapshot *self = lua_handle_self(L, LUA_SNAPSHOT_NAME);
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "version") == 0)
    lua_pushinteger(L, (lua_Integer)self->version);
  else
    lua_rawget(L, lua_upvalueindex(2));
  return 1;
}

/* ---- Closing -------------------------------------------------------------------------- */

static int snapshot_close(lua_State *L) {
  struct lua_snapshot *self = lua_handle_self(L, LUA_SNAPSHOT_NAME);
  lua_child_check_idle(L, &self->child, "a snapshot");
  lua_cask_close_child(&self->child);
  lua_pushboolean(L, true);
  return 1;
}

static int snapshot_gc(lua_State *L) {
  struct lua_snapshot *self = lua_handle_self(L, LUA_SNAPSHOT_NAME);
  lua_cask_close_child(&self->child);
  return 0;
}

static int snapshot_tostring(lua_State *L) {
  struct lua_snapshot *self = lua_handle_self(L, LUA_SNAPSHOT_NAME);
  if (self->snapshot == NULL)
    lua_pushliteral(L, LUA_SNAPSHOT_NAME " (closed)");
  else
    lua_pushfstring(L, LUA_SNAPSHOT_NAME " (%s at version %I)",
                    bitcask_directory(self->child.cask->db), (LUAI_UACINT)self->version);
  return 1;
}

/* (any value) -> true; false when it is a closed snapshot, nil when it is something else */
static int snapshot_is_open(lua_State *L) {
  struct lua_snapshot *self = luaL_testudata(L, 1, LUA_SNAPSHOT_NAME);
  if (self == NULL)
    lua_pushnil(L);
  else
    lua_pushboolean(L, self->snapshot != NULL);
  return 1;
}

void lua_snapshot_register(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", snapshot_gc},
                                         {"__close", snapshot_close},
                                         {"__tostring", snapshot_tostring},
                                         {"__len", snapshot_count},
                                         {NULL, NULL}};
  static const luaL_Reg methods[] = {{"get", snapshot_get},     {"has", snapshot_has},
                                     {"stat", snapshot_stat},   {"count", snapshot_count},
                                     {"close", snapshot_close}, {NULL, NULL}};
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, snapshot_open);
  lua_setfield(L, -2, "open");
  lua_pushcfunction(L, snapshot_is_open);
  lua_setfield(L, -2, "is_open");
  lua_handle_new_type(L, LUA_SNAPSHOT_NAME, metamethods);
  lua_handle_push_functions(L, methods);
  lua_handle_push_type(L, -2);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, snapshot_index, 2);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -3, "methods");
  lua_pop(L, 1);
}
