/*
 * What crosses between C and Lua: statuses out, bytes in and out, numbers into tables.
 *
 *   status          in Lua
 *   OK              what the call promises
 *   ABSENT          an answer: nil or false, as the call promises
 *   INVALID         raised: the caller asked for something impossible
 *   anything else   nil, message, code
 *
 * Bytes taken from Lua are borrowed from the string on the stack. Keys and values are
 * strings strictly: a number would be two keys, 1 and 1.0.
 */
#ifndef BIND_LUA_RESULT_H
#define BIND_LUA_RESULT_H

#include <lauxlib.h>
#include <lua.h>

#include "bitcask.h"

/* Push nil, message, code for a failure; raise INVALID. Returns how many were pushed. */
int lua_result_failure(lua_State *L, enum bitcask_status status);

/* Raise the last failure, with its text: where it cannot be returned. */
int lua_result_raise(lua_State *L);

/* The string at `arg`, borrowed; without data where there is anything else, a number included. */
static inline bitcask_bytes lua_result_bytes(lua_State *L, int arg) {
  bitcask_bytes bytes = {NULL, 0};
  if (lua_type(L, arg) == LUA_TSTRING) bytes.data = lua_tolstring(L, arg, &bytes.size);
  return bytes;
}

/* The same, but raises for anything else. */
static inline bitcask_bytes lua_result_check_bytes(lua_State *L, int arg) {
  bitcask_bytes bytes = lua_result_bytes(L, arg);
  if (bytes.data == NULL) luaL_typeerror(L, arg, "string");
  return bytes;
}

void lua_result_push_bytes(lua_State *L, bitcask_bytes bytes);

/* Set a field of the table on top of the stack. */
void lua_result_set_integer(lua_State *L, const char *field, uint64_t value);
void lua_result_set_number(lua_State *L, const char *field, double value);
void lua_result_set_string(lua_State *L, const char *field, const char *value);
void lua_result_set_boolean(lua_State *L, const char *field, bool value);

/* The same from milliseconds to seconds; 0, for "never", sets nothing. */
void lua_result_set_time(lua_State *L, const char *field, uint64_t milliseconds);

/* Push what is known of a key as a table. */
void lua_result_push_stat(lua_State *L, const struct bitcask_stat *stat);

/* Push the report of a merge as a table. */
void lua_result_push_report(lua_State *L, const struct bitcask_merge_report *report);

/* Push the table of the codes that failures return, each under its own name. */
void lua_result_push_codes(lua_State *L);

#endif
