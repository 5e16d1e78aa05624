#include "bind/lua_iterator.h"

#include <string.h>

#include "bind/lua_cask.h"
#include "bind/lua_result.h"
#include "bind/lua_snapshot.h"

#define ITERATOR_NAME "bitcask iterator"

struct lua_iterator {
  struct lua_child child; /* with no store: closed, or at its end */
  struct bitcask_iterator *iterator;
  bool keys_only;
  bool is_closed;
};

static void close_engine(struct lua_child *child) {
  struct lua_iterator *self = (struct lua_iterator *)child;
  bitcask_iterator_close(self->iterator);
  self->iterator = NULL;
  self->is_closed = true;
}

static struct lua_iterator *check_self(lua_State *L) {
  return lua_handle_self(L, ITERATOR_NAME);
}

static void finish(struct lua_iterator *self) {
  lua_cask_close_child(&self->child);
  self->is_closed = false;
}

/* (iterator) -> key, value, version; or key alone; nil at the end */
static int iterator_next(lua_State *L) {
  struct lua_iterator *self = check_self(L);
  if (self->is_closed) return luaL_error(L, "attempt to use a closed iterator");
  lua_settop(L, 1);
  if (self->iterator == NULL) return 0;

  struct lua_cask *cask = self->child.cask;
  bitcask_bytes key, value;
  uint64_t version;
  lua_child_enter(L, &self->child);
  enum bitcask_status status =
      bitcask_iterator_next(self->iterator, &key, &value, &version);
  lua_child_leave(&self->child);
  if (status == BITCASK_ABSENT) {
    finish(self);
    return lua_cask_results(L, cask, 0);
  }
  if (status != BITCASK_OK) return lua_cask_raise(L, cask, status);
  lua_result_push_bytes(L, key);
  if (self->keys_only) return lua_cask_results(L, cask, 1);
  lua_result_push_bytes(L, value);
  lua_pushinteger(L, (lua_Integer)version);
  return lua_cask_results(L, cask, 3);
}

static struct lua_iterator *push_closed_iterator(lua_State *L, int store) {
  store = lua_absindex(L, store);
  struct lua_iterator *self = lua_newuserdatauv(L, sizeof *self, 1);
  memset(self, 0, sizeof *self);
  self->child.close = close_engine;
  self->is_closed = true;
  luaL_setmetatable(L, ITERATOR_NAME);
  lua_cask_keep(L, store);
  return self;
}

/* What is asked for at 2, 3 and 4: prefix or nil, keys only, skip damaged. */
static struct bitcask_iterator_options check_options(lua_State *L) {
  struct bitcask_iterator_options options = {0};
  if (!lua_isnoneornil(L, 2)) options.prefix = lua_result_check_bytes(L, 2);
  options.keys_only = lua_toboolean(L, 3);
  options.skip_damaged = lua_toboolean(L, 4);
  return options;
}

/* The iterator on top of the stack, with `next` below it, as a generic for takes it. */
static int begin(lua_State *L, struct lua_cask *cask, struct lua_iterator *self,
                 enum bitcask_status status) {
  if (status != BITCASK_OK) return lua_cask_raise(L, cask, status);
  lua_cask_attach(cask, &self->child);
  self->is_closed = false;
  lua_pushnil(L);
  lua_pushvalue(L, -2);
  return lua_cask_results(L, cask, 4);
}

/* (store, prefix or nil, keys only, skip damaged) -> next, iterator, nil, iterator: what
 * a generic for takes. Upvalue 1 is the function next. */
static int iterator_open(lua_State *L) {
  struct lua_cask *cask = lua_cask_check(L, 1);
  struct bitcask_iterator_options options = check_options(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  struct lua_iterator *self = push_closed_iterator(L, 1);
  self->keys_only = options.keys_only;

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_iterator_open(cask->db, &options, &self->iterator);
  lua_cask_leave(cask);
  return begin(L, cask, self, status);
}

/* The same from a snapshot, which may be closed before the iterator. */
static int iterator_open_snapshot(lua_State *L) {
  struct lua_snapshot *snapshot = lua_snapshot_check(L, 1);
  struct bitcask_iterator_options options = check_options(L);
  struct lua_cask *cask = snapshot->child.cask;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_getiuservalue(L, 1, 1);
  struct lua_iterator *self = push_closed_iterator(L, -1);
  lua_remove(L, -2);
  self->keys_only = options.keys_only;

  lua_child_enter(L, &snapshot->child);
  enum bitcask_status status =
      bitcask_snapshot_iterator_open(snapshot->snapshot, &options, &self->iterator);
  lua_child_leave(&snapshot->child);
  return begin(L, cask, self, status);
}

static int iterator_close(lua_State *L) {
  struct lua_iterator *self = check_self(L);
  lua_child_check_idle(L, &self->child, "an iterator");
  lua_cask_close_child(&self->child);
  self->is_closed = true;
  lua_pushboolean(L, true);
  return 1;
}

static int iterator_gc(lua_State *L) {
  lua_cask_close_child(&check_self(L)->child);
  return 0;
}

static int iterator_tostring(lua_State *L) {
  struct lua_iterator *self = check_self(L);
  if (self->is_closed)
    lua_pushliteral(L, ITERATOR_NAME " (closed)");
  else if (self->iterator == NULL)
    lua_pushliteral(L, ITERATOR_NAME " (at its end)");
  else
    lua_pushfstring(L, ITERATOR_NAME " (%s)", bitcask_directory(self->child.cask->db));
  return 1;
}

/* (any value) -> true; false when it is a closed iterator, nil when it is something else */
static int iterator_is_open(lua_State *L) {
  struct lua_iterator *self = luaL_testudata(L, 1, ITERATOR_NAME);
  if (self == NULL)
    lua_pushnil(L);
  else
    lua_pushboolean(L, !self->is_closed);
  return 1;
}

void lua_iterator_register(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", iterator_gc},
                                         {"__close", iterator_close},
                                         {"__tostring", iterator_tostring},
                                         {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"next", iterator_next}, {"close", iterator_close}, {"is_open", iterator_is_open},
      {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", iterator_close}, {NULL, NULL}};
  lua_handle_new_type(L, ITERATOR_NAME, metamethods);
  lua_handle_push_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_handle_push_functions(L, functions);
  lua_getfield(L, -1, "next");
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, iterator_open, 1);
  lua_setfield(L, -3, "open");
  lua_pushcclosure(L, iterator_open_snapshot, 1);
  lua_setfield(L, -2, "open_snapshot");
  lua_remove(L, -2);
}
