#include "bind/lua_result.h"

int lua_result_raise(lua_State *L) {
  return luaL_error(L, "%s", bitcask_error_text());
}

int lua_result_failure(lua_State *L, enum bitcask_status status) {
  if (status == BITCASK_INVALID) return lua_result_raise(L);
  lua_pushnil(L);
  lua_pushstring(L, bitcask_error_text());
  lua_pushstring(L, bitcask_status_name(status));
  return 3;
}

void lua_result_push_bytes(lua_State *L, bitcask_bytes bytes) {
  lua_pushlstring(L, bytes.data, bytes.size);
}

void lua_result_set_integer(lua_State *L, const char *field, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

void lua_result_set_number(lua_State *L, const char *field, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, field);
}

void lua_result_set_string(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

void lua_result_set_boolean(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

void lua_result_set_time(lua_State *L, const char *field, uint64_t milliseconds) {
  if (milliseconds != 0) lua_result_set_number(L, field, (double)milliseconds / 1000);
}

void lua_result_push_stat(lua_State *L, const struct bitcask_stat *stat) {
  lua_createtable(L, 0, 5);
  lua_result_set_integer(L, "version", stat->version);
  lua_result_set_integer(L, "size", stat->size);
  lua_result_set_integer(L, "segment", stat->segment);
  lua_result_set_integer(L, "offset", stat->offset);
  lua_result_set_time(L, "expires", stat->expires);
}

void lua_result_push_report(lua_State *L, const struct bitcask_merge_report *report) {
  lua_createtable(L, 0, 12);
  lua_result_set_integer(L, "segments_in", report->segments_in);
  lua_result_set_integer(L, "segments_out", report->segments_out);
  lua_result_set_integer(L, "bytes_read", report->bytes_read);
  lua_result_set_integer(L, "bytes_written", report->bytes_written);
  lua_result_set_integer(L, "records_kept", report->records_kept);
  lua_result_set_integer(L, "records_dropped", report->records_dropped);
  lua_result_set_integer(L, "tombstones_kept", report->tombstones_kept);
  lua_result_set_integer(L, "tombstones_dropped", report->tombstones_dropped);
  lua_result_set_integer(L, "segments_damaged", report->segments_damaged);
  lua_result_set_integer(L, "keys_dropped", report->keys_dropped);
  lua_result_set_integer(L, "keys_rewritten", report->keys_rewritten);
  lua_result_set_number(L, "seconds", report->seconds);
}

/* An answer or a mistake never comes as a code. */
static bool is_code(enum bitcask_status status) {
  return status != BITCASK_OK && status != BITCASK_ABSENT && status != BITCASK_INVALID;
}

void lua_result_push_codes(lua_State *L) {
  static const enum bitcask_status all[] = {
#define STATUS(name, text) BITCASK_##name,
      BITCASK_STATUS_LIST(STATUS)
#undef STATUS
  };
  size_t count = sizeof all / sizeof all[0];
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) {
    const char *name = bitcask_status_name(all[i]);
    if (is_code(all[i])) lua_result_set_string(L, name, name);
  }
}
