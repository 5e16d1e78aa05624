/* format/: names, records, headers and hint files, from tables to bytes and back. */
#include "base/checksum.h"
#include "bind/internals/room.h"
#include "bind/lua_result.h"
#include "format/filename.h"
#include "format/header.h"
#include "format/hint.h"
#include "format/record.h"

/* ---- Filename -------------------------------------------------------------------- */

static const char *const filename_kinds[] = {
    [FILENAME_KIND_OTHER] = "other",         [FILENAME_KIND_CURRENT] = "current",
    [FILENAME_KIND_LOCK] = "lock",           [FILENAME_KIND_STOPPED] = "stopped",
    [FILENAME_KIND_MANIFEST] = "manifest",   [FILENAME_KIND_SEGMENT] = "segment",
    [FILENAME_KIND_HINT] = "hint",           [FILENAME_KIND_TEMPORARY] = "temporary",
    [FILENAME_KIND_RESERVE] = "reserve",     [FILENAME_KIND_CHECKPOINT] = "checkpoint"};

static int filename_of(lua_State *L, filename (*maker)(uint64_t)) {
  lua_pushstring(L, maker(room_u64(L, 1)).text);
  return 1;
}
static int filename_manifest(lua_State *L) { return filename_of(L, filename_of_manifest); }
static int filename_segment(lua_State *L) { return filename_of(L, filename_of_segment); }
static int filename_hint(lua_State *L) { return filename_of(L, filename_of_hint); }
static int filename_hint_temporary(lua_State *L) {
  return filename_of(L, filename_of_hint_temporary);
}

static int filename_parse_(lua_State *L) {
  uint64_t number = 0;
  enum filename_kind kind = filename_parse(luaL_checkstring(L, 1), &number);
  lua_pushstring(L, filename_kinds[kind]);
  lua_pushinteger(L, (lua_Integer)number);
  return 2;
}

static const luaL_Reg filename_functions[] = {{"manifest", filename_manifest},
                                              {"segment", filename_segment},
                                              {"hint", filename_hint},
                                              {"hint_temporary", filename_hint_temporary},
                                              {"parse", filename_parse_},
                                              {NULL, NULL}};

/* ---- Record ---------------------------------------------------------------------- */

struct record room_record(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  struct record record = {.version = room_field(L, arg, "version"),
                          .expires = room_field(L, arg, "expires"),
                          .key = room_bytes(L, arg, "key"),
                          .value = room_bytes(L, arg, "value"),
                          .synced = (uint32_t)room_field(L, arg, "synced"),
                          .flags = (uint8_t)room_field(L, arg, "flags")};
  record.value_check = record_value_check(record.value);
  return record;
}

void room_push_record(lua_State *L, const struct record *record) {
  lua_newtable(L);
  lua_result_set_integer(L, "version", record->version);
  lua_result_set_integer(L, "expires", record->expires);
  lua_result_set_integer(L, "synced", record->synced);
  lua_result_set_integer(L, "flags", record->flags);
  room_set_bytes(L, "key", record->key);
  room_set_bytes(L, "value", record->value);
  lua_result_set_boolean(L, "is_value_intact", record_value_is_intact(record));
}

/* (record, salt, offset) -> its bytes, padded */
static int record_encode_(lua_State *L) {
  struct record record = room_record(L, 1);
  luaL_Buffer out;
  void *bytes = luaL_buffinitsize(L, &out, (size_t)record_size_of(&record));
  luaL_pushresultsize(&out, record_encode(&record, room_u64(L, 2), room_u64(L, 3), bytes));
  return 1;
}

/* (record, salt, offset) -> its header alone */
static int record_encode_header_(lua_State *L) {
  struct record record = room_record(L, 1);
  uint8_t header[RECORD_HEADER_SIZE_MAX];
  size_t size = record_encode_header(&record, room_u64(L, 2), room_u64(L, 3), header);
  lua_pushlstring(L, (const char *)header, size);
  return 1;
}

/* (bytes, salt, offset) -> the record, or nil and what is wrong: "shape" or "check" */
static int record_decode(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  struct record record;
  const char *wrong = NULL;
  if (!record_parse(bytes.data, bytes.size, &record))
    wrong = "shape";
  else if (!record_header_is_intact(&record, bytes.data, room_u64(L, 2), room_u64(L, 3)))
    wrong = "check";
  if (wrong == NULL) {
    room_push_record(L, &record);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, wrong);
  return 2;
}

/* (bytes) -> the size that a record there claims, or nil */
static int record_peek_(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  uint64_t size = 0;
  if (record_peek(bytes.data, bytes.size, &size))
    lua_pushinteger(L, (lua_Integer)size);
  else
    lua_pushnil(L);
  return 1;
}

static const luaL_Reg record_functions[] = {{"encode", record_encode_},
                                            {"encode_header", record_encode_header_},
                                            {"decode", record_decode},
                                            {"peek", record_peek_},
                                            {NULL, NULL}};

/* ---- Header ---------------------------------------------------------------------- */

static const char *const header_kinds[] = {"segment", "hint", "manifest", "checkpoint", NULL};

static struct header check_header(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  struct header header = {.number = room_field(L, arg, "number"),
                          .salt = room_field(L, arg, "salt"),
                          .created_ms = room_field(L, arg, "created_ms"),
                          .boot = (uint32_t)room_field(L, arg, "boot")};
  lua_getfield(L, arg, "kind");
  header.kind = (enum header_kind)luaL_checkoption(L, -1, NULL, header_kinds);
  lua_getfield(L, arg, "store");
  header.store = room_store(L, -1);
  lua_pop(L, 2);
  return header;
}

static void push_header(lua_State *L, const struct header *header) {
  lua_newtable(L);
  lua_result_set_string(L, "kind", header_kinds[header->kind]);
  lua_result_set_integer(L, "number", header->number);
  lua_result_set_integer(L, "salt", header->salt);
  lua_result_set_integer(L, "created_ms", header->created_ms);
  lua_result_set_integer(L, "boot", header->boot);
  room_set_bytes(L, "store", bytes_of(header->store.bytes, sizeof header->store.bytes));
}

static int header_encode_(lua_State *L) {
  struct header header = check_header(L, 1);
  uint8_t bytes[HEADER_SIZE];
  header_encode(&header, bytes);
  lua_result_push_bytes(L, bytes_of(bytes, sizeof bytes));
  return 1;
}

/* (bytes, kind) -> header */
static int header_decode_(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  enum header_kind kind = (enum header_kind)luaL_checkoption(L, 2, NULL, header_kinds);
  struct header header;
  enum bitcask_status status = header_decode(bytes.data, bytes.size, kind, "a file", &header);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  push_header(L, &header);
  return 1;
}

static const luaL_Reg header_functions[] = {
    {"encode", header_encode_}, {"decode", header_decode_}, {NULL, NULL}};

/* ---- Hint ------------------------------------------------------------------------ */

static enum bitcask_status append_hint_entries(lua_State *L, int list,
                                               struct bitcask_buffer *body) {
  enum bitcask_status status = BITCASK_OK;
  lua_Integer count = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; status == BITCASK_OK && i <= count; i++) {
    lua_rawgeti(L, list, i);
    int table = lua_gettop(L);
    struct hint_entry entry = {.version = room_field(L, table, "version"),
                               .offset = room_field(L, table, "offset"),
                               .size = room_field(L, table, "size"),
                               .expires = room_field(L, table, "expires"),
                               .key = room_bytes(L, table, "key"),
                               .flags = (uint8_t)room_field(L, table, "flags")};
    status = hint_append_entry(body, &entry);
    lua_pop(L, 1);
  }
  return status;
}

void room_push_hint_entries(lua_State *L, struct coding_reader *reader) {
  struct hint_entry entry;
  lua_newtable(L);
  for (lua_Integer i = 1; hint_next_entry(reader, &entry); i++) {
    lua_newtable(L);
    lua_result_set_integer(L, "version", entry.version);
    lua_result_set_integer(L, "offset", entry.offset);
    lua_result_set_integer(L, "size", entry.size);
    lua_result_set_integer(L, "expires", entry.expires);
    lua_result_set_integer(L, "flags", entry.flags);
    room_set_bytes(L, "key", entry.key);
    lua_rawseti(L, -2, i);
  }
  lua_result_set_boolean(L, "failed", reader->failed);
}

/* (header, binding, entries) -> the bytes of a hint file */
static int hint_encode(lua_State *L) {
  struct header header = check_header(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  struct hint_binding binding = {room_field(L, 2, "segment_length"),
                                 room_field(L, 2, "segment_digest"), room_field(L, 2, "entries")};
  struct bitcask_buffer body = {0};
  uint8_t prefix[HINT_PREFIX_SIZE];
  enum bitcask_status status = append_hint_entries(L, 3, &body);
  if (status == BITCASK_OK) {
    bitcask_bytes entries = bytes_of(body.data, body.size);
    struct hint_body all = {entries.size, checksum64(entries.data, entries.size, header.salt)};
    hint_encode_prefix(&header, &binding, &all, prefix);
    lua_result_push_bytes(L, bytes_of(prefix, sizeof prefix));
    lua_result_push_bytes(L, entries);
    lua_concat(L, 2);
  }
  bitcask_buffer_release(&body);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (bytes) -> header, binding, entries */
static int hint_decode_(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1), body = {NULL, 0};
  struct header header;
  struct hint_binding binding;
  enum bitcask_status status = hint_decode(bytes, "a file", &header, &binding, &body);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  struct coding_reader reader = coding_read(body);
  push_header(L, &header);
  lua_newtable(L);
  lua_result_set_integer(L, "segment_length", binding.segment_length);
  lua_result_set_integer(L, "segment_digest", binding.segment_digest);
  lua_result_set_integer(L, "entries", binding.entries);
  room_push_hint_entries(L, &reader);
  return 3;
}

static const luaL_Reg hint_functions[] = {
    {"encode", hint_encode}, {"decode", hint_decode_}, {NULL, NULL}};

void room_open_format(lua_State *L) {
  room_set_functions(L, "filename", filename_functions);
  room_set_functions(L, "record", record_functions);
  room_set_functions(L, "header", header_functions);
  room_set_functions(L, "hint", hint_functions);
}
