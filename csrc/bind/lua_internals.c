/*
 * bitcask.internals: the modules below the public interface, opened to the specs. Built for
 * them alone, from objects of their own in which allocations can be refused and counted;
 * never installed, and no part of bitcask.core.
 *
 *   memory latch filename record header hint edit coding hash radix functions
 *   disk ── open ──> directory ── create, open ──> file       objects; closed when collected
 *   segment, keydir_table, keydir, manifest, tombstones, throttle    objects
 *
 * It translates and nothing else: numbers of 64 bits are Lua integers, facts are tables with
 * the names of the C fields, a failure is nil, message, code, and INVALID is raised.
 */
#include <lauxlib.h>
#include <lua.h>

#include "base/checksum.h"
#include "base/latch.h"
#include "bind/lua_result.h"
#include "disk/disk.h"
#include "engine/hash.h"
#include "base/radix.h"
#include "engine/throttle.h"
#include "engine/tombstones.h"
#include "format/edit.h"
#include "format/filename.h"
#include "format/hint.h"
#include "store/hint_file.h"
#include "store/keydir.h"
#include "store/manifest.h"
#include "store/segment.h"

BITCASK_API int luaopen_bitcask_internals(lua_State *L);

/* ---- Fields of tables ------------------------------------------------------------ */

static uint64_t check_u64(lua_State *L, int arg) { return (uint64_t)luaL_checkinteger(L, arg); }

/* Field `name` of the table at `table`; 0 when it is absent. */
static uint64_t get_field(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  uint64_t value = (uint64_t)luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return value;
}

/* The same for a string, which the table keeps alive. */
static bitcask_bytes get_bytes(lua_State *L, int table, const char *name) {
  bitcask_bytes bytes = {NULL, 0};
  lua_getfield(L, table, name);
  if (!lua_isnil(L, -1)) bytes.data = luaL_checklstring(L, -1, &bytes.size);
  lua_pop(L, 1);
  return bytes;
}

static void set_bytes(lua_State *L, const char *name, bitcask_bytes bytes) {
  lua_result_push_bytes(L, bytes);
  lua_setfield(L, -2, name);
}

static store_identity check_store(lua_State *L, int arg) {
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

static void push_facts(lua_State *L, const struct segment_facts *facts) {
  lua_newtable(L);
#define SET_FACT(name) lua_result_set_integer(L, #name, facts->name);
  FACTS_LIST(SET_FACT)
#undef SET_FACT
  lua_result_set_integer(L, "flags", facts->flags);
}

static struct segment_facts check_facts(lua_State *L, int arg) {
  struct segment_facts facts = {0};
  luaL_checktype(L, arg, LUA_TTABLE);
#define GET_FACT(name) facts.name = get_field(L, arg, #name);
  FACTS_LIST(GET_FACT)
#undef GET_FACT
  facts.flags = (uint8_t)get_field(L, arg, "flags");
  return facts;
}

static int push_status(lua_State *L, enum bitcask_status status) {
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushboolean(L, true);
  return 1;
}

/* ---- Objects --------------------------------------------------------------------- */

/* A pointer, NULL once it is closed. What it depends on is its user value. */
static void **new_object(lua_State *L, const char *type, int parent) {
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

static void *check_object(lua_State *L, int arg, const char *type) {
  void **object = luaL_checkudata(L, arg, type);
  luaL_argcheck(L, *object != NULL, arg, "is closed");
  return *object;
}

static void new_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction close) {
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

/* Take the pointer out of the object; NULL when that was done before. */
static void *take_object(lua_State *L, const char *type) {
  void **object = luaL_checkudata(L, 1, type);
  void *pointer = *object;
  *object = NULL;
  return pointer;
}

/* ---- Memory ---------------------------------------------------------------------- */

static int memory_refuse_(lua_State *L) {
  memory_refuse(check_u64(L, 1), lua_toboolean(L, 2));
  return 0;
}

static int memory_balance_(lua_State *L) {
  lua_pushinteger(L, memory_balance());
  return 1;
}

/* What memory_zeroed and memory_resize make of count * size: can it be had? */
static int memory_asks(lua_State *L) {
  void *zeroed = memory_zeroed((size_t)check_u64(L, 1), (size_t)check_u64(L, 2));
  void *resized = memory_resize(NULL, (size_t)check_u64(L, 1), (size_t)check_u64(L, 2));
  lua_pushboolean(L, zeroed != NULL);
  lua_pushboolean(L, resized != NULL);
  memory_free(zeroed);
  memory_free(resized);
  return 2;
}

/* Let a table grow through these sizes, each byte of it written anew each time. Returns how
 * many of them were had before one was refused, and whether what was there had stayed. */
static int memory_grows(lua_State *L) {
  uint8_t *table = NULL;
  size_t size = 0;
  int had = 0, count = lua_gettop(L);
  bool has_stayed = true;
  for (; had < count; had++) {
    size_t next = (size_t)check_u64(L, had + 1);
    uint8_t *grown = memory_table_resize(table, size, next);
    if (grown != NULL) table = grown;
    for (size_t i = 0; i < size; i++) has_stayed &= table[i] == (uint8_t)(i * 7 + (size_t)had);
    if (grown == NULL) break;
    size = next;
    for (size_t i = 0; i < size; i++) table[i] = (uint8_t)(i * 7 + (size_t)had + 1);
  }
  memory_table_free(table, size);
  lua_pushinteger(L, had);
  lua_pushboolean(L, has_stayed);
  return 2;
}

static int memory_table_size_(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)memory_table_size((size_t)check_u64(L, 1)));
  return 1;
}

static const luaL_Reg memory_functions[] = {
    {"refuse", memory_refuse_}, {"balance", memory_balance_}, {"asks", memory_asks},
    {"grows", memory_grows},    {"table_size", memory_table_size_}, {NULL, NULL}};

/* ---- Latches --------------------------------------------------------------------- */

struct latch_race {
  struct latch latch;
  struct latch_lot lot;
  uint64_t count;
  unsigned rounds;
  unsigned pause; /* every so many rounds a thread takes its time; 0: never */
};

static void *run_race(void *context) {
  struct latch_race *race = context;
  for (unsigned i = 1; i <= race->rounds; i++) {
    latch_lock(&race->latch, &race->lot);
    uint64_t count = race->count;
    if (race->pause > 0 && i % race->pause == 0) thread_pause(); /* the others go to the lot */
    race->count = count + 1;
    latch_unlock(&race->latch, &race->lot);
  }
  return NULL;
}

/* (threads, rounds, pause) -> how often they counted, and whether the latch is free at last */
static int latch_race_(lua_State *L) {
  enum { THREADS_MAX = 8 };
  pthread_t threads[THREADS_MAX];
  struct latch_race race = {.rounds = (unsigned)check_u64(L, 2), .pause = (unsigned)check_u64(L, 3)};
  unsigned count = (unsigned)check_u64(L, 1), started = 0;
  luaL_argcheck(L, count <= THREADS_MAX, 1, "too many threads");
  latch_lot_init(&race.lot);
  while (started < count && thread_start(&threads[started], "race", run_race, &race) == BITCASK_OK)
    started++;
  for (unsigned i = 0; i < started; i++) pthread_join(threads[i], NULL);
  latch_lot_destroy(&race.lot);
  lua_pushinteger(L, (lua_Integer)race.count);
  lua_pushboolean(L, started == count && atomic_load(&race.latch.state) == LATCH_FREE);
  return 2;
}

static const luaL_Reg latch_functions[] = {{"race", latch_race_}, {NULL, NULL}};

/* ---- Status ---------------------------------------------------------------------- */

static int status_name(lua_State *L) {
  lua_pushstring(L, bitcask_status_name((enum bitcask_status)luaL_checkinteger(L, 1)));
  return 1;
}

static int status_text(lua_State *L) {
  status_fail(BITCASK_IO, "%s", luaL_checkstring(L, 1));
  lua_pushstring(L, bitcask_error_text());
  return 1;
}

/* A note keeps the first of two failures, and gives it back over a third. */
static int status_first(lua_State *L) {
  struct status_note note = {.status = BITCASK_OK};
  status_note_take(&note, status_fail(BITCASK_NOSPACE, "%s", luaL_checkstring(L, 1)));
  status_note_take(&note, status_fail(BITCASK_CORRUPT, "%s", luaL_checkstring(L, 2)));
  status_fail(BITCASK_IO, "%s", luaL_checkstring(L, 3));
  return lua_result_failure(L, status_note_give(&note));
}

static const luaL_Reg status_functions[] = {
    {"name", status_name}, {"text", status_text}, {"first", status_first}, {NULL, NULL}};

/* ---- Coding ---------------------------------------------------------------------- */

/* (bytes, sizes as in "1 2 4 8") -> the integers read, one after the other; failed? */
static int coding_read_(lua_State *L) {
  struct coding_reader reader = coding_read(lua_result_check_bytes(L, 1));
  int count = 0;
  luaL_checkstack(L, 64, "too many fields");
  for (const char *at = luaL_checkstring(L, 2); *at != '\0'; at++) {
    if (*at == '1') lua_pushinteger(L, coding_u8(&reader));
    if (*at == '2') lua_pushinteger(L, coding_u16(&reader));
    if (*at == '4') lua_pushinteger(L, coding_u32(&reader));
    if (*at == '8') lua_pushinteger(L, (lua_Integer)coding_u64(&reader));
    if (*at >= '1' && *at <= '8') count++;
  }
  lua_pushboolean(L, reader.failed);
  return count + 1;
}

/* (a u8, a u32, a u64) -> the bytes appended one behind the other */
static int coding_append(lua_State *L) {
  struct bitcask_buffer buffer = {0};
  enum bitcask_status status = coding_append_u8(&buffer, (uint8_t)check_u64(L, 1));
  if (status == BITCASK_OK) status = coding_append_u32(&buffer, (uint32_t)check_u64(L, 2));
  if (status == BITCASK_OK) status = coding_append_u64(&buffer, check_u64(L, 3));
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(buffer.data, buffer.size));
  bitcask_buffer_release(&buffer);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static const luaL_Reg coding_functions[] = {
    {"read", coding_read_}, {"append", coding_append}, {NULL, NULL}};

/* ---- Filename -------------------------------------------------------------------- */

static const char *const filename_kinds[] = {
    [FILENAME_KIND_OTHER] = "other",         [FILENAME_KIND_CURRENT] = "current",
    [FILENAME_KIND_LOCK] = "lock",           [FILENAME_KIND_STOPPED] = "stopped",
    [FILENAME_KIND_MANIFEST] = "manifest",   [FILENAME_KIND_SEGMENT] = "segment",
    [FILENAME_KIND_HINT] = "hint",           [FILENAME_KIND_TEMPORARY] = "temporary",
    [FILENAME_KIND_RESERVE] = "reserve",     [FILENAME_KIND_CHECKPOINT] = "checkpoint"};

static int filename_of(lua_State *L, filename (*maker)(uint64_t)) {
  lua_pushstring(L, maker(check_u64(L, 1)).text);
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

static struct record check_record(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  struct record record = {.version = get_field(L, arg, "version"),
                          .expires = get_field(L, arg, "expires"),
                          .key = get_bytes(L, arg, "key"),
                          .value = get_bytes(L, arg, "value"),
                          .synced = (uint32_t)get_field(L, arg, "synced"),
                          .flags = (uint8_t)get_field(L, arg, "flags")};
  record.value_check = record_value_check(record.value);
  return record;
}

static void push_record(lua_State *L, const struct record *record) {
  lua_newtable(L);
  lua_result_set_integer(L, "version", record->version);
  lua_result_set_integer(L, "expires", record->expires);
  lua_result_set_integer(L, "synced", record->synced);
  lua_result_set_integer(L, "flags", record->flags);
  set_bytes(L, "key", record->key);
  set_bytes(L, "value", record->value);
  lua_result_set_boolean(L, "is_value_intact", record_value_is_intact(record));
}

/* (record, salt, offset) -> its bytes, padded */
static int record_encode(lua_State *L) {
  static const char zeros[RECORD_UNIT];
  struct record record = check_record(L, 1);
  uint8_t header[RECORD_HEADER_SIZE_MAX];
  size_t size = record_encode_header(&record, check_u64(L, 2), check_u64(L, 3), header);
  size_t bare = size + record.key.size + record.value.size;
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  luaL_addlstring(&out, (const char *)header, size);
  luaL_addlstring(&out, record.key.data, record.key.size);
  luaL_addlstring(&out, record.value.data, record.value.size);
  luaL_addlstring(&out, zeros, (size_t)record_padded(bare) - bare);
  luaL_pushresult(&out);
  return 1;
}

/* (bytes, salt, offset) -> the record, or nil and what is wrong: "shape" or "check" */
static int record_decode(lua_State *L) {
  bitcask_bytes bytes = lua_result_check_bytes(L, 1);
  struct record record;
  const char *wrong = NULL;
  if (!record_parse(bytes.data, bytes.size, &record))
    wrong = "shape";
  else if (!record_header_is_intact(&record, bytes.data, check_u64(L, 2), check_u64(L, 3)))
    wrong = "check";
  if (wrong == NULL) {
    push_record(L, &record);
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

static const luaL_Reg record_functions[] = {{"encode", record_encode},
                                            {"decode", record_decode},
                                            {"peek", record_peek_},
                                            {NULL, NULL}};

/* ---- Header ---------------------------------------------------------------------- */

static const char *const header_kinds[] = {"segment", "hint", "manifest", "checkpoint", NULL};

static struct header check_header(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  struct header header = {.number = get_field(L, arg, "number"),
                          .salt = get_field(L, arg, "salt"),
                          .created_ms = get_field(L, arg, "created_ms"),
                          .boot = (uint32_t)get_field(L, arg, "boot")};
  lua_getfield(L, arg, "kind");
  header.kind = (enum header_kind)luaL_checkoption(L, -1, NULL, header_kinds);
  lua_getfield(L, arg, "store");
  header.store = check_store(L, -1);
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
  set_bytes(L, "store", bytes_of(header->store.bytes, sizeof header->store.bytes));
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
    struct hint_entry entry = {.version = get_field(L, table, "version"),
                               .offset = get_field(L, table, "offset"),
                               .size = get_field(L, table, "size"),
                               .expires = get_field(L, table, "expires"),
                               .key = get_bytes(L, table, "key"),
                               .flags = (uint8_t)get_field(L, table, "flags")};
    status = hint_append_entry(body, &entry);
    lua_pop(L, 1);
  }
  return status;
}

static void push_hint_entries(lua_State *L, struct coding_reader *reader) {
  struct hint_entry entry;
  lua_newtable(L);
  for (lua_Integer i = 1; hint_next_entry(reader, &entry); i++) {
    lua_newtable(L);
    lua_result_set_integer(L, "version", entry.version);
    lua_result_set_integer(L, "offset", entry.offset);
    lua_result_set_integer(L, "size", entry.size);
    lua_result_set_integer(L, "expires", entry.expires);
    lua_result_set_integer(L, "flags", entry.flags);
    set_bytes(L, "key", entry.key);
    lua_rawseti(L, -2, i);
  }
  lua_result_set_boolean(L, "failed", reader->failed);
}

/* (header, binding, entries) -> the bytes of a hint file */
static int hint_encode(lua_State *L) {
  struct header header = check_header(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  struct hint_binding binding = {get_field(L, 2, "segment_length"),
                                 get_field(L, 2, "segment_digest"), get_field(L, 2, "entries")};
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
  push_hint_entries(L, &reader);
  return 3;
}

static const luaL_Reg hint_functions[] = {
    {"encode", hint_encode}, {"decode", hint_decode_}, {NULL, NULL}};

/* ---- Edit ------------------------------------------------------------------------ */

static enum bitcask_status append_item(lua_State *L, int item, struct bitcask_buffer *payload) {
  lua_getfield(L, item, "tag");
  enum edit_tag tag = (enum edit_tag)*luaL_checkstring(L, -1);
  lua_pop(L, 1);
  struct segment_facts facts;
  switch (tag) {
    case EDIT_FULL:
      return edit_append_full(payload);
    case EDIT_NUMBERS:
      return edit_append_numbers(payload, get_field(L, item, "next_id"),
                                 get_field(L, item, "last_version"));
    case EDIT_OPEN:
      return edit_append_open(payload, get_field(L, item, "id"));
    case EDIT_REMOVED:
      return edit_append_removed(payload, get_field(L, item, "id"));
    case EDIT_DROPPED:
      return edit_append_dropped(payload, get_field(L, item, "version"));
    case EDIT_CHECKPOINT:
      return edit_append_checkpoint(payload, get_field(L, item, "salt"));
    case EDIT_CLOSED:
    case EDIT_SEALED:
      facts = check_facts(L, item);
      return edit_append_facts(payload, tag, &facts);
  }
  return status_fail(BITCASK_INVALID, "no such item");
}

/* Append the items of the list at `list`. Items that raise leak: only a wrong spec does. */
static enum bitcask_status append_items(lua_State *L, int list, struct bitcask_buffer *payload) {
  enum bitcask_status status = BITCASK_OK;
  lua_Integer count = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; status == BITCASK_OK && i <= count; i++) {
    lua_rawgeti(L, list, i);
    status = append_item(L, lua_gettop(L), payload);
    lua_pop(L, 1);
  }
  return status;
}

/* (list of items) -> payload */
static int edit_encode(lua_State *L) {
  struct bitcask_buffer payload = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  enum bitcask_status status = append_items(L, 1, &payload);
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(payload.data, payload.size));
  bitcask_buffer_release(&payload);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static void push_item(lua_State *L, const struct edit_item *item) {
  char tag[] = {(char)item->tag, '\0'};
  if (item->tag == EDIT_CLOSED || item->tag == EDIT_SEALED)
    push_facts(L, &item->facts);
  else
    lua_newtable(L);
  lua_result_set_string(L, "tag", tag);
  if (item->tag == EDIT_OPEN || item->tag == EDIT_REMOVED)
    lua_result_set_integer(L, "id", item->id);
  if (item->tag == EDIT_DROPPED) lua_result_set_integer(L, "version", item->version);
  if (item->tag == EDIT_CHECKPOINT) lua_result_set_integer(L, "salt", item->salt);
  if (item->tag == EDIT_NUMBERS) {
    lua_result_set_integer(L, "next_id", item->next_id);
    lua_result_set_integer(L, "last_version", item->last_version);
  }
}

/* (payload) -> list of items, whether reading them failed */
static int edit_decode(lua_State *L) {
  struct coding_reader reader = coding_read(lua_result_check_bytes(L, 1));
  struct edit_item item;
  lua_newtable(L);
  for (lua_Integer i = 1; edit_next_item(&reader, &item); i++) {
    push_item(L, &item);
    lua_rawseti(L, -2, i);
  }
  lua_pushboolean(L, reader.failed);
  return 2;
}

/* (payload, number, salt) -> frame and payload */
static int edit_frame(lua_State *L) {
  bitcask_bytes payload = lua_result_check_bytes(L, 1);
  uint8_t frame[EDIT_FRAME_SIZE];
  edit_encode_frame(payload, check_u64(L, 2), check_u64(L, 3), frame);
  lua_result_push_bytes(L, bytes_of(frame, sizeof frame));
  lua_pushvalue(L, 1);
  lua_concat(L, 2);
  return 1;
}

/* (bytes, salt) -> number, payload; or nil */
static int edit_unframe(lua_State *L) {
  uint64_t number = 0;
  bitcask_bytes payload;
  if (!edit_decode_frame(lua_result_check_bytes(L, 1), check_u64(L, 2), &number, &payload))
    return 0;
  lua_pushinteger(L, (lua_Integer)number);
  lua_result_push_bytes(L, payload);
  return 2;
}

static const luaL_Reg edit_functions[] = {{"encode", edit_encode},
                                          {"decode", edit_decode},
                                          {"frame", edit_frame},
                                          {"unframe", edit_unframe},
                                          {NULL, NULL}};

/* ---- Hash ------------------------------------------------------------------------ */

/* (name, key, seed) -> the hash; raises for a name that is not there */
static int hash_of_(lua_State *L) {
  struct hash hash;
  uint64_t value = 0;
  enum bitcask_status status =
      hash_init(&hash, luaL_checkstring(L, 1), NULL, NULL, (uint64_t)luaL_optinteger(L, 3, 0));
  if (status == BITCASK_OK) status = hash_of(&hash, lua_result_check_bytes(L, 2), &value);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushinteger(L, (lua_Integer)value);
  return 1;
}

static const luaL_Reg hash_functions[] = {{"of", hash_of_}, {NULL, NULL}};

/* ---- Disk: files ----------------------------------------------------------------- */

#define FILE_TYPE "bitcask.internals.file"
#define DIRECTORY_TYPE "bitcask.internals.directory"

static struct disk_file *check_file(lua_State *L) { return check_object(L, 1, FILE_TYPE); }

/* (headroom, part, ...) */
static int file_append(lua_State *L) {
  enum { PARTS_MAX = 8 };
  bitcask_bytes parts[PARTS_MAX];
  struct disk_file *file = check_file(L);
  size_t headroom = (size_t)check_u64(L, 2);
  int count = lua_gettop(L) - 2;
  luaL_argcheck(L, count <= PARTS_MAX, PARTS_MAX + 3, "too many parts");
  for (int i = 0; i < count; i++) parts[i] = lua_result_check_bytes(L, i + 3);
  return push_status(L, file->ops->append(file, parts, (size_t)count, headroom));
}

/* (end) */
static int file_make_ready(lua_State *L) {
  struct disk_file *file = check_file(L);
  file->ops->make_ready(file, check_u64(L, 2));
  return 0;
}

/* (offset, size) -> the bytes there, fewer at the end */
static int file_read_at(lua_State *L) {
  struct disk_file *file = check_file(L);
  size_t size = (size_t)check_u64(L, 3), got = 0;
  luaL_Buffer out;
  char *into = luaL_buffinitsize(L, &out, size);
  enum bitcask_status status = file->ops->read_at(file, check_u64(L, 2), into, size, &got);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  luaL_pushresultsize(&out, got);
  return 1;
}

/* (offset, size) -> exactly these bytes */
static int file_view(lua_State *L) {
  struct bitcask_buffer scratch = {0};
  const uint8_t *bytes = NULL;
  size_t size = (size_t)check_u64(L, 3);
  enum bitcask_status status =
      disk_file_view(check_file(L), check_u64(L, 2), size, &scratch, &bytes);
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(bytes, size));
  bitcask_buffer_release(&scratch);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static int file_sync(lua_State *L) {
  struct disk_file *file = check_file(L);
  return push_status(L, file->ops->sync(file));
}

static int file_finish(lua_State *L) {
  struct disk_file *file = check_file(L);
  return push_status(L, file->ops->finish(file));
}

static int file_freeze(lua_State *L) {
  struct disk_file *file = check_file(L);
  file->ops->freeze(file);
  return 0;
}

/* (offset, size) */
static int file_will_read(lua_State *L) {
  struct disk_file *file = check_file(L);
  file->ops->will_read(file, check_u64(L, 2), check_u64(L, 3));
  return 0;
}

static int file_size(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)disk_file_size(check_file(L)));
  return 1;
}

static int file_is_mapped(lua_State *L) {
  lua_pushboolean(L, check_file(L)->map != NULL);
  return 1;
}

static int file_close(lua_State *L) {
  disk_file_close(take_object(L, FILE_TYPE));
  return 0;
}

static const luaL_Reg file_methods[] = {
    {"append", file_append}, {"read_at", file_read_at}, {"view", file_view},
    {"sync", file_sync},     {"finish", file_finish},   {"freeze", file_freeze},
    {"size", file_size},     {"is_mapped", file_is_mapped}, {"will_read", file_will_read},
    {"make_ready", file_make_ready}, {NULL, NULL}};

/* ---- Disk: directories ----------------------------------------------------------- */

static struct disk_directory *check_directory(lua_State *L, int arg) {
  return check_object(L, arg, DIRECTORY_TYPE);
}

/* (name, capacity) -> file */
static int directory_create(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  const char *name = luaL_checkstring(L, 2);
  uint64_t capacity = (uint64_t)luaL_optinteger(L, 3, 0);
  void **file = new_object(L, FILE_TYPE, 1);
  enum bitcask_status status =
      directory->ops->create(directory, name, capacity, (struct disk_file **)file);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (name, growing) -> file */
static int directory_open(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  const char *name = luaL_checkstring(L, 2);
  bool growing = lua_toboolean(L, 3);
  void **file = new_object(L, FILE_TYPE, 1);
  enum bitcask_status status =
      directory->ops->open(directory, name, growing, (struct disk_file **)file);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (name, size, capacity) -> file */
static int directory_reopen(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  const char *name = luaL_checkstring(L, 2);
  uint64_t size = check_u64(L, 3), capacity = check_u64(L, 4);
  void **file = new_object(L, FILE_TYPE, 1);
  enum bitcask_status status =
      directory->ops->reopen(directory, name, size, capacity, (struct disk_file **)file);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (name, size): hold space */
static int directory_reserve(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  return push_status(L,
                     directory->ops->reserve(directory, luaL_checkstring(L, 2), check_u64(L, 3)));
}

static int directory_remove(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  return push_status(L, directory->ops->remove(directory, luaL_checkstring(L, 2)));
}

static int directory_rename(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  return push_status(L, directory->ops->rename(directory, luaL_checkstring(L, 2),
                                               luaL_checkstring(L, 3)));
}

static int directory_sync(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  return push_status(L, directory->ops->sync(directory));
}

static void add_name(void *context, const char *name) {
  lua_State *L = context;
  lua_pushstring(L, name);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int directory_list(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  lua_newtable(L);
  enum bitcask_status status = directory->ops->list(directory, add_name, L);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static int directory_lock(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  return push_status(L, directory->ops->lock(directory, luaL_checkstring(L, 2)));
}

static int directory_unlock(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  directory->ops->unlock(directory);
  return 0;
}

static int directory_identify(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  struct disk_identity identity;
  directory->ops->identify(directory, &identity);
  lua_pushfstring(L, "%I:%I", (LUAI_UACINT)identity.device, (LUAI_UACINT)identity.inode);
  return 1;
}

static int directory_open_files(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  lua_pushinteger(L, directory->ops->open_files(directory));
  return 1;
}

/* (name, limit) -> all of a file */
static int directory_read_whole(lua_State *L) {
  struct bitcask_buffer whole = {0};
  enum bitcask_status status = disk_read_whole(check_directory(L, 1), luaL_checkstring(L, 2),
                                               (size_t)check_u64(L, 3), &whole);
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(whole.data, whole.size));
  bitcask_buffer_release(&whole);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (temporary, name, bytes) */
static int directory_replace(lua_State *L) {
  return push_status(L, disk_replace(check_directory(L, 1), luaL_checkstring(L, 2),
                                     luaL_checkstring(L, 3), lua_result_check_bytes(L, 4)));
}

static int directory_close(lua_State *L) {
  struct disk_directory *directory = take_object(L, DIRECTORY_TYPE);
  if (directory != NULL) directory->ops->close(directory);
  return 0;
}

static const luaL_Reg directory_methods[] = {
    {"create", directory_create},     {"open", directory_open},
    {"reopen", directory_reopen},     {"remove", directory_remove},
    {"rename", directory_rename},     {"sync", directory_sync},
    {"list", directory_list},         {"lock", directory_lock},
    {"unlock", directory_unlock},     {"identify", directory_identify},
    {"open_files", directory_open_files}, {"read_whole", directory_read_whole},
    {"replace", directory_replace},   {"reserve", directory_reserve}, {NULL, NULL}};

/* (path, create) -> directory */
static int disk_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  bool create = lua_toboolean(L, 2);
  void **directory = new_object(L, DIRECTORY_TYPE, 0);
  struct disk *disk = disk_posix();
  enum bitcask_status status =
      disk->ops->open_directory(disk, path, create, (struct disk_directory **)directory);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* -> now in ms, monotonic in us, boot */
static int disk_clocks(lua_State *L) {
  struct disk *disk = disk_posix();
  lua_pushinteger(L, (lua_Integer)disk->ops->now_ms(disk));
  lua_pushinteger(L, (lua_Integer)disk->ops->monotonic_us(disk));
  lua_pushinteger(L, disk->ops->boot(disk));
  return 3;
}

static int disk_random(lua_State *L) {
  struct disk *disk = disk_posix();
  size_t size = (size_t)check_u64(L, 1);
  luaL_Buffer out;
  char *into = luaL_buffinitsize(L, &out, size);
  enum bitcask_status status = disk->ops->random(disk, into, size);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  luaL_pushresultsize(&out, size);
  return 1;
}

static const luaL_Reg disk_functions[] = {
    {"open", disk_open}, {"clocks", disk_clocks}, {"random", disk_random}, {NULL, NULL}};

/* ---- Segment --------------------------------------------------------------------- */

#define SEGMENT_TYPE "bitcask.internals.segment"

static struct segment *check_segment(lua_State *L, int arg) {
  return check_object(L, arg, SEGMENT_TYPE);
}

/* (directory, store, id, capacity) -> segment */
static int segment_create_(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  store_identity store = check_store(L, 2);
  uint64_t id = check_u64(L, 3), capacity = check_u64(L, 4);
  void **segment = new_object(L, SEGMENT_TYPE, 1);
  enum bitcask_status status = segment_create(disk_posix(), directory, store, id, capacity,
                                              (struct segment **)segment);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (directory, store, facts, growing) -> segment */
static int segment_open_(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  store_identity store = check_store(L, 2);
  struct segment_facts facts = check_facts(L, 3);
  bool growing = lua_toboolean(L, 4);
  void **segment = new_object(L, SEGMENT_TYPE, 1);
  enum bitcask_status status =
      segment_open(directory, store, &facts, growing, (struct segment **)segment);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (directory, store, facts, capacity) -> segment */
static int segment_reopen_(lua_State *L) {
  struct disk_directory *directory = check_directory(L, 1);
  store_identity store = check_store(L, 2);
  struct segment_facts facts = check_facts(L, 3);
  uint64_t capacity = check_u64(L, 4);
  void **segment = new_object(L, SEGMENT_TYPE, 1);
  enum bitcask_status status =
      segment_reopen(directory, store, &facts, capacity, (struct segment **)segment);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (record, headroom) -> offset */
static int segment_append_(lua_State *L) {
  struct segment *segment = check_segment(L, 1);
  struct record record = check_record(L, 2);
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
  struct segment *segment = check_segment(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t count = lua_rawlen(L, 2);
  luaL_argcheck(L, count <= RECORDS_MAX, 2, "too many records");
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1); /* stays in the list, which keeps its strings */
    records[i] = check_record(L, lua_gettop(L));
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
  struct segment *segment = check_segment(L, 1);
  struct bitcask_buffer scratch = {0};
  const uint8_t *bytes = NULL;
  size_t size = (size_t)check_u64(L, 3);
  enum bitcask_status status = segment_view(segment, check_u64(L, 2), size, &scratch, &bytes);
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(bytes, size));
  bitcask_buffer_release(&scratch);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static int segment_sync_(lua_State *L) {
  struct segment *segment = check_segment(L, 1);
  return push_status(L, segment_sync(segment, segment->facts.length));
}

static int segment_facts_(lua_State *L) {
  struct segment *segment = check_segment(L, 1);
  push_facts(L, &segment->facts);
  lua_result_set_integer(L, "salt", segment->salt);
  lua_result_set_integer(L, "synced_length", atomic_load(&segment->synced_length));
  lua_result_set_integer(L, "references", atomic_load(&segment->references));
  return 1;
}

/* Its files go when the last reference does. */
static int segment_make_obsolete(lua_State *L) {
  atomic_store(&check_segment(L, 1)->is_obsolete, true);
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
    push_record(L, &scan->record);
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
  segment_scan_init(&scan, check_segment(L, 1), check_u64(L, 2), lua_toboolean(L, 3));
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
  struct segment *segment = check_segment(L, 1);
  return push_status(L, hint_file_write(disk_posix(), segment, check_store(L, 2)));
}

static int segment_close(lua_State *L) {
  segment_unref(take_object(L, SEGMENT_TYPE));
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
  struct disk_directory *directory = check_directory(L, 1);
  struct segment_facts facts = check_facts(L, 3);
  struct hint_file hint;
  enum bitcask_status status = hint_file_load(directory, check_store(L, 2), &facts, &hint);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  push_hint_entries(L, &hint.entries);
  hint_file_release(&hint);
  return 1;
}

static const luaL_Reg segment_functions[] = {{"create", segment_create_},
                                             {"open", segment_open_},
                                             {"reopen", segment_reopen_},
                                             {"load_hint", segment_load_hint},
                                             {NULL, NULL}};

/* ---- Tables of the keydir --------------------------------------------------------- */

#define TABLE_TYPE "bitcask.internals.keydir_table"

static struct keydir_table *check_table(lua_State *L) { return check_object(L, 1, TABLE_TYPE); }

static int table_new(lua_State *L) {
  void **table = new_object(L, TABLE_TYPE, 0);
  *table = memory_zeroed(1, sizeof(struct keydir_table));
  return *table != NULL ? 1 : lua_result_failure(L, BITCASK_NOMEMORY);
}

/* (more, phase) */
static int table_make_room(lua_State *L) {
  return push_status(L, keydir_table_make_room(check_table(L), (unsigned)check_u64(L, 2),
                                               (unsigned)luaL_optinteger(L, 3, 0)));
}

static int table_has_room(lua_State *L) {
  lua_pushboolean(L, keydir_table_has_room(check_table(L), (unsigned)check_u64(L, 2)));
  return 1;
}

/* (hash, place) */
static int table_insert(lua_State *L) {
  struct keydir_entry entry = {(uint32_t)check_u64(L, 2), 1, check_u64(L, 3)};
  keydir_table_insert(check_table(L), &entry);
  return 0;
}

static int table_remove(lua_State *L) {
  struct keydir_table *table = check_table(L);
  struct keydir_entry *entry =
      keydir_table_entry(table, (uint32_t)check_u64(L, 2), check_u64(L, 3));
  if (entry != NULL) keydir_table_remove(table, (uint32_t)(entry - table->slots));
  lua_pushboolean(L, entry != NULL);
  return 1;
}

/* From slots that are another's to slots of its own. */
static int table_own(lua_State *L) {
  struct keydir_table *table = check_table(L), lent = *table;
  enum bitcask_status status = keydir_table_own(table);
  if (status == BITCASK_OK) keydir_table_clear(&lent);
  return push_status(L, status);
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
  struct keydir_table *table = take_object(L, TABLE_TYPE);
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

static struct keydir *check_keydir(lua_State *L) { return check_object(L, 1, KEYDIR_TYPE); }

static int keydir_new_(lua_State *L) {
  lua_newtable(L); /* of the segments that old entries refer to */
  void **keydir = new_object(L, KEYDIR_TYPE, -1);
  enum bitcask_status status = keydir_new((struct keydir **)keydir);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (slot, offset, expires) -> place */
static int keydir_place(lua_State *L) {
  place at = place_make((uint32_t)check_u64(L, 1), check_u64(L, 2),
                        lua_toboolean(L, 3) ? PLACE_EXPIRES : 0);
  lua_pushinteger(L, (lua_Integer)at);
  return 1;
}

/* (place) -> slot, offset */
static int keydir_unplace(lua_State *L) {
  place at = check_u64(L, 1);
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
  return push_status(L, keydir_reserve(check_keydir(L), check_u64(L, 2),
                                       (unsigned)check_u64(L, 3), lua_toboolean(L, 4)));
}

/* (hash, at, size) */
static int keydir_insert_(lua_State *L) {
  keydir_insert(check_keydir(L), check_u64(L, 2), check_u64(L, 3), check_u64(L, 4));
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
  keydir_find(check_keydir(L), check_u64(L, 2), (unsigned)luaL_optinteger(L, 3, 0), &matches);
  return push_matches(L, &matches);
}

/* (hash, more, keeping) -> the same, of the first page */
static int keydir_reserve_and_find_(lua_State *L) {
  struct keydir_matches matches;
  enum bitcask_status status =
      keydir_reserve_and_find(check_keydir(L), check_u64(L, 2), (unsigned)check_u64(L, 3),
                              lua_toboolean(L, 4), &matches);
  return status == BITCASK_OK ? push_matches(L, &matches) : lua_result_failure(L, status);
}

/* (hash, version, first) -> the same among the old entries */
static int keydir_find_old_(lua_State *L) {
  struct keydir_matches matches;
  struct segment *segments[KEYDIR_MATCHES];
  keydir_find_old(check_keydir(L), check_u64(L, 2), check_u64(L, 3),
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
                .units = (uint32_t)(get_field(L, arg, "size") / 8),
                .at = get_field(L, arg, "at")},
      .born = get_field(L, arg, "born"),
      .died = get_field(L, arg, "died")};
  lua_getfield(L, arg, "segment");
  keep->segment = check_segment(L, lua_gettop(L));
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
  uint64_t hash = check_u64(L, 2);
  const struct keydir_old *kept = check_keep(L, 6, hash, &keep);
  lua_pushboolean(L, keydir_replace(check_keydir(L), hash, check_u64(L, 3), check_u64(L, 4),
                                    check_u64(L, 5), kept));
  return 1;
}

/* (hash, from, keep) -> was it there */
static int keydir_remove_(lua_State *L) {
  struct keydir_old keep;
  uint64_t hash = check_u64(L, 2);
  const struct keydir_old *kept = check_keep(L, 4, hash, &keep);
  lua_pushboolean(L, keydir_remove(check_keydir(L), hash, check_u64(L, 3), kept));
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
  lua_newtable(L);
  keydir_read_shard(check_keydir(L), (unsigned)check_u64(L, 2), add_visited, L);
  return 1;
}

/* (shard, version) -> list of places, list of the old ones' places */
static int keydir_copy(lua_State *L) {
  struct bitcask_buffer places = {0}, olds = {0};
  enum bitcask_status status = keydir_copy_shard(check_keydir(L), (unsigned)check_u64(L, 2),
                                                 check_u64(L, 3), &places, &olds);
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
  uint64_t dropped = keydir_drop_tombstones(check_keydir(L), (unsigned)check_u64(L, 2));
  lua_pushinteger(L, (lua_Integer)dropped);
  return 1;
}

/* (limit, version, ...): the versions of open snapshots, rising */
static int keydir_prune_(lua_State *L) {
  enum { SNAPSHOTS_MAX = 16 };
  uint64_t snapshots[SNAPSHOTS_MAX];
  int count = lua_gettop(L) - 2;
  luaL_argcheck(L, count <= SNAPSHOTS_MAX, SNAPSHOTS_MAX + 3, "too many snapshots");
  for (int i = 0; i < count; i++) snapshots[i] = check_u64(L, i + 3);
  keydir_prune(check_keydir(L), snapshots, (size_t)count, check_u64(L, 2));
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

static int keydir_close(lua_State *L) {
  keydir_free(take_object(L, KEYDIR_TYPE));
  return 0;
}

static const luaL_Reg keydir_methods[] = {
    {"reserve", keydir_reserve_}, {"insert", keydir_insert_},
    {"reserve_and_find", keydir_reserve_and_find_},
    {"find", keydir_find_},       {"find_old", keydir_find_old_},
    {"replace", keydir_replace_}, {"remove", keydir_remove_},
    {"visit", keydir_visit},      {"copy", keydir_copy},
    {"prune", keydir_prune_},     {"drop_tombstones", keydir_drop_tombstones_},
    {"counts", keydir_counts},    {NULL, NULL}};

static const luaL_Reg keydir_functions[] = {
    {"new", keydir_new_}, {"place", keydir_place}, {"unplace", keydir_unplace}, {NULL, NULL}};

/* ---- Manifest -------------------------------------------------------------------- */

#define MANIFEST_TYPE "bitcask.internals.manifest"

static struct manifest *check_manifest(lua_State *L) { return check_object(L, 1, MANIFEST_TYPE); }

typedef enum bitcask_status (*manifest_opener)(struct manifest *manifest, struct disk *disk,
                                               struct disk_directory *directory);

static int open_manifest(lua_State *L, manifest_opener opener) {
  struct disk_directory *directory = check_directory(L, 1);
  void **object = new_object(L, MANIFEST_TYPE, 1);
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
  uint64_t last_version = check_u64(L, 2);
  struct bitcask_buffer items = {0};
  luaL_checktype(L, 3, LUA_TTABLE);
  enum bitcask_status status = append_items(L, 3, &items);
  if (status == BITCASK_OK)
    status = manifest_commit(manifest, last_version, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  return push_status(L, status);
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
    push_facts(L, &state->closed);
    lua_setfield(L, -2, "closed");
  }
  lua_newtable(L);
  for (size_t i = 0; i < state->sealed_count; i++) {
    push_facts(L, &state->sealed[i]);
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
  manifest->rollover_size = check_u64(L, 2);
  return 0;
}

static int manifest_close(lua_State *L) {
  struct manifest *manifest = take_object(L, MANIFEST_TYPE);
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
  enum bitcask_status status = manifest_current(check_directory(L, 1), &number, &store);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushinteger(L, (lua_Integer)number);
  lua_result_push_bytes(L, bytes_of(store.bytes, sizeof store.bytes));
  return 2;
}

static const luaL_Reg manifest_functions[] = {{"init", manifest_init_},
                                              {"load", manifest_load_},
                                              {"current", manifest_current_},
                                              {NULL, NULL}};

/* ---- Tombstones ------------------------------------------------------------------ */

#define TOMBSTONES_TYPE "bitcask.internals.tombstones"

static struct tombstones *check_tombstones(lua_State *L) {
  return check_object(L, 1, TOMBSTONES_TYPE);
}

static int tombstones_new(lua_State *L) {
  void **object = new_object(L, TOMBSTONES_TYPE, 0);
  struct tombstones *set = memory_zeroed(1, sizeof *set);
  if (set == NULL) return lua_result_failure(L, BITCASK_NOMEMORY);
  tombstones_init(set);
  *object = set;
  return 1;
}

/* (segment, store, oldest_put) */
static int tombstones_collect_(lua_State *L) {
  return push_status(L, tombstones_collect(check_tombstones(L), check_segment(L, 2),
                                           check_store(L, 3), check_u64(L, 4)));
}

/* (segment, store) */
static int tombstones_mark_(lua_State *L) {
  return push_status(
      L, tombstones_mark(check_tombstones(L), check_segment(L, 2), check_store(L, 3)));
}

/* (key, version, oldest_put) */
static int tombstones_is_needed_(lua_State *L) {
  lua_pushboolean(L, tombstones_is_needed(check_tombstones(L), lua_result_check_bytes(L, 2),
                                          check_u64(L, 3), check_u64(L, 4)));
  return 1;
}

static int tombstones_close(lua_State *L) {
  struct tombstones *set = take_object(L, TOMBSTONES_TYPE);
  if (set == NULL) return 0;
  tombstones_release(set);
  memory_free(set);
  return 0;
}

static const luaL_Reg tombstones_methods[] = {{"collect", tombstones_collect_},
                                              {"mark", tombstones_mark_},
                                              {"is_needed", tombstones_is_needed_},
                                              {NULL, NULL}};
static const luaL_Reg tombstones_functions[] = {{"new", tombstones_new}, {NULL, NULL}};

/* ---- Radix ----------------------------------------------------------------------- */

/* (numbers, size, mask) -> where each of the sorted ones stood before. Items have `size` bytes, 16
 * at least; between the number and where it stood they hold bytes that tell it, too. */
static int radix_sort_(lua_State *L) {
  size_t count = (size_t)luaL_len(L, 1), size = (size_t)luaL_checkinteger(L, 2);
  uint8_t *items = lua_newuserdatauv(L, count * size + 1, 0);
  uint8_t *spare = lua_newuserdatauv(L, count * size + 1, 0);
  for (size_t i = 0; i < count; i++) {
    lua_geti(L, 1, (lua_Integer)i + 1);
    uint64_t number = check_u64(L, -1), stood = i + 1;
    lua_pop(L, 1);
    memset(items + i * size, (int)(stood & 0xFF), size);
    memcpy(items + i * size, &number, sizeof number);
    memcpy(items + (i + 1) * size - sizeof stood, &stood, sizeof stood);
  }
  radix_sort(items, spare, count, size, check_u64(L, 3));
  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    uint64_t stood;
    memcpy(&stood, items + (i + 1) * size - sizeof stood, sizeof stood);
    for (size_t k = 8; k < size - 8; k++)
      if (items[i * size + k] != (stood & 0xFF)) return luaL_error(L, "an item is torn");
    lua_pushinteger(L, (lua_Integer)stood);
    lua_seti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static const luaL_Reg radix_functions[] = {{"sort", radix_sort_}, {NULL, NULL}};
/* ---- Throttle -------------------------------------------------------------------- */

#define THROTTLE_TYPE "bitcask.internals.throttle"

static struct throttle *check_throttle(lua_State *L) {
  return check_object(L, 1, THROTTLE_TYPE);
}

/* (rate, now) */
static int throttle_new(lua_State *L) {
  uint64_t rate = check_u64(L, 1), now = check_u64(L, 2);
  void **object = new_object(L, THROTTLE_TYPE, 0);
  struct throttle *throttle = memory_zeroed(1, sizeof *throttle);
  if (throttle == NULL) return lua_result_failure(L, BITCASK_NOMEMORY);
  throttle_init(throttle, rate, now);
  *object = throttle;
  return 1;
}

/* (throttle, bytes, now) */
static int throttle_spend_(lua_State *L) {
  throttle_spend(check_throttle(L), check_u64(L, 2), check_u64(L, 3));
  return 0;
}

/* (throttle, now) -> microseconds */
static int throttle_delay_(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)throttle_delay(check_throttle(L), check_u64(L, 2)));
  return 1;
}

static int throttle_pause_(lua_State *L) {
  throttle_pause(check_throttle(L), lua_toboolean(L, 2));
  return 0;
}

static int throttle_cancel_(lua_State *L) {
  throttle_cancel(check_throttle(L));
  return 0;
}

/* (throttle): waits by the system's clock */
static int throttle_wait_(lua_State *L) {
  throttle_wait(check_throttle(L), disk_posix());
  return 0;
}

static int throttle_close(lua_State *L) {
  struct throttle *throttle = take_object(L, THROTTLE_TYPE);
  if (throttle == NULL) return 0;
  throttle_release(throttle);
  memory_free(throttle);
  return 0;
}

static const luaL_Reg throttle_methods[] = {
    {"spend", throttle_spend_},   {"delay", throttle_delay_}, {"pause", throttle_pause_},
    {"cancel", throttle_cancel_}, {"wait", throttle_wait_},   {NULL, NULL}};
static const luaL_Reg throttle_functions[] = {{"new", throttle_new}, {NULL, NULL}};

/* ---- The module ------------------------------------------------------------------ */

static void set_functions(lua_State *L, const char *name, const luaL_Reg *functions) {
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  lua_setfield(L, -2, name);
}

int luaopen_bitcask_internals(lua_State *L) {
  luaL_checkversion(L);
  new_type(L, FILE_TYPE, file_methods, file_close);
  new_type(L, DIRECTORY_TYPE, directory_methods, directory_close);
  new_type(L, SEGMENT_TYPE, segment_methods, segment_close);
  new_type(L, TABLE_TYPE, table_methods, table_close);
  new_type(L, KEYDIR_TYPE, keydir_methods, keydir_close);
  new_type(L, MANIFEST_TYPE, manifest_methods, manifest_close);
  new_type(L, TOMBSTONES_TYPE, tombstones_methods, tombstones_close);
  new_type(L, THROTTLE_TYPE, throttle_methods, throttle_close);
  lua_newtable(L);
  set_functions(L, "memory", memory_functions);
  set_functions(L, "latch", latch_functions);
  set_functions(L, "status", status_functions);
  set_functions(L, "coding", coding_functions);
  set_functions(L, "filename", filename_functions);
  set_functions(L, "record", record_functions);
  set_functions(L, "header", header_functions);
  set_functions(L, "hint", hint_functions);
  set_functions(L, "edit", edit_functions);
  set_functions(L, "hash", hash_functions);
  set_functions(L, "disk", disk_functions);
  set_functions(L, "segment", segment_functions);
  set_functions(L, "keydir_table", table_functions);
  set_functions(L, "keydir", keydir_functions);
  set_functions(L, "manifest", manifest_functions);
  set_functions(L, "tombstones", tombstones_functions);
  set_functions(L, "radix", radix_functions);
  set_functions(L, "throttle", throttle_functions);
  return 1;
}
