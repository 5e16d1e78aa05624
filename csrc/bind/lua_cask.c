#include "bind/lua_cask.h"

#include <string.h>

#include "bind/lua_event.h"
#include "bind/lua_options.h"
#include "bind/lua_result.h"

enum user_value { HASH_FUNCTION = 1, EVENT_FUNCTION, USER_VALUES = EVENT_FUNCTION };

static struct lua_cask *check_open(lua_State *L, struct lua_cask *cask) {
  if (cask->db == NULL) luaL_error(L, "attempt to use a closed store");
  return cask;
}

struct lua_cask *lua_cask_check(lua_State *L, int arg) {
  return check_open(L, luaL_checkudata(L, arg, LUA_CASK_NAME));
}

struct lua_cask *lua_cask_meet_self(lua_State *L) {
  struct lua_cask *cask = check_open(L, lua_handle_self(L, LUA_CASK_NAME));
  lua_handle_know(L, cask);
  return cask;
}

/* ---- The end of a call ------------------------------------------------------------- */

/* The address of this is the key, in the registry, of the function that asks policies. */
static const char consulter;

static int take_consulter(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &consulter);
  return 0;
}

void lua_cask_push_consulter_taker(lua_State *L) { lua_pushcfunction(L, take_consulter); }

static void consult(lua_State *L, const struct lua_cask *cask, unsigned notes) {
  if (!lua_checkstack(L, 8)) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &consulter);
  lua_handle_push(L, cask);
  lua_pushboolean(L, notes & BITCASK_NOTE_CONSULT);
  lua_pushboolean(L, notes & BITCASK_NOTE_MERGED);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_event_warn(L, "policy");
}

/* Not inside a hash function, whose call is not at its end. */
static void consult_if_due(lua_State *L, const struct lua_cask *cask) {
  unsigned notes = cask->calls == 0 ? bitcask_take_notes(cask->db) : 0;
  if (notes != 0) consult(L, cask, notes);
}

void lua_cask_deliver(lua_State *L, struct lua_cask *cask) {
  struct bitcask_event event;
  if (cask->delivering || cask->db == NULL) return;
  cask->delivering = true;
  consult_if_due(L, cask);
  if (cask->db != NULL && bitcask_next_event(cask->db, &event)) {
    lua_handle_push_user_value(L, cask, EVENT_FUNCTION);
    lua_event_deliver(L, cask->db, &event);
  }
  cask->delivering = false;
}

static void raise_hash_error(lua_State *L, struct lua_cask *cask) {
  if (!cask->hash.failed) return;
  cask->hash.failed = false;
  lua_error(L);
}

int lua_cask_failure(lua_State *L, struct lua_cask *cask, enum bitcask_status status) {
  raise_hash_error(L, cask);
  return lua_cask_results(L, cask, lua_result_failure(L, status));
}

int lua_cask_raise(lua_State *L, struct lua_cask *cask, enum bitcask_status status) {
  (void)status; /* the text tells a person */
  raise_hash_error(L, cask);
  lua_pushstring(L, bitcask_error_text());
  lua_cask_results(L, cask, 1);
  return luaL_error(L, "%s", lua_tostring(L, -1));
}

/* ---- Children ---------------------------------------------------------------------- */

void lua_cask_keep(lua_State *L, int index) {
  lua_pushvalue(L, index);
  lua_setiuservalue(L, -2, 1);
}

void lua_cask_attach(struct lua_cask *cask, struct lua_child *child) {
  child->cask = cask;
  child->previous = NULL;
  child->next = cask->children;
  if (cask->children != NULL) cask->children->previous = child;
  cask->children = child;
}

static void detach(struct lua_child *child) {
  if (child->previous != NULL)
    child->previous->next = child->next;
  else
    child->cask->children = child->next;
  if (child->next != NULL) child->next->previous = child->previous;
  child->cask = NULL;
}

void lua_cask_close_child(struct lua_child *child) {
  if (child->cask == NULL) return;
  child->close(child);
  detach(child);
}

/* ---- Opening ------------------------------------------------------------------------ */

/* The directory at 1: what C sees of it must be all of it. */
static const char *check_directory(lua_State *L) {
  bitcask_bytes path = lua_result_check_bytes(L, 1);
  luaL_argcheck(L, path.size > 0, 1, "the name of the directory is empty");
  luaL_argcheck(L, strlen(path.data) == path.size, 1,
                "the name of the directory has a zero byte in it");
  return path.data;
}

static struct lua_cask *push_closed_cask(lua_State *L) {
  struct lua_cask *cask = lua_newuserdatauv(L, sizeof *cask, USER_VALUES);
  memset(cask, 0, sizeof *cask);
  cask->hash.owner = cask;
  cask->hash.user_value = HASH_FUNCTION;
  luaL_setmetatable(L, LUA_CASK_NAME);
  lua_handle_remember(L, -1);
  return cask;
}

/* The functions among the options at 2 become user values of the userdata at 3. */
static void take_functions(lua_State *L, struct lua_cask *cask,
                           struct bitcask_options *options) {
  if (lua_getfield(L, 2, "hash") == LUA_TFUNCTION) {
    options->hash_function = lua_hash_function;
    options->hash_context = &cask->hash;
  }
  lua_setiuservalue(L, 3, HASH_FUNCTION);
  options->events = lua_getfield(L, 2, "on_event") == LUA_TFUNCTION;
  cask->listens = options->events || options->consults != BITCASK_CONSULTS_NOT;
  lua_setiuservalue(L, 3, EVENT_FUNCTION);
}

/* (directory, checked options) -> store */
static int cask_open(lua_State *L) {
  const char *directory = check_directory(L);
  struct bitcask_options options;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  /* The userdata comes first: if Lua runs out of memory, nothing is open. */
  struct lua_cask *cask = push_closed_cask(L);
  lua_options_read(L, 2, &options);
  take_functions(L, cask, &options);

  struct bitcask *db = NULL;
  lua_cask_enter(L, cask);
  enum bitcask_status status = bitcask_open(directory, &options, &db);
  lua_cask_leave(cask);
  if (status != BITCASK_OK) return lua_cask_failure(L, cask, status);
  cask->db = db;
  return lua_cask_results(L, cask, 1);
}

/* ---- Closing ------------------------------------------------------------------------ */

/* In a function of the type. Before the memory of the userdata can be another's this has been. */
static enum bitcask_status close_engine(lua_State *L, struct lua_cask *cask) {
  struct bitcask *db = cask->db;
  if (db == NULL) return BITCASK_OK;
  lua_handle_forget(L, cask);
  while (cask->children != NULL) lua_cask_close_child(cask->children);
  bitcask_buffer_release(&cask->scratch);
  cask->db = NULL;
  return bitcask_close(db);
}

/* Close self, delivering first what no later call could deliver. */
static enum bitcask_status close_self(lua_State *L) {
  struct lua_cask *cask = lua_handle_self(L, LUA_CASK_NAME);
  if (cask->calls > 0) luaL_error(L, "attempt to close a store in its own hash function");
  if (cask->is_held) luaL_error(L, "attempt to close a store in its own policy");
  lua_cask_results(L, cask, 0);
  return close_engine(L, cask);
}

static int cask_close(lua_State *L) {
  enum bitcask_status status = close_self(L);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushboolean(L, true);
  return 1;
}

/* (store, error or nil), at the end of a scope. A failure has no way out but to be raised,
 * unless an error is on its way already, or an earlier call has told of it. */
static int cask_close_scope(lua_State *L) {
  enum bitcask_status status = close_self(L);
  bool is_told = status == BITCASK_STOPPED || !lua_isnoneornil(L, 2);
  if (status == BITCASK_OK || is_told) return 0;
  return lua_result_raise(L);
}

static int cask_gc(lua_State *L) {
  close_engine(L, lua_handle_self(L, LUA_CASK_NAME));
  return 0;
}

static int cask_tostring(lua_State *L) {
  struct lua_cask *cask = lua_handle_self(L, LUA_CASK_NAME);
  if (cask->db == NULL)
    lua_pushliteral(L, LUA_CASK_NAME " (closed)");
  else
    lua_pushfstring(L, LUA_CASK_NAME " (%s)", bitcask_directory(cask->db));
  return 1;
}

/* ---- Registration --------------------------------------------------------------------- */

/* (any value) -> true; false when it is a closed store, nil when it is something else */
static int cask_is_open(lua_State *L) {
  struct lua_cask *cask = luaL_testudata(L, 1, LUA_CASK_NAME);
  if (cask == NULL)
    lua_pushnil(L);
  else
    lua_pushboolean(L, cask->db != NULL);
  return 1;
}

void lua_cask_register(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", cask_gc},
                                         {"__close", cask_close_scope},
                                         {"__tostring", cask_tostring},
                                         {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"open", cask_open}, {"close", cask_close}, {"is_open", cask_is_open}, {NULL, NULL}};
  lua_handle_new_type(L, LUA_CASK_NAME, metamethods);
  lua_handle_push_functions(L, functions);
}
