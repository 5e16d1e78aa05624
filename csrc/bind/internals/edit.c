/* format/edit: an edit of the manifest, from a list of items to bytes and back. */
#include "bind/internals/room.h"
#include "bind/lua_result.h"
#include "format/edit.h"

static enum bitcask_status append_item(lua_State *L, int item, struct bitcask_buffer *payload) {
  lua_getfield(L, item, "tag");
  enum edit_tag tag = (enum edit_tag)*luaL_checkstring(L, -1);
  lua_pop(L, 1);
  struct segment_facts facts;
  switch (tag) {
    case EDIT_FULL:
      return edit_append_full(payload);
    case EDIT_NUMBERS:
      return edit_append_numbers(payload, room_field(L, item, "next_id"),
                                 room_field(L, item, "last_version"));
    case EDIT_OPEN:
      return edit_append_open(payload, room_field(L, item, "id"));
    case EDIT_REMOVED:
      return edit_append_removed(payload, room_field(L, item, "id"));
    case EDIT_DROPPED:
      return edit_append_dropped(payload, room_field(L, item, "version"));
    case EDIT_CHECKPOINT:
      return edit_append_checkpoint(payload, room_field(L, item, "salt"));
    case EDIT_CLOSED:
    case EDIT_SEALED:
      facts = room_facts(L, item);
      return edit_append_facts(payload, tag, &facts);
  }
  return status_fail(BITCASK_INVALID, "no such item");
}

enum bitcask_status room_append_items(lua_State *L, int list, struct bitcask_buffer *payload) {
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
  enum bitcask_status status = room_append_items(L, 1, &payload);
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(payload.data, payload.size));
  bitcask_buffer_release(&payload);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static void push_item(lua_State *L, const struct edit_item *item) {
  char tag[] = {(char)item->tag, '\0'};
  if (item->tag == EDIT_CLOSED || item->tag == EDIT_SEALED)
    room_push_facts(L, &item->facts);
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
  edit_encode_frame(payload, room_u64(L, 2), room_u64(L, 3), frame);
  lua_result_push_bytes(L, bytes_of(frame, sizeof frame));
  lua_pushvalue(L, 1);
  lua_concat(L, 2);
  return 1;
}

/* (bytes, salt) -> number, payload; or nil */
static int edit_unframe(lua_State *L) {
  uint64_t number = 0;
  bitcask_bytes payload;
  if (!edit_decode_frame(lua_result_check_bytes(L, 1), room_u64(L, 2), &number, &payload))
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

void room_open_edit(lua_State *L) {
  room_set_functions(L, "edit", edit_functions);
}
