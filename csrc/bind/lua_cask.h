/*
 * The store as Lua holds it: its life, and what every call on it has in common.
 *
 *   userdata  struct lua_cask --> struct bitcask        NULL once it is closed
 *      ^          |  children
 *      |          v
 *      |      iterator <-> snapshot <-> batch <-> ...   closed before the store is
 *      |          |            |          |
 *      +----------+------------+----------+             each keeps the store alive
 *
 * A child refers to its store by a user value, so that the store outlives it; the store
 * lists its children, so that closing it closes them first. Either may meet the collector
 * first, as at the end of a state.
 *
 * Each call into the engine stands between lua_cask_enter and lua_cask_leave, and nothing
 * that can raise stands there. Inside, only a Lua hash function runs, which may call the
 * store but not close it.
 */
#ifndef BIND_LUA_CASK_H
#define BIND_LUA_CASK_H

#include <stdbool.h>

#include <lua.h>

#include "bind/lua_handle.h"
#include "bind/lua_hash.h"
#include "bitcask.h"

#define LUA_CASK_NAME "bitcask store"

struct lua_cask;

/* The part of an iterator, a snapshot, a merge ... that its store knows; it comes first in
 * them. */
struct lua_child {
  struct lua_cask *cask; /* NULL: closed, and in no list */
  struct lua_child *previous;
  struct lua_child *next;
  void (*close)(struct lua_child *child); /* gives the engine's part back */
  unsigned calls; /* into the engine, under way: none but inside a hash function */
};

struct lua_cask {
  struct bitcask *db;            /* NULL: closed */
  struct bitcask_buffer scratch; /* where values are read to on their way to Lua */
  struct lua_child *children;    /* those that are open */
  struct lua_hash hash;
  unsigned calls;  /* into the engine, under way: none but inside a hash function */
  bool listens;    /* somebody wants events, or has a policy, or a job */
  bool delivering; /* they are being given to him now */
  bool is_held;    /* by the policy that is being asked about it: not to be closed */
};

/* The same as lua_cask_self, for one that may be any value; it is known then. */
struct lua_cask *lua_cask_meet_self(lua_State *L);

/* Self of a function of the type, which must be open. A store that is known is. */
static inline struct lua_cask *lua_cask_self(lua_State *L) {
  struct lua_cask *known = lua_handle_known_self(L);
  return known != NULL ? known : lua_cask_meet_self(L);
}

/* The open store at `arg` of any other function; raises for anything else. */
struct lua_cask *lua_cask_check(lua_State *L, int arg);

static inline void lua_cask_enter(lua_State *L, struct lua_cask *cask) {
  cask->calls++;
  lua_hash_enter(&cask->hash, L);
}

static inline void lua_cask_leave(struct lua_cask *cask) { cask->calls--; }

/* Let the policy be asked if that is due, and give the events that wait to the function that
 * wants them. */
void lua_cask_deliver(lua_State *L, struct lua_cask *cask);

/* How every call ends: events are delivered, and the `count` results on top of the stack
 * returned. */
static inline int lua_cask_results(lua_State *L, struct lua_cask *cask, int count) {
  if (cask->listens && cask->db != NULL && bitcask_has_news(cask->db)) lua_cask_deliver(L, cask);
  return count;
}

/* How a call ends that failed: nil, message, code; or the error of the hash function. */
int lua_cask_failure(lua_State *L, struct lua_cask *cask, enum bitcask_status status);

/* The same, but raised in any case. */
int lua_cask_raise(lua_State *L, struct lua_cask *cask, enum bitcask_status status);

/* The userdata on top of the stack, a child to be, keeps the store at `index` alive. */
void lua_cask_keep(lua_State *L, int index);

/* From when the engine's part of the child is open until lua_cask_close_child. */
void lua_cask_attach(struct lua_cask *cask, struct lua_child *child);

/* Closing a closed child does nothing. */
void lua_cask_close_child(struct lua_child *child);

/* The same as lua_cask_enter and lua_cask_leave, for a call on an open child. */
static inline void lua_child_enter(lua_State *L, struct lua_child *child) {
  lua_cask_enter(L, child->cask);
  child->calls++;
}

static inline void lua_child_leave(struct lua_child *child) {
  child->calls--;
  lua_cask_leave(child->cask);
}

/* Raise while a call on the child is under way: its hash function may not take it away, nor
 * change it. `what` names the child. */
static inline void lua_child_check_idle(lua_State *L, const struct lua_child *child,
                                        const char *what) {
  if (child->calls > 0)
    luaL_error(L, "attempt to close or change %s in a hash function that it called", what);
}

/* A scratch buffer that has grown larger than this, bytes, is given back after the call. */
#define LUA_CASK_SCRATCH_KEPT ((size_t)1 << 20)

/* Push the value that the store's scratch buffer holds, and its version. */
static inline int lua_cask_push_scratch(lua_State *L, struct lua_cask *cask, uint64_t version) {
  struct bitcask_buffer *scratch = &cask->scratch;
  lua_pushlstring(L, scratch->data, scratch->size);
  lua_pushinteger(L, (lua_Integer)version);
  if (scratch->capacity > LUA_CASK_SCRATCH_KEPT) bitcask_buffer_release(scratch);
  return 2;
}

/* Push the Lua function that takes the function (store, whether its policy is worth asking,
 * whether a merge has ended), which is called at the end of a call on the store. */
void lua_cask_push_consulter_taker(lua_State *L);

/* Push the metatable of stores and the table of functions: open, close, is_open. */
void lua_cask_register(lua_State *L);

#endif
