#include "bind/internals/room.h"

#include "bind/lua_result.h"

/* ---- Fields of tables ------------------------------------------------------------ */

uint64_t room_u64(lua_State *L, int arg) { return (uint64_t)luaL_checkinteger(L, arg); }

uint64_t room_field(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  uint64_t value = (uint64_t)luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return value;
}

bitcask_bytes room_bytes(lua_State *L, int table, const char *name) {
  bitcask_bytes bytes = {NULL, 0};
  lua_getfield(L, table, name);
  if (!lua_isnil(L, -1)) bytes.data = luaL_checklstring(L, -1, &bytes.size);
  lua_pop(L, 1);
  return bytes;
}

void room_set_bytes(lua_State *L, const char *name, bitcask_bytes bytes) {
  lua_result_push_bytes(L, bytes);
  lua_setfield(L, -2, name);
}

store_identity room_store(lua_State *L, int arg) {
  store_identity store;
  size_t size;
  const char *bytes = luaL_checklstring(L, arg, &size);
  luaL_argcheck(L, size == sizeof store.bytes, arg, "an identity has 16 bytes");
  memcpy(store.bytes, bytes, sizeof store.bytes);
  return store;
}

#define FACTS_LIST(X)                                                                      \
  X(id) X(length) X(records) X(tombstones) X(tombstone_bytes) X(min_version) X(max_version) \
  X(min_put_version) X(digest) X(created_ms) X(sealed_ms)

void room_push_facts(lua_State *L, const struct segment_facts *facts) {
  lua_newtable(L);
#define SET_FACT(name) lua_result_set_integer(L, #name, facts->name);
  FACTS_LIST(SET_FACT)
#undef SET_FACT
  lua_result_set_integer(L, "flags", facts->flags);
}

struct segment_facts room_facts(lua_State *L, int arg) {
  struct segment_facts facts = {0};
  luaL_checktype(L, arg, LUA_TTABLE);
#define GET_FACT(name) facts.name = room_field(L, arg, #name);
  FACTS_LIST(GET_FACT)
#undef GET_FACT
  facts.flags = (uint8_t)room_field(L, arg, "flags");
  return facts;
}

int room_status(lua_State *L, enum bitcask_status status) {
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushboolean(L, true);
  return 1;
}

/* ---- Objects --------------------------------------------------------------------- */

void **room_new_object(lua_State *L, const char *type, int parent) {
  if (parent != 0) parent = lua_absindex(L, parent);
  void **object = lua_newuserdatauv(L, sizeof *object, 1);
  *object = NULL;
  luaL_setmetatable(L, type);
  if (parent != 0) {
    lua_pushvalue(L, parent);
    lua_setiuservalue(L, -2, 1);
  }
  return object;
}

void *room_object(lua_State *L, int arg, const char *type) {
  void **object = luaL_checkudata(L, arg, type);
  luaL_argcheck(L, *object != NULL, arg, "is closed");
  return *object;
}

void room_new_type(lua_State *L, const char *type, const luaL_Reg *methods,
                        lua_CFunction close) {
  luaL_newmetatable(L, type);
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "__close");
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_pushcfunction(L, close);
  lua_setfield(L, -2, "close");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void *room_take_object(lua_State *L, const char *type) {
  void **object = luaL_checkudata(L, 1, type);
  void *pointer = *object;
  *object = NULL;
  return pointer;
}

void room_set_functions(lua_State *L, const char *name, const luaL_Reg *functions) {
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  lua_setfield(L, -2, name);
}
