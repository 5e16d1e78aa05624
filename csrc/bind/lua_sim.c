#include "bind/lua_sim.h"

#include <string.h>

#include "bind/lua_guard.h"
#include "bind/lua_handle.h"
#include "bind/lua_result.h"
#include "disk/sim.h"

#define SIM_NAME "bitcask simulated disk"
#define STATES_NAME "bitcask crash states"

struct lua_sim {
  struct sim *sim;
};

struct lua_states {
  struct sim *frozen; /* the disk at the moment of the cut */
  struct sim_cut *cut;
};

/* ---- Disks ---- */

struct disk *lua_sim_test(lua_State *L, int index) {
  struct lua_sim *handle = luaL_testudata(L, index, SIM_NAME);
  return handle != NULL && handle->sim != NULL ? sim_disk(handle->sim) : NULL;
}

static struct sim *self(lua_State *L) {
  return ((struct lua_sim *)luaL_checkudata(L, 1, SIM_NAME))->sim;
}

/* The userdata comes first: if Lua runs out of memory, nothing is lost. */
static struct lua_sim *push_empty(lua_State *L) {
  struct lua_sim *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  handle->sim = NULL;
  luaL_setmetatable(L, SIM_NAME);
  return handle;
}

/* What making a disk came to; it is on top of the stack. */
static int disk_or_failure(lua_State *L, enum bitcask_status status) {
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static int done_or_failure(lua_State *L, enum bitcask_status status) {
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushboolean(L, true);
  return 1;
}

/* (seed, sector, space, allocation, unmapped) -> disk */
static int sim_new_disk(lua_State *L) {
  struct sim_options options;
  sim_options_default(&options);
  options.seed = (uint64_t)luaL_checkinteger(L, 1);
  options.sector_size = (uint64_t)luaL_checkinteger(L, 2);
  options.space = (uint64_t)luaL_checkinteger(L, 3);
  options.allocation = (uint64_t)luaL_checkinteger(L, 4);
  options.is_unmapped = lua_toboolean(L, 5);
  struct lua_sim *handle = push_empty(L);
  return disk_or_failure(L, sim_new(&options, &handle->sim));
}

static int sim_is_disk(lua_State *L) {
  lua_pushboolean(L, lua_sim_test(L, 1) != NULL);
  return 1;
}

static int disk_copy(lua_State *L) {
  struct sim *sim = self(L);
  struct lua_sim *handle = push_empty(L);
  return disk_or_failure(L, sim_copy(sim, &handle->sim));
}

static int disk_ops(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)sim_ops(self(L)));
  return 1;
}

static int disk_heal(lua_State *L) {
  sim_heal(self(L));
  return 0;
}

/* (disk, milliseconds) */
static int disk_advance(lua_State *L) {
  return done_or_failure(L, sim_advance(self(L), luaL_checkinteger(L, 2)));
}

/* (disk) -> milliseconds since 1970 */
static int disk_now(lua_State *L) {
  struct disk *disk = sim_disk(self(L));
  lua_pushinteger(L, (lua_Integer)disk->ops->now_ms(disk));
  return 1;
}

static int disk_fingerprint(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)sim_fingerprint(self(L)));
  return 1;
}

static enum sim_op check_op(lua_State *L, int arg) {
  static const char *const names[] = {
#define OP_NAME(name, text) text,
      SIM_OP_LIST(OP_NAME)
#undef OP_NAME
      NULL};
  return (enum sim_op)luaL_checkoption(L, arg, "any", names);
}

static enum bitcask_status check_status(lua_State *L, int arg) {
  static const char *const names[] = {"io", "nospace", "nomemory", NULL};
  static const enum bitcask_status statuses[] = {BITCASK_IO, BITCASK_NOSPACE, BITCASK_NOMEMORY};
  return statuses[luaL_checkoption(L, arg, "io", names)];
}

/* (disk, op, name, at, times, code, written, got, done): numbers of -1 are for ever */
static int disk_set_fault(lua_State *L) {
  struct sim *sim = self(L);
  struct sim_fault fault = {.op = check_op(L, 2),
                            .at = (uint64_t)luaL_checkinteger(L, 4),
                            .times = (uint64_t)luaL_checkinteger(L, 5),
                            .status = check_status(L, 6),
                            .written = (uint64_t)luaL_checkinteger(L, 7),
                            .got = (uint64_t)luaL_checkinteger(L, 8),
                            .is_done = lua_toboolean(L, 9)};
  const char *name = luaL_checkstring(L, 3);
  luaL_argcheck(L, strlen(name) < sizeof fault.name, 3, "too long a name");
  memcpy(fault.name, name, strlen(name) + 1);
  return done_or_failure(L, sim_fail(sim, &fault));
}

/* ---- Strings out of it ---- */

static void release_buffer(void *bytes) { bitcask_buffer_release(bytes); }

static struct bitcask_buffer *push_buffer(lua_State *L) {
  return lua_guard_push(L, sizeof(struct bitcask_buffer), release_buffer);
}

static int string_or_failure(lua_State *L, struct bitcask_buffer *buffer,
                             enum bitcask_status status) {
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushlstring(L, buffer->size > 0 ? buffer->data : "", buffer->size);
  lua_guard_release(buffer);
  return 1;
}

static int disk_trace(lua_State *L) {
  struct sim *sim = self(L);
  struct bitcask_buffer *buffer = push_buffer(L);
  return string_or_failure(L, buffer, sim_write_trace(sim, buffer));
}

/* (disk, path, name) -> bytes */
static int disk_read(lua_State *L) {
  struct sim *sim = self(L);
  const char *path = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
  struct bitcask_buffer *buffer = push_buffer(L);
  return string_or_failure(L, buffer, sim_read(sim, path, name, buffer));
}

static void add_name(void *context, const char *name) {
  buffer_append(context, bytes_of(name, strlen(name) + 1));
}

/* (disk, path) -> names */
static int disk_files(lua_State *L) {
  struct sim *sim = self(L);
  const char *path = luaL_checkstring(L, 2);
  struct bitcask_buffer *buffer = push_buffer(L);
  enum bitcask_status status = sim_list(sim, path, add_name, buffer);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_newtable(L);
  const char *text = buffer->data;
  for (size_t at = 0, i = 1; at < buffer->size; at += strlen(text + at) + 1, i++) {
    lua_pushstring(L, text + at);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  return 1;
}

/* (disk, path, name, bytes) */
static int disk_put(lua_State *L) {
  struct sim *sim = self(L);
  return done_or_failure(L, sim_put(sim, luaL_checkstring(L, 2), luaL_checkstring(L, 3),
                                    lua_result_check_bytes(L, 4)));
}

/* (disk, path, name) */
static int disk_take(lua_State *L) {
  struct sim *sim = self(L);
  return done_or_failure(L, sim_take(sim, luaL_checkstring(L, 2), luaL_checkstring(L, 3)));
}

/* ---- Recording, playing, killing ---- */

static int disk_record(lua_State *L) { return done_or_failure(L, sim_record(self(L))); }

/* (disk) -> number of changes recorded so far */
static int disk_recorded(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)sim_recorded(self(L)));
  return 1;
}

static int disk_replay(lua_State *L) {
  struct sim *sim = self(L);
  struct lua_sim *handle = push_empty(L);
  return disk_or_failure(L, sim_replay(sim, &handle->sim));
}

/* (disk) -> number of the operation; nil at the end */
static int disk_step(lua_State *L) {
  uint64_t op = 0;
  enum bitcask_status status = sim_step(self(L), &op);
  if (status == BITCASK_ABSENT) return lua_pushnil(L), 1;
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushinteger(L, (lua_Integer)op);
  return 1;
}

/* (disk, torn) -> disk; nil alone where no write comes that has so many bytes */
static int disk_kill(lua_State *L) {
  struct sim *sim = self(L);
  lua_Integer torn = luaL_checkinteger(L, 2);
  struct lua_sim *handle = push_empty(L);
  enum bitcask_status status = sim_kill(sim, (uint64_t)torn, &handle->sim);
  if (status == BITCASK_ABSENT) return lua_pushnil(L), 1;
  return disk_or_failure(L, status);
}

/* ---- States of a power cut ---- */

/* (disk, limit, seed) -> states */
static int disk_states(lua_State *L) {
  struct sim *sim = self(L);
  uint64_t limit = (uint64_t)luaL_checkinteger(L, 2), seed = (uint64_t)luaL_checkinteger(L, 3);
  struct lua_states *states = lua_newuserdatauv(L, sizeof *states, 0);
  memset(states, 0, sizeof *states);
  luaL_setmetatable(L, STATES_NAME);
  enum bitcask_status status = sim_copy(sim, &states->frozen);
  if (status == BITCASK_OK) status = sim_cut(states->frozen, limit, seed, &states->cut);
  return disk_or_failure(L, status);
}

static struct lua_states *check_states(lua_State *L) {
  struct lua_states *states = luaL_checkudata(L, 1, STATES_NAME);
  luaL_argcheck(L, states->cut != NULL, 1, "closed crash states");
  return states;
}

/* (states) -> disk, name; nil at the end */
static int states_next(lua_State *L) {
  struct lua_states *states = check_states(L);
  struct lua_sim *handle = push_empty(L);
  struct sim_image image = {0};
  const char *name = NULL;
  enum bitcask_status status = sim_cut_next(states->cut, &image, &name);
  if (status == BITCASK_ABSENT) return lua_pushnil(L), 1;
  if (status == BITCASK_OK) status = sim_survivor(states->frozen, &image, &handle->sim);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushstring(L, name);
  return 2;
}

/* (states, name) -> disk */
static int states_named(lua_State *L) {
  struct lua_states *states = check_states(L);
  const char *name = luaL_checkstring(L, 2);
  struct lua_sim *handle = push_empty(L);
  struct sim_image image = {0};
  enum bitcask_status status = sim_cut_named(states->cut, name, &image);
  if (status == BITCASK_OK) status = sim_survivor(states->frozen, &image, &handle->sim);
  return disk_or_failure(L, status);
}

/* (states) -> how many; a float where an integer cannot tell */
static int states_total(lua_State *L) {
  uint64_t total = sim_cut_total(check_states(L)->cut);
  if (total <= INT64_MAX)
    lua_pushinteger(L, (lua_Integer)total);
  else
    lua_pushnumber(L, (lua_Number)total);
  return 1;
}

static int states_gc(lua_State *L) {
  struct lua_states *states = luaL_checkudata(L, 1, STATES_NAME);
  sim_cut_free(states->cut);
  sim_unref(states->frozen);
  memset(states, 0, sizeof *states);
  return 0;
}

/* ---- Registration ---- */

static int sim_gc(lua_State *L) {
  struct lua_sim *handle = luaL_checkudata(L, 1, SIM_NAME);
  sim_unref(handle->sim);
  handle->sim = NULL;
  return 0;
}

static int sim_tostring(lua_State *L) {
  lua_pushfstring(L, SIM_NAME " (%I operations)", (LUAI_UACINT)sim_ops(self(L)));
  return 1;
}

/* Push the metatable of the type, and the table of its methods on top. */
static void new_type(lua_State *L, const char *name, const luaL_Reg *metamethods,
                     const luaL_Reg *methods) {
  lua_handle_new_type(L, name, metamethods);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
}

static void register_states(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", states_gc}, {"__close", states_gc},
                                         {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"next", states_next}, {"named", states_named}, {"total", states_total}, {NULL, NULL}};
  new_type(L, STATES_NAME, metamethods, methods);
  lua_pop(L, 2);
}

void lua_sim_register(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__gc", sim_gc}, {"__tostring", sim_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"copy", disk_copy},     {"ops", disk_ops},       {"heal", disk_heal},
      {"trace", disk_trace},   {"read", disk_read},     {"files", disk_files},
      {"put", disk_put},       {"take", disk_take},     {"record", disk_record},
      {"replay", disk_replay}, {"step", disk_step},     {"fingerprint", disk_fingerprint},
      {"kill_raw", disk_kill}, {"states", disk_states}, {"advance_ms", disk_advance},
      {"set_fault", disk_set_fault}, {"now", disk_now},       {"recorded", disk_recorded},
      {NULL, NULL}};
  register_states(L);
  lua_newtable(L);
  lua_pushcfunction(L, sim_new_disk);
  lua_setfield(L, -2, "new");
  lua_pushcfunction(L, sim_is_disk);
  lua_setfield(L, -2, "is_disk");
  new_type(L, SIM_NAME, metamethods, methods);
  lua_setfield(L, -3, "methods");
  lua_pop(L, 1);
}
