#include "bind/lua_changes.h"

#include <string.h>

#include "bind/lua_cask.h"
#include "bind/lua_result.h"

#define CHANGES_NAME "bitcask changes"

struct lua_changes {
  struct lua_child child; /* with no store: closed, or at their end */
  struct bitcask_changes *changes;
  bool is_closed;
};

static void close_engine(struct lua_child *child) {
  struct lua_changes *self = (struct lua_changes *)child;
  bitcask_changes_close(self->changes);
  self->changes = NULL;
  self->is_closed = true;
}

static struct lua_changes *check_self(lua_State *L) {
  return lua_handle_self(L, CHANGES_NAME);
}

static void finish(struct lua_changes *self) {
  lua_cask_close_child(&self->child);
  self->is_closed = false;
}

/* ---- Iterating ------------------------------------------------------------------------ */

static void push_change(lua_State *L, const struct bitcask_change *change) {
  lua_createtable(L, 0, 5);
  lua_result_set_integer(L, "version", change->version);
  lua_result_push_bytes(L, change->key);
  lua_setfield(L, -2, "key");
  lua_result_set_boolean(L, "deleted", change->deleted);
  lua_result_set_time(L, "expires", change->expires);
  if (change->deleted) return;
  lua_result_push_bytes(L, change->value);
  lua_setfield(L, -2, "value");
}

/* (changes) -> change; nil at the end */
static int changes_next(lua_State *L) {
  struct lua_changes *self = check_self(L);
  if (self->is_closed) return luaL_error(L, "attempt to use closed changes");
  lua_settop(L, 1);
  if (self->changes == NULL) return 0;

  struct lua_cask *cask = self->child.cask;
  struct bitcask_change change;
  lua_child_enter(L, &self->child);
  enum bitcask_status status = bitcask_changes_next(self->changes, &change);
  lua_child_leave(&self->child);
  if (status == BITCASK_ABSENT) {
    finish(self);
    return lua_cask_results(L, cask, 0);
  }
  if (status != BITCASK_OK) return lua_cask_raise(L, cask, status);
  push_change(L, &change);
  return lua_cask_results(L, cask, 1);
}

/* (store, version) -> next, changes, nil, changes: what a generic for takes. Upvalue 1 is the
 * function next. */
static int changes_open(lua_State *L) {
  struct lua_cask *cask = lua_cask_check(L, 1);
  uint64_t since = (uint64_t)luaL_checkinteger(L, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  struct lua_changes *self = lua_newuserdatauv(L, sizeof *self, 1);
  memset(self, 0, sizeof *self);
  self->child.close = close_engine;
  self->is_closed = true;
  luaL_setmetatable(L, CHANGES_NAME);
  lua_cask_keep(L, 1);

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_changes_open(cask->db, since, &self->changes);
  lua_cask_leave(cask);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  lua_cask_attach(cask, &self->child);
  self->is_closed = false;
  lua_pushnil(L);
  lua_pushvalue(L, -2);
  return lua_cask_results(L, cask, 4);
}

/* ---- Closing -------------------------------------------------------------------------- */

static int changes_close(lua_State *L) {
  struct lua_changes *self = check_self(L);
  lua_child_check_idle(L, &self->child, "changes");
  lua_cask_close_child(&self->child);
  self->is_closed = true;
  lua_pushboolean(L, true);
  return 1;
}

static int changes_gc(lua_State *L) {
  lua_cask_close_child(&check_self(L)->child);
  return 0;
}

static int changes_tostring(lua_State *L) {
  struct lua_changes *self = check_self(L);
  if (self->is_closed)
    lua_pushliteral(L, CHANGES_NAME " (closed)");
  else if (self->changes == NULL)
    lua_pushliteral(L, CHANGES_NAME " (at their end)");
  else
    lua_pushfstring(L, CHANGES_NAME " (%s)", bitcask_directory(self->child.cask->db));
  return 1;
}

/* (any value) -> true; false when they are closed changes, nil when it is something else */
static int changes_is_open(lua_State *L) {
  struct lua_changes *self = luaL_testudata(L, 1, CHANGES_NAME);
  if (self == NULL)
    lua_pushnil(L);
  else
    lua_pushboolean(L, !self->is_closed);
  return 1;
}

void lua_changes_register(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", changes_gc},
                                         {"__close", changes_close},
                                         {"__tostring", changes_tostring},
                                         {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"next", changes_next}, {"is_open", changes_is_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", changes_close}, {NULL, NULL}};
  lua_handle_new_type(L, CHANGES_NAME, metamethods);
  lua_handle_push_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_handle_push_functions(L, functions);
  lua_getfield(L, -1, "next");
  lua_pushcclosure(L, changes_open, 1);
  lua_setfield(L, -2, "open");
  lua_remove(L, -2);
}
