/* store/manifest: what it says, and an edit of it. */
#include "base/memory.h"
#include "bind/internals/room.h"
#include "bind/lua_result.h"
#include "disk/disk.h"
#include "store/manifest.h"

#define MANIFEST_TYPE "bitcask.internals.manifest"

static struct manifest *check_manifest(lua_State *L) { return room_object(L, 1, MANIFEST_TYPE); }

typedef enum bitcask_status (*manifest_opener)(struct manifest *manifest, struct disk *disk,
                                               struct disk_directory *directory);

static int open_manifest(lua_State *L, manifest_opener opener) {
  struct disk_directory *directory = room_directory(L, 1);
  void **object = room_new_object(L, MANIFEST_TYPE, 1);
  struct manifest *manifest = memory_zeroed(1, sizeof *manifest);
  if (manifest == NULL) return lua_result_failure(L, BITCASK_NOMEMORY);
  enum bitcask_status status = opener(manifest, disk_posix(), directory);
  if (status == BITCASK_OK) {
    *object = manifest;
    return 1;
  }
  memory_free(manifest);
  return lua_result_failure(L, status);
}
static int manifest_init_(lua_State *L) { return open_manifest(L, manifest_init); }
static int manifest_load_(lua_State *L) { return open_manifest(L, manifest_load); }

/* (last_version, list of items) */
static int manifest_commit_(lua_State *L) {
  struct manifest *manifest = check_manifest(L);
  uint64_t last_version = room_u64(L, 2);
  struct bitcask_buffer items = {0};
  luaL_checktype(L, 3, LUA_TTABLE);
  enum bitcask_status status = room_append_items(L, 3, &items);
  if (status == BITCASK_OK)
    status = manifest_commit(manifest, last_version, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  return room_status(L, status);
}

static int manifest_take_id(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_manifest(L)->state.next_id++);
  return 1;
}

static int manifest_state_(lua_State *L) {
  const struct manifest_state *state = &check_manifest(L)->state;
  lua_newtable(L);
  lua_createtable(L, (int)state->open_count, 0);
  for (size_t i = 0; i < state->open_count; i++) {
    lua_pushinteger(L, (lua_Integer)state->open[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "open");
  lua_result_set_integer(L, "next_id", state->next_id);
  lua_result_set_integer(L, "last_version", state->last_version);
  lua_result_set_integer(L, "dropped_version", state->dropped_version);
  lua_result_set_integer(L, "checkpoint", state->checkpoint);
  if (state->is_closed) {
    room_push_facts(L, &state->closed);
    lua_setfield(L, -2, "closed");
  }
  lua_newtable(L);
  for (size_t i = 0; i < state->sealed_count; i++) {
    room_push_facts(L, &state->sealed[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "sealed");
  return 1;
}

/* -> number, edit number, torn bytes, whether it is unknown what counts, store, salt */
static int manifest_about(lua_State *L) {
  const struct manifest *manifest = check_manifest(L);
  lua_pushinteger(L, (lua_Integer)manifest->number);
  lua_pushinteger(L, (lua_Integer)manifest->edit_number);
  lua_pushinteger(L, (lua_Integer)manifest->torn_bytes);
  lua_pushboolean(L, manifest->is_unknown);
  lua_result_push_bytes(L, bytes_of(manifest->store.bytes, sizeof manifest->store.bytes));
  lua_pushinteger(L, (lua_Integer)manifest->salt);
  return 6;
}

/* (bytes): a new manifest is begun beyond so many */
static int manifest_roll_over_at(lua_State *L) {
  struct manifest *manifest = check_manifest(L);
  manifest->rollover_size = room_u64(L, 2);
  return 0;
}

static int manifest_close(lua_State *L) {
  struct manifest *manifest = room_take_object(L, MANIFEST_TYPE);
  if (manifest == NULL) return 0;
  manifest_release(manifest);
  memory_free(manifest);
  return 0;
}

static const luaL_Reg manifest_methods[] = {
    {"commit", manifest_commit_}, {"take_id", manifest_take_id},
    {"state", manifest_state_},   {"about", manifest_about},
    {"roll_over_at", manifest_roll_over_at}, {NULL, NULL}};

/* (directory) -> the number that CURRENT names, store */
static int manifest_current_(lua_State *L) {
  uint64_t number = 0;
  store_identity store;
  enum bitcask_status status = manifest_current(room_directory(L, 1), &number, &store);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushinteger(L, (lua_Integer)number);
  lua_result_push_bytes(L, bytes_of(store.bytes, sizeof store.bytes));
  return 2;
}

static const luaL_Reg manifest_functions[] = {{"init", manifest_init_},
                                              {"load", manifest_load_},
                                              {"current", manifest_current_},
                                              {NULL, NULL}};

void room_open_manifest(lua_State *L) {
  room_new_type(L, MANIFEST_TYPE, manifest_methods, manifest_close);
  room_set_functions(L, "manifest", manifest_functions);
}
