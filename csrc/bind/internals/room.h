/*
 * What the rooms of bitcask.internals share: fields of tables, objects, and the values of
 * which more than one room speaks.
 *
 * Each room is a file that opens one layer, or a part of one, to the specs. It adds its types
 * to the registry and its tables of functions to the module, which is on top of the stack.
 */
#ifndef BIND_INTERNALS_ROOM_H
#define BIND_INTERNALS_ROOM_H

#include <lauxlib.h>
#include <lua.h>

#include "base/coding.h"
#include "disk/disk.h"
#include "format/record.h"
#include "store/segment.h"

/* ---- Rooms ----------------------------------------------------------------------- */

void room_open_base(lua_State *L);
void room_open_format(lua_State *L);
void room_open_edit(lua_State *L);
void room_open_disk(lua_State *L);
void room_open_segment(lua_State *L);
void room_open_guard(lua_State *L);
void room_open_keydir(lua_State *L);
void room_open_manifest(lua_State *L);
void room_open_engine(lua_State *L);

/* Set field `name` of the module to a table of these functions. */
void room_set_functions(lua_State *L, const char *name, const luaL_Reg *functions);

/* ---- Fields of tables ------------------------------------------------------------ */

uint64_t room_u64(lua_State *L, int arg);

/* Field `name` of the table at `table`; 0 when it is absent. */
uint64_t room_field(lua_State *L, int table, const char *name);

/* The same for a string, which the table keeps alive. */
bitcask_bytes room_bytes(lua_State *L, int table, const char *name);

void room_set_bytes(lua_State *L, const char *name, bitcask_bytes bytes);

/* The string of 16 bytes at `arg`. */
store_identity room_store(lua_State *L, int arg);

void room_push_facts(lua_State *L, const struct segment_facts *facts);
struct segment_facts room_facts(lua_State *L, int arg);

/* Return this of what has nothing to say but whether it succeeded: true, or the failure. */
int room_status(lua_State *L, enum bitcask_status status);

/* ---- Objects --------------------------------------------------------------------- */

/* A type of objects that are closed by `close` when they are collected, too. */
void room_new_type(lua_State *L, const char *type, const luaL_Reg *methods,
                        lua_CFunction close);

/* Push an object: a pointer, NULL once it is closed. What it depends on is its user value, the
 * one at `parent`; 0: nothing. */
void **room_new_object(lua_State *L, const char *type, int parent);

void *room_object(lua_State *L, int arg, const char *type);

/* Take the pointer out of the first argument; NULL when that was done before. */
void *room_take_object(lua_State *L, const char *type);

/* ---- Of one room, and used in others --------------------------------------------- */

/* format.c: a record from a table, its bytes borrowed, and to one. */
struct record room_record(lua_State *L, int arg);
void room_push_record(lua_State *L, const struct record *record);

/* format.c: a list of all entries that are left in the body of a hint file. */
void room_push_hint_entries(lua_State *L, struct coding_reader *reader);

/* edit.c: append the items of the list at `list`. Items that raise leak: only a wrong spec
 * has such. */
enum bitcask_status room_append_items(lua_State *L, int list, struct bitcask_buffer *payload);

/* disk.c and segment.c */
struct disk_directory *room_directory(lua_State *L, int arg);
struct segment *room_segment(lua_State *L, int arg);

#endif
