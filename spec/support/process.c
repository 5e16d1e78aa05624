/*
 * What specs need of the operating system and Lua does not have:
 *
 *   local process = require "spec.process"
 *   process.id()                 -- of this process
 *   process.kill(id)             -- with SIGKILL
 *   process.fork()               -- 0 in the child
 *   process.wait(id)             -- "exit", status or "signal", number
 *   process.exit(status)         -- at once: nothing is closed, collected or flushed
 *   process.limit(what, number)  -- soft limit: "file_size" (exceeding it is then an error,
 *                                   not a signal) or "descriptors"; no number: none
 *   process.seconds()            -- of a clock that never steps back
 */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fail(lua_State *L, const char *what) {
  return luaL_error(L, "cannot %s: %s", what, strerror(errno));
}

static int id(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int kill_process(lua_State *L) {
  if (kill((pid_t)luaL_checkinteger(L, 1), SIGKILL) != 0) return fail(L, "kill");
  return 0;
}

static int fork_process(lua_State *L) {
  pid_t child = fork();
  if (child < 0) return fail(L, "fork");
  lua_pushinteger(L, child);
  return 1;
}

static int wait_process(lua_State *L) {
  int status = 0;
  pid_t child = (pid_t)luaL_checkinteger(L, 1), result;
  do {
    result = waitpid(child, &status, 0);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return fail(L, "wait");
  lua_pushstring(L, WIFSIGNALED(status) ? "signal" : "exit");
  lua_pushinteger(L, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return 2;
}

static int exit_process(lua_State *L) {
  int status = (int)luaL_optinteger(L, 1, 0);
  /* What a process has covered is written where it ends in the usual way only. */
  if (getenv("COVERAGE") != NULL) exit(status);
  _exit(status);
}

static int limit(lua_State *L) {
  static const char *const names[] = {"file_size", "descriptors", NULL};
  static const int resources[] = {RLIMIT_FSIZE, RLIMIT_NOFILE};
  int resource = resources[luaL_checkoption(L, 1, NULL, names)];
  struct rlimit value;
  if (getrlimit(resource, &value) != 0) return fail(L, "read the limit");
  value.rlim_cur = lua_isnoneornil(L, 2) ? value.rlim_max : (rlim_t)luaL_checkinteger(L, 2);
  signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(resource, &value) != 0) return fail(L, "set the limit");
  return 0;
}

static int seconds(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

int luaopen_spec_process(lua_State *L);
int luaopen_spec_process(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"id", id},        {"kill", kill_process}, {"fork", fork_process}, {"wait", wait_process},
      {"exit", exit_process}, {"limit", limit},  {"seconds", seconds},   {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
