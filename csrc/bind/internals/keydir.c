/* store/keydir_table and store/keydir: a table alone, and the keydir of many; and engine/moves, which
 * reads one. */
#include "base/memory.h"
#include "bind/internals/room.h"
#include "bind/lua_result.h"
#include "engine/moves.h"
#include "store/keydir.h"

/* ---- Tables of the keydir --------------------------------------------------------- */

#define TABLE_TYPE "bitcask.internals.keydir_table"

static struct keydir_table *check_table(lua_State *L) { return room_object(L, 1, TABLE_TYPE); }

static int table_new(lua_State *L) {
  void **table = room_new_object(L, TABLE_TYPE, 0);
  *table = memory_zeroed(1, sizeof(struct keydir_table));
  return *table != NULL ? 1 : lua_result_failure(L, BITCASK_NOMEMORY);
}

/* (more, phase) */
static int table_make_room(lua_State *L) {
  return room_status(L, keydir_table_make_room(check_table(L), (unsigned)room_u64(L, 2),
                                               (unsigned)luaL_optinteger(L, 3, 0)));
}

static int table_has_room(lua_State *L) {
  lua_pushboolean(L, keydir_table_has_room(check_table(L), (unsigned)room_u64(L, 2)));
  return 1;
}

/* (hash, place) */
static int table_insert(lua_State *L) {
  struct keydir_entry entry = {(uint32_t)room_u64(L, 2), 1, room_u64(L, 3)};
  keydir_table_insert(check_table(L), &entry);
  return 0;
}

static int table_remove(lua_State *L) {
  struct keydir_table *table = check_table(L);
  struct keydir_entry *entry =
      keydir_table_entry(table, (uint32_t)room_u64(L, 2), room_u64(L, 3));
  if (entry != NULL) keydir_table_remove(table, (uint32_t)(entry - table->slots));
  lua_pushboolean(L, entry != NULL);
  return 1;
}

/* (more, phase): from slots that are another's to slots of its own. */
static int table_own(lua_State *L) {
  struct keydir_table *table = check_table(L), lent = *table;
  enum bitcask_status status = keydir_table_own(table, (unsigned)luaL_optinteger(L, 2, 0),
                                                 (unsigned)luaL_optinteger(L, 3, 0));
  if (status == BITCASK_OK) keydir_table_clear(&lent);
  return room_status(L, status);
}

/* Its numbers, whether it is sound, and the place in each slot, 0 where it is empty. */
static int table_describe(lua_State *L) {
  const struct keydir_table *table = check_table(L);
  lua_createtable(L, (int)keydir_table_end(table), 5);
  for (uint32_t i = 0; i < keydir_table_end(table); i++) {
    lua_pushinteger(L, (lua_Integer)table->slots[i].at);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_result_set_integer(L, "homes", table->homes);
  lua_result_set_integer(L, "tail", table->tail);
  lua_result_set_integer(L, "count", table->count);
  lua_result_set_integer(L, "used_end", table->used_end);
  lua_pushboolean(L, keydir_table_is_sound(table));
  lua_setfield(L, -2, "is_sound");
  return 1;
}

static int table_close(lua_State *L) {
  struct keydir_table *table = room_take_object(L, TABLE_TYPE);
  if (table != NULL) keydir_table_clear(table);
  memory_free(table);
  return 0;
}

static const luaL_Reg table_methods[] = {
    {"make_room", table_make_room}, {"has_room", table_has_room}, {"insert", table_insert},
    {"remove", table_remove},       {"own", table_own},           {"describe", table_describe},
    {NULL, NULL}};

static const luaL_Reg table_functions[] = {{"new", table_new}, {NULL, NULL}};

/* ---- Keydir ---------------------------------------------------------------------- */

#define KEYDIR_TYPE "bitcask.internals.keydir"

static struct keydir *check_keydir(lua_State *L) { return room_object(L, 1, KEYDIR_TYPE); }

static int keydir_new_(lua_State *L) {
  lua_newtable(L); /* of the segments that old entries refer to */
  void **keydir = room_new_object(L, KEYDIR_TYPE, -1);
  enum bitcask_status status = keydir_new((struct keydir **)keydir);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (slot, offset, expires) -> place */
static int keydir_place(lua_State *L) {
  place at = place_make((uint32_t)room_u64(L, 1), room_u64(L, 2),
                        lua_toboolean(L, 3) ? PLACE_EXPIRES : 0);
  lua_pushinteger(L, (lua_Integer)at);
  return 1;
}

/* (place) -> slot, offset */
static int keydir_unplace(lua_State *L) {
  place at = room_u64(L, 1);
  lua_pushinteger(L, place_slot(at));
  lua_pushinteger(L, (lua_Integer)place_offset(at));
  return 2;
}

static void push_entry(lua_State *L, const struct keydir_entry *entry) {
  lua_newtable(L);
  lua_result_set_integer(L, "at", entry->at);
  lua_result_set_integer(L, "size", keydir_entry_size(entry));
}

/* (hash, more, keeping) */
static int keydir_reserve_(lua_State *L) {
  return room_status(L, keydir_reserve(check_keydir(L), room_u64(L, 2),
                                       (unsigned)room_u64(L, 3), lua_toboolean(L, 4)));
}

/* (hash, at, size) */
static int keydir_insert_(lua_State *L) {
  keydir_insert(check_keydir(L), room_u64(L, 2), room_u64(L, 3), room_u64(L, 4));
  return 0;
}

static int push_matches(lua_State *L, const struct keydir_matches *matches) {
  lua_newtable(L);
  for (unsigned i = 0; i < matches->count; i++) {
    push_entry(L, &matches->entries[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushboolean(L, matches->more);
  lua_pushinteger(L, (lua_Integer)matches->stamp);
  return 3;
}

/* (hash, first) -> list of {at, size}, whether there are more, stamp */
static int keydir_find_(lua_State *L) {
  struct keydir_matches matches;
  keydir_find(check_keydir(L), room_u64(L, 2), (unsigned)luaL_optinteger(L, 3, 0), &matches);
  return push_matches(L, &matches);
}

static int push_only(lua_State *L, const struct keydir_entry *entry) {
  if (entry->at == 0)
    lua_pushliteral(L, "none");
  else if (entry->at == KEYDIR_UNSURE)
    lua_pushliteral(L, "unsure");
  else
    push_entry(L, entry);
  return 1;
}

/* (hash) -> {at, size}, "none" or "unsure" */
static int keydir_find_only_(lua_State *L) {
  struct keydir_entry entry = keydir_find_only(check_keydir(L), room_u64(L, 2));
  return push_only(L, &entry);
}

/* (hash, more, keeping) -> the same */
static int keydir_reserve_and_find_(lua_State *L) {
  struct keydir_entry entry;
  enum bitcask_status status =
      keydir_reserve_and_find(check_keydir(L), room_u64(L, 2), (unsigned)room_u64(L, 3),
                              lua_toboolean(L, 4), &entry);
  return status == BITCASK_OK ? push_only(L, &entry) : lua_result_failure(L, status);
}

/* (hash, version, first) -> the same among the old entries */
static int keydir_find_old_(lua_State *L) {
  struct keydir_matches matches;
  struct segment *segments[KEYDIR_MATCHES];
  keydir_find_old(check_keydir(L), room_u64(L, 2), room_u64(L, 3),
                  (unsigned)luaL_optinteger(L, 4, 0), &matches, segments);
  for (unsigned i = 0; i < matches.count; i++) segment_unref(segments[i]);
  return push_matches(L, &matches);
}

/* The old entry to keep from a table of {at, size, born, died, segment}; NULL for nil. */
static const struct keydir_old *check_keep(lua_State *L, int arg, uint64_t hash,
                                           struct keydir_old *keep) {
  if (lua_isnoneornil(L, arg)) return NULL;
  luaL_checktype(L, arg, LUA_TTABLE);
  *keep = (struct keydir_old){
      .entry = {.hash = keydir_hash_in_shard(hash),
                .units = (uint32_t)(room_field(L, arg, "size") / 8),
                .at = room_field(L, arg, "at")},
      .born = room_field(L, arg, "born"),
      .died = room_field(L, arg, "died")};
  lua_getfield(L, arg, "segment");
  keep->segment = room_segment(L, lua_gettop(L));
  /* The segment's directory has to stay open as long as the keydir may let go of it. */
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
  return keep;
}

/* (hash, from, to, size, keep) -> was it there */
static int keydir_replace_(lua_State *L) {
  struct keydir_old keep;
  uint64_t hash = room_u64(L, 2);
  const struct keydir_old *kept = check_keep(L, 6, hash, &keep);
  lua_pushboolean(L, keydir_replace(check_keydir(L), hash, room_u64(L, 3), room_u64(L, 4),
                                    room_u64(L, 5), kept));
  return 1;
}

/* (hash, from, keep) -> was it there */
static int keydir_remove_(lua_State *L) {
  struct keydir_old keep;
  uint64_t hash = room_u64(L, 2);
  const struct keydir_old *kept = check_keep(L, 4, hash, &keep);
  lua_pushboolean(L, keydir_remove(check_keydir(L), hash, room_u64(L, 3), kept));
  return 1;
}

static void add_visited(void *context, uint64_t hash, const struct keydir_entry *entry) {
  lua_State *L = context;
  push_entry(L, entry);
  lua_result_set_integer(L, "hash", hash);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* (shard) -> list of {hash, at, size} */
static int keydir_visit(lua_State *L) {
  struct bitcask_buffer scratch = {0};
  lua_newtable(L);
  enum bitcask_status status = keydir_read_shard(check_keydir(L), (unsigned)room_u64(L, 2),
                                                 &scratch, add_visited, L);
  bitcask_buffer_release(&scratch);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (shard, version) -> list of places, list of the old ones' places */
static int keydir_copy(lua_State *L) {
  struct bitcask_buffer places = {0}, olds = {0};
  enum bitcask_status status = keydir_copy_shard(check_keydir(L), (unsigned)room_u64(L, 2),
                                                 room_u64(L, 3), &places, &olds);
  const place *at = places.data;
  const struct keydir_old *old = olds.data;
  lua_newtable(L);
  for (size_t i = 0; i < places.size / sizeof *at; i++) {
    lua_pushinteger(L, (lua_Integer)at[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_newtable(L);
  for (size_t i = 0; i < olds.size / sizeof *old; i++) {
    lua_pushinteger(L, (lua_Integer)old[i].entry.at);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
    segment_unref(old[i].segment);
  }
  bitcask_buffer_release(&places);
  bitcask_buffer_release(&olds);
  return status == BITCASK_OK ? 2 : lua_result_failure(L, status);
}

/* (shard) -> how many */
static int keydir_drop_tombstones_(lua_State *L) {
  uint64_t dropped = keydir_drop_tombstones(check_keydir(L), (unsigned)room_u64(L, 2));
  lua_pushinteger(L, (lua_Integer)dropped);
  return 1;
}

/* (limit, version, ...): the versions of open snapshots, rising */
static int keydir_prune_(lua_State *L) {
  enum { SNAPSHOTS_MAX = 16 };
  uint64_t snapshots[SNAPSHOTS_MAX];
  int count = lua_gettop(L) - 2;
  luaL_argcheck(L, count <= SNAPSHOTS_MAX, SNAPSHOTS_MAX + 3, "too many snapshots");
  for (int i = 0; i < count; i++) snapshots[i] = room_u64(L, i + 3);
  keydir_prune(check_keydir(L), snapshots, (size_t)count, room_u64(L, 2));
  return 0;
}

/* -> entries, old entries, bytes */
static int keydir_counts(lua_State *L) {
  struct keydir *keydir = check_keydir(L);
  lua_pushinteger(L, (lua_Integer)keydir_count(keydir));
  lua_pushinteger(L, (lua_Integer)keydir_old_count(keydir));
  lua_pushinteger(L, (lua_Integer)keydir_bytes(keydir));
  return 3;
}

/* ---- Moves ------------------------------------------------------------------------ */

static void push_moves(lua_State *L, const struct moves *moves, struct moves_range range) {
  lua_newtable(L);
  for (size_t i = range.first; i < range.end; i++) {
    lua_pushinteger(L, (lua_Integer)move_offset(&moves->items[i]));
    lua_rawseti(L, -2, (lua_Integer)(i - range.first) + 1);
  }
}

/* (slot, expected, slot, expected, ...) -> for each of these segments a list of the offsets that entries
 * lead to, in order */
static int keydir_moves(lua_State *L) {
  enum { SOURCES_MAX = 16 };
  struct moves_source sources[SOURCES_MAX];
  struct moves moves = {0};
  size_t count = (size_t)(lua_gettop(L) - 1) / 2;
  luaL_argcheck(L, count <= SOURCES_MAX, 2 * SOURCES_MAX + 2, "too many segments");
  for (size_t i = 0; i < count; i++)
    sources[i] = (struct moves_source){(uint32_t)room_u64(L, 2 * (int)i + 2),
                                       (size_t)room_u64(L, 2 * (int)i + 3)};
  enum bitcask_status status = moves_collect(&moves, check_keydir(L), sources, count);
  for (size_t i = 0; status == BITCASK_OK && i < count; i++)
    push_moves(L, &moves, moves.ranges[i]);
  moves_release(&moves);
  return status == BITCASK_OK ? (int)count : lua_result_failure(L, status);
}

static int keydir_close(lua_State *L) {
  keydir_free(room_take_object(L, KEYDIR_TYPE));
  return 0;
}

static const luaL_Reg keydir_methods[] = {
    {"reserve", keydir_reserve_}, {"insert", keydir_insert_},
    {"find_only", keydir_find_only_},
    {"reserve_and_find", keydir_reserve_and_find_},
    {"find", keydir_find_},       {"find_old", keydir_find_old_},
    {"replace", keydir_replace_}, {"remove", keydir_remove_},
    {"visit", keydir_visit},      {"copy", keydir_copy},
    {"prune", keydir_prune_},     {"drop_tombstones", keydir_drop_tombstones_},
    {"counts", keydir_counts},    {"moves", keydir_moves},
    {NULL, NULL}};

static const luaL_Reg keydir_functions[] = {
    {"new", keydir_new_}, {"place", keydir_place}, {"unplace", keydir_unplace}, {NULL, NULL}};

void room_open_keydir(lua_State *L) {
  room_new_type(L, TABLE_TYPE, table_methods, table_close);
  room_new_type(L, KEYDIR_TYPE, keydir_methods, keydir_close);
  room_set_functions(L, "keydir_table", table_functions);
  room_set_functions(L, "keydir", keydir_functions);
}
