/*
 * Lua programs in threads, each in a state of its own:
 *
 *   local threads = require "spec.threads"
 *   local results = threads.run(count, code, ...)   -- what each has returned, by its number
 *   threads.now()                                    -- nanoseconds that never step back
 *
 * Every thread runs `code`, a chunk, which gets its number, from 1, and then the strings and
 * numbers behind it. All begin at the same moment; run returns when all have ended. What a
 * thread returns comes back as a string; an error in one of them is raised by run.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

struct thread {
  pthread_t id;
  lua_State *state;
  pthread_barrier_t *gate;
  int arguments;
  int status;
};

static int now(lua_State *L) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  lua_pushinteger(L, (lua_Integer)time.tv_sec * 1000000000 + time.tv_nsec);
  return 1;
}

static int with_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void *run_one(void *context) {
  struct thread *thread = context;
  pthread_barrier_wait(thread->gate);
  thread->status = lua_pcall(thread->state, thread->arguments, 1, 1);
  return NULL;
}

static int run_gc(lua_State *L) {
  struct thread *threads = lua_touserdata(L, 1);
  for (size_t i = 0; i < lua_rawlen(L, 1) / sizeof *threads; i++)
    if (threads[i].state != NULL) lua_close(threads[i].state);
  return 0;
}

static void copy_field(lua_State *from, lua_State *to, const char *field) {
  lua_getglobal(from, "package");
  lua_getfield(from, -1, field);
  lua_getglobal(to, "package");
  lua_pushstring(to, lua_tostring(from, -1));
  lua_setfield(to, -2, field);
  lua_pop(to, 1);
  lua_pop(from, 2);
}

static void copy_value(lua_State *L, int index, lua_State *to) {
  size_t size;
  if (lua_isinteger(L, index)) {
    lua_pushinteger(to, lua_tointeger(L, index));
  } else if (lua_type(L, index) == LUA_TNUMBER) {
    lua_pushnumber(to, lua_tonumber(L, index));
  } else {
    const char *bytes = luaL_checklstring(L, index, &size);
    lua_pushlstring(to, bytes, size);
  }
}

/* A state with the chunk and its arguments on the stack, above what handles its errors. */
static void prepare(lua_State *L, struct thread *thread, int number) {
  size_t size;
  const char *code = luaL_checklstring(L, 2, &size);
  lua_State *state = thread->state = luaL_newstate();
  luaL_openlibs(state);
  copy_field(L, state, "path");
  copy_field(L, state, "cpath");
  lua_pushcfunction(state, with_traceback);
  if (luaL_loadbuffer(state, code, size, "=thread") != LUA_OK)
    luaL_error(L, "%s", lua_tostring(state, -1));
  lua_pushinteger(state, number);
  for (int i = 3; i < lua_gettop(L); i++) copy_value(L, i, state);
  thread->arguments = lua_gettop(state) - 2;
}

static void push_result(lua_State *L, lua_State *from) {
  size_t size;
  const char *bytes = luaL_tolstring(from, -1, &size);
  lua_pushlstring(L, bytes, size);
}

static int run(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  luaL_argcheck(L, count >= 1 && count <= 256, 1, "from 1 to 256");
  struct thread *threads = lua_newuserdatauv(L, (size_t)count * sizeof *threads, 0);
  memset(threads, 0, (size_t)count * sizeof *threads);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, run_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  for (int i = 0; i < count; i++) prepare(L, &threads[i], i + 1);

  pthread_barrier_t gate;
  pthread_barrier_init(&gate, NULL, (unsigned)count);
  for (int i = 0; i < count; i++) {
    threads[i].gate = &gate;
    /* Half of them at the gate cannot be called back. */
    if (pthread_create(&threads[i].id, NULL, run_one, &threads[i]) != 0) __builtin_trap();
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i].id, NULL);
  pthread_barrier_destroy(&gate);

  lua_createtable(L, (int)count, 0);
  for (int i = 0; i < count; i++) {
    if (threads[i].status != LUA_OK)
      return luaL_error(L, "thread %d: %s", i + 1, lua_tostring(threads[i].state, -1));
    push_result(L, threads[i].state);
    lua_rawseti(L, -2, i + 1);
  }
  for (int i = 0; i < count; i++) {
    lua_close(threads[i].state);
    threads[i].state = NULL;
  }
  return 1;
}

int luaopen_spec_threads(lua_State *L);
int luaopen_spec_threads(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", run}, {"now", now}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
