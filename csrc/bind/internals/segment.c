/* store/segment, store/hint_file: a segment, what a scan of it meets, the hint file beside it. */
#include "bind/internals/room.h"
#include "bind/lua_result.h"
#include "disk/disk.h"
#include "store/hint_file.h"
#include "store/segment.h"

#define SEGMENT_TYPE "bitcask.internals.segment"

struct segment *room_segment(lua_State *L, int arg) {
  return room_object(L, arg, SEGMENT_TYPE);
}

/* (directory, store, id, capacity) -> segment */
static int segment_create_(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  store_identity store = room_store(L, 2);
  uint64_t id = room_u64(L, 3), capacity = room_u64(L, 4);
  void **segment = room_new_object(L, SEGMENT_TYPE, 1);
  enum bitcask_status status = segment_create(disk_posix(), directory, store, id, capacity,
                                              (struct segment **)segment);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (directory, store, facts, growing) -> segment */
static int segment_open_(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  store_identity store = room_store(L, 2);
  struct segment_facts facts = room_facts(L, 3);
  bool growing = lua_toboolean(L, 4);
  void **segment = room_new_object(L, SEGMENT_TYPE, 1);
  enum bitcask_status status =
      segment_open(directory, store, &facts, growing, (struct segment **)segment);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (directory, store, facts, capacity) -> segment */
static int segment_reopen_(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  store_identity store = room_store(L, 2);
  struct segment_facts facts = room_facts(L, 3);
  uint64_t capacity = room_u64(L, 4);
  void **segment = room_new_object(L, SEGMENT_TYPE, 1);
  enum bitcask_status status =
      segment_reopen(directory, store, &facts, capacity, (struct segment **)segment);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (record, headroom) -> offset */
static int segment_append_(lua_State *L) {
  struct segment *segment = room_segment(L, 1);
  struct record record = room_record(L, 2);
  uint64_t offset = 0;
  enum bitcask_status status =
      segment_append(segment, &record, (size_t)luaL_optinteger(L, 3, 0), &offset);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushinteger(L, (lua_Integer)offset);
  return 1;
}

/* (list of records, headroom) -> list of offsets; all or none */
static int segment_append_list(lua_State *L) {
  enum { RECORDS_MAX = 64 };
  struct record records[RECORDS_MAX], *pointers[RECORDS_MAX];
  uint64_t offsets[RECORDS_MAX];
  struct segment *segment = room_segment(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t count = lua_rawlen(L, 2);
  luaL_argcheck(L, count <= RECORDS_MAX, 2, "too many records");
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1); /* stays in the list, which keeps its strings */
    records[i] = room_record(L, lua_gettop(L));
    pointers[i] = &records[i];
    lua_pop(L, 1);
  }
  enum bitcask_status status = segment_append_all(segment, pointers, count,
                                                  (size_t)luaL_optinteger(L, 3, 0), offsets);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    lua_pushinteger(L, (lua_Integer)offsets[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* (offset, size) -> the record there, unchecked */
static int segment_view_(lua_State *L) {
  struct segment *segment = room_segment(L, 1);
  struct bitcask_buffer scratch = {0};
  const uint8_t *bytes = NULL;
  size_t size = (size_t)room_u64(L, 3);
  enum bitcask_status status = segment_view(segment, room_u64(L, 2), size, &scratch, &bytes);
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(bytes, size));
  bitcask_buffer_release(&scratch);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static int segment_sync_(lua_State *L) {
  struct segment *segment = room_segment(L, 1);
  return room_status(L, segment_sync(segment, segment->facts.length));
}

static int segment_facts_(lua_State *L) {
  struct segment *segment = room_segment(L, 1);
  room_push_facts(L, &segment->facts);
  lua_result_set_integer(L, "salt", segment->salt);
  lua_result_set_integer(L, "synced_length", atomic_load(&segment->synced_length));
  lua_result_set_integer(L, "references", atomic_load(&segment->references));
  return 1;
}

/* Its files go when the last reference does. */
static int segment_make_obsolete(lua_State *L) {
  atomic_store(&room_segment(L, 1)->is_obsolete, true);
  return 0;
}

static void push_scanned(lua_State *L, const struct segment_scan *scan,
                         enum segment_scan_kind kind) {
  static const char *const kinds[] = {[SEGMENT_SCAN_RECORD] = "record",
                                      [SEGMENT_SCAN_DAMAGED_VALUE] = "damaged value",
                                      [SEGMENT_SCAN_DAMAGED] = "damaged",
                                      [SEGMENT_SCAN_ZEROS] = "zeros"};
  bool is_record = kind == SEGMENT_SCAN_RECORD || kind == SEGMENT_SCAN_DAMAGED_VALUE;
  if (is_record)
    room_push_record(L, &scan->record);
  else
    lua_newtable(L);
  lua_result_set_string(L, "kind", kinds[kind]);
  lua_result_set_integer(L, "offset", scan->offset);
  lua_result_set_integer(L, "size", scan->size);
}

/* (end, check_values) -> list of what a scan meets */
static int segment_scan_(lua_State *L) {
  struct segment_scan scan;
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  segment_scan_init(&scan, room_segment(L, 1), room_u64(L, 2), lua_toboolean(L, 3));
  enum bitcask_status status;
  lua_newtable(L);
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK && kind != SEGMENT_SCAN_END) {
    push_scanned(L, &scan, kind);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
  segment_scan_release(&scan);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (store): as the engine does when it is sealed */
static int segment_write_hint(lua_State *L) {
  struct segment *segment = room_segment(L, 1);
  return room_status(L, hint_file_write(disk_posix(), segment, room_store(L, 2)));
}

static int segment_close(lua_State *L) {
  segment_unref(room_take_object(L, SEGMENT_TYPE));
  return 0;
}

static const luaL_Reg segment_methods[] = {
    {"append", segment_append_}, {"append_all", segment_append_list},
    {"view", segment_view_},
    {"sync", segment_sync_},     {"facts", segment_facts_},
    {"scan", segment_scan_},     {"make_obsolete", segment_make_obsolete},
    {"write_hint", segment_write_hint}, {NULL, NULL}};

/* (directory, store, facts) -> entries of the hint file */
static int segment_load_hint(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  struct segment_facts facts = room_facts(L, 3);
  struct hint_file hint;
  enum bitcask_status status = hint_file_load(directory, room_store(L, 2), &facts, &hint);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  room_push_hint_entries(L, &hint.entries);
  hint_file_release(&hint);
  return 1;
}

static const luaL_Reg segment_functions[] = {{"create", segment_create_},
                                             {"open", segment_open_},
                                             {"reopen", segment_reopen_},
                                             {"load_hint", segment_load_hint},
                                             {NULL, NULL}};

void room_open_segment(lua_State *L) {
  room_new_type(L, SEGMENT_TYPE, segment_methods, segment_close);
  room_set_functions(L, "segment", segment_functions);
}
