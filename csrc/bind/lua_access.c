#include "bind/lua_access.h"

#include "bind/lua_cask.h"
#include "bind/lua_guard.h"
#include "bind/lua_options.h"
#include "bind/lua_result.h"

/* ---- One key -------------------------------------------------------------------------- */

static int access_put(lua_State *L) {
  struct bitcask_write_options options;
  struct lua_cask *cask = lua_cask_self(L);
  if (lua_options_check_write(L, 4, LUA_OPTIONS_PUT, &options)) cask = lua_cask_self(L);
  bitcask_bytes key = lua_result_check_bytes(L, 2);
  bitcask_bytes value = lua_result_check_bytes(L, 3);
  uint64_t version;

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_put_with(cask->db, key, value, &options, &version);
  lua_cask_leave(cask);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  lua_pushinteger(L, (lua_Integer)version);
  return lua_cask_results(L, cask, 1);
}

/* The key before self, though it is judged behind it: a key that has not been used for a while has
 * to come from memory, and does while self is looked at. */
static int access_get(lua_State *L) {
  bitcask_bytes key = lua_result_bytes(L, 2);
  struct lua_cask *cask = lua_cask_self(L);
  if (key.data == NULL) luaL_typeerror(L, 2, "string");
  uint64_t version;

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_get(cask->db, key, &cask->scratch, &version);
  lua_cask_leave(cask);
  if (status == BITCASK_OK)
    return lua_cask_results(L, cask, lua_cask_push_scratch(L, cask, version));
  if (status != BITCASK_ABSENT) return lua_cask_failure(L, cask, status);
  lua_pushnil(L);
  return lua_cask_results(L, cask, 1);
}

static int access_has(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  bitcask_bytes key = lua_result_check_bytes(L, 2);

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_has(cask->db, key);
  lua_cask_leave(cask);
  if (status != BITCASK_OK && status != BITCASK_ABSENT)
    return lua_cask_failure(L, cask, status);
  lua_pushboolean(L, status == BITCASK_OK);
  return lua_cask_results(L, cask, 1);
}

static int access_delete(lua_State *L) {
  struct bitcask_write_options options;
  struct lua_cask *cask = lua_cask_self(L);
  if (lua_options_check_write(L, 3, LUA_OPTIONS_DELETE, &options)) cask = lua_cask_self(L);
  bitcask_bytes key = lua_result_check_bytes(L, 2);
  uint64_t version;

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_delete_with(cask->db, key, &options, &version);
  lua_cask_leave(cask);
  if (status == BITCASK_OK)
    lua_pushinteger(L, (lua_Integer)version);
  else if (status == BITCASK_ABSENT)
    lua_pushboolean(L, false);
  else
    return lua_cask_failure(L, cask, status);
  return lua_cask_results(L, cask, 1);
}

static int access_stat(lua_State *L) {
  struct lua_cask *cask = lua_cask_self(L);
  bitcask_bytes key = lua_result_check_bytes(L, 2);
  struct bitcask_stat stat;

  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_stat_key(cask->db, key, &stat);
  lua_cask_leave(cask);
  if (status == BITCASK_OK)
    lua_result_push_stat(L, &stat);
  else if (status == BITCASK_ABSENT)
    lua_pushnil(L);
  else
    return lua_cask_failure(L, cask, status);
  return lua_cask_results(L, cask, 1);
}

/* ---- Many keys ------------------------------------------------------------------------ */

struct many {
  struct bitcask_buffer arena;
  struct bitcask_found *found; /* these two stand behind this struct */
  bitcask_bytes *keys;
  size_t count;
};

static void release_many(void *bytes) {
  bitcask_buffer_release(&((struct many *)bytes)->arena);
}

static struct many *push_many(lua_State *L, size_t count) {
  size_t size_of_one = sizeof(struct bitcask_found) + sizeof(bitcask_bytes);
  struct many *many = lua_guard_push(L, sizeof *many + count * size_of_one, release_many);
  many->found = (struct bitcask_found *)(many + 1);
  many->keys = (bitcask_bytes *)(many->found + count);
  many->count = count;
  return many;
}

/* Take the keys from the list at 2. The table at `held` keeps them alive even if a hash
 * function or a metamethod changes the list meanwhile. */
static void take_keys(lua_State *L, struct many *many, int held) {
  for (size_t i = 0; i < many->count; i++) {
    lua_Integer at = (lua_Integer)i + 1;
    if (lua_geti(L, 2, at) != LUA_TSTRING)
      luaL_error(L, "bad key #%I to 'get_many' (string expected, got %s)", (LUAI_UACINT)at,
                 luaL_typename(L, -1));
    many->keys[i].data = lua_tolstring(L, -1, &many->keys[i].size);
    lua_rawseti(L, held, at);
  }
}

/* The first failure among the keys; being absent is none. */
static enum bitcask_status failure_among(const struct many *many) {
  for (size_t i = 0; i < many->count; i++) {
    enum bitcask_status status = many->found[i].status;
    if (status != BITCASK_OK && status != BITCASK_ABSENT) return status;
  }
  return BITCASK_OK;
}

/* Push the table from key to value, of the keys in the table at `held`. */
static void push_found(lua_State *L, const struct many *many, int held) {
  lua_createtable(L, 0, (int)many->count);
  for (size_t i = 0; i < many->count; i++) {
    const struct bitcask_found *found = &many->found[i];
    if (found->status != BITCASK_OK) continue;
    lua_rawgeti(L, held, (lua_Integer)i + 1);
    lua_pushlstring(L, (const char *)many->arena.data + found->offset, found->size);
    lua_rawset(L, -3);
  }
}

static int access_get_many(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer count = luaL_len(L, 2);
  luaL_argcheck(L, count >= 0 && count <= INT32_MAX, 2, "a list of keys expected");
  lua_settop(L, 2);
  lua_createtable(L, (int)count, 0);
  struct many *many = push_many(L, (size_t)count);
  take_keys(L, many, 3);

  struct lua_cask *cask = lua_cask_self(L);
  lua_cask_enter(L, cask);
  enum bitcask_status status =
      bitcask_get_many(cask->db, many->keys, many->count, &many->arena, many->found);
  lua_cask_leave(cask);
  if (status == BITCASK_OK) status = failure_among(many);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  push_found(L, many, 3);
  lua_guard_release(many);
  return lua_cask_results(L, cask, 1);
}

const luaL_Reg lua_access_functions[] = {
    {"put", access_put},       {"get", access_get},   {"has", access_has},
    {"delete", access_delete}, {"stat", access_stat}, {"get_many", access_get_many},
    {NULL, NULL}};
