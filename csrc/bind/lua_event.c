#include "bind/lua_event.h"

#include "bind/lua_result.h"

static const char *kind_name(enum bitcask_event_kind kind) {
  switch (kind) {
    case BITCASK_EVENT_RECOVERED: return "recovered";
    case BITCASK_EVENT_SEALED: return "sealed";
    case BITCASK_EVENT_MERGING: return "merging";
    case BITCASK_EVENT_MERGED: return "merged";
    case BITCASK_EVENT_CORRUPTION: return "corruption";
    case BITCASK_EVENT_ERROR: return "error";
  }
  return "unknown";
}

static void set_recovered(lua_State *L, const struct bitcask_event *event) {
  lua_result_set_number(L, "seconds", event->seconds);
  lua_result_set_integer(L, "records", event->records);
  lua_result_set_integer(L, "replayed", event->replayed);
  lua_result_set_integer(L, "segments", event->segments);
  lua_result_set_integer(L, "torn_bytes", event->torn_bytes);
  lua_result_set_integer(L, "orphans", event->orphans);
}

static void set_merged(lua_State *L, const struct bitcask_event *event) {
  lua_result_set_number(L, "seconds", event->seconds);
  lua_result_push_report(L, &event->report);
  lua_setfield(L, -2, "report");
}

static void set_corruption(lua_State *L, const struct bitcask_event *event) {
  lua_result_set_string(L, "file", event->file);
  lua_result_set_integer(L, "offset", event->offset);
  lua_result_set_integer(L, "bytes", event->bytes);
}

/* The message, which of a merge is why it was begun. */
static void set_message(lua_State *L, const struct bitcask_event *event) {
  bool is_merge = event->kind == BITCASK_EVENT_MERGING || event->kind == BITCASK_EVENT_MERGED;
  if (event->message[0] != '\0')
    lua_result_set_string(L, is_merge ? "reason" : "message", event->message);
}

static void push_event(lua_State *L, const struct bitcask_event *event) {
  lua_createtable(L, 0, 8);
  lua_result_set_string(L, "kind", kind_name(event->kind));
  set_message(L, event);
  switch (event->kind) {
    case BITCASK_EVENT_RECOVERED: set_recovered(L, event); break;
    case BITCASK_EVENT_SEALED:
      lua_result_set_integer(L, "segment", event->segment);
      lua_result_set_integer(L, "bytes", event->bytes);
      break;
    case BITCASK_EVENT_MERGING:
      lua_result_set_integer(L, "segments", event->segments);
      lua_result_set_integer(L, "bytes", event->bytes);
      break;
    case BITCASK_EVENT_MERGED: set_merged(L, event); break;
    case BITCASK_EVENT_CORRUPTION: set_corruption(L, event); break;
    case BITCASK_EVENT_ERROR:
      lua_result_set_string(L, "code", bitcask_status_name(event->status));
      break;
  }
}

void lua_event_warn(lua_State *L, const char *where) {
  const char *message = lua_tostring(L, -1);
  lua_warning(L, "bitcask: ", 1);
  lua_warning(L, where, 1);
  lua_warning(L, ": ", 1);
  lua_warning(L, message != NULL ? message : "(error object is not a string)", 0);
  lua_pop(L, 1);
}

struct delivery {
  struct bitcask *db;
  const struct bitcask_event *first;
};

/* (delivery, function). All that wait are taken before the first is given, so that a
 * function whose calls cause events cannot keep the delivery going for ever. */
static int deliver(lua_State *L) {
  const struct delivery *delivery = lua_touserdata(L, 1);
  lua_Integer count = 1;
  lua_newtable(L);
  push_event(L, delivery->first);
  lua_rawseti(L, 3, count);
  struct bitcask_event event;
  while (bitcask_next_event(delivery->db, &event)) {
    push_event(L, &event);
    lua_rawseti(L, 3, ++count);
  }
  for (lua_Integer i = 1; i <= count; i++) {
    lua_pushvalue(L, 2);
    lua_rawgeti(L, 3, i);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_event_warn(L, "on_event");
  }
  return 0;
}

void lua_event_deliver(lua_State *L, struct bitcask *db, const struct bitcask_event *first) {
  struct delivery delivery = {db, first};
  lua_pushcfunction(L, deliver);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, &delivery);
  lua_insert(L, -2);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_event_warn(L, "on_event"); /* out of memory */
}
