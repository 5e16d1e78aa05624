/*
 * A thin layer between a program and the C library that makes chosen file system calls fail
 * or kills the process in the middle of one. It works where it is preloaded (LD_PRELOAD),
 * and is steered from Lua in the same process:
 *
 *   local shim = require "spec.shim"
 *   shim.arm { calls = "fdatasync,fsync", at = 3, times = 1, error = "EIO" }
 *   ...
 *   shim.hit()                           -- the first call that was hit so far, or nil
 *   local counted, hit = shim.disarm()   -- calls seen; the first that was hit, or nil
 *
 * A flush of a mapping is an fdatasync, too, and a pwritev a pwrite. Instead of an error:
 * kill = "before", "half" (of a pwrite) or "after"; or short = true, for a pwrite that writes
 * less than it was asked to; or hold = true: the call is made when the shim is disarmed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALLS(X)                                                                        \
  X(openat) X(pwrite) X(fallocate) X(ftruncate) X(fdatasync) X(fsync) X(renameat) X(unlinkat) X(mmap)

enum call {
#define CALL_ENUM(name) CALL_##name,
  CALLS(CALL_ENUM)
#undef CALL_ENUM
  CALL_COUNT
};

static const char *const call_names[] = {
#define CALL_NAME(name) #name,
    CALLS(CALL_NAME)
#undef CALL_NAME
};

enum { PATH_SIZE = 512 };

enum act { ACT_NONE, ACT_FAIL, ACT_KILL_BEFORE, ACT_KILL_HALF, ACT_KILL_AFTER, ACT_SHORT, ACT_HOLD };

/* What to do. Changed only while nothing is armed. */
static struct {
  atomic_bool is_armed;
  unsigned calls; /* bit for each enum call */
  long at, times; /* from the at-th call on, so many; times < 0: all that follow */
  int error;
  enum act act;
  atomic_long counted;
  atomic_bool is_noting, was_hit; /* the first hit, which is what `hit` tells of */
  char hit[128];
} plan;

static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;

static void hold(void) {
  pthread_mutex_lock(&hold_lock);
  while (atomic_load(&plan.is_armed)) pthread_cond_wait(&let_go, &hold_lock);
  pthread_mutex_unlock(&hold_lock);
}

static void arm_or_disarm(bool is_armed) {
  pthread_mutex_lock(&hold_lock);
  atomic_store(&plan.is_armed, is_armed);
  pthread_cond_broadcast(&let_go);
  pthread_mutex_unlock(&hold_lock);
}

/* The name of the file that is mapped there, or "". */
static const char *mapped_name(const void *at, char path[PATH_SIZE]) {
  char line[PATH_SIZE + 128];
  unsigned long begin, end;
  FILE *maps = fopen("/proc/self/maps", "re");
  path[0] = '\0';
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    if (sscanf(line, "%lx-%lx", &begin, &end) != 2) continue;
    if ((unsigned long)at < begin || (unsigned long)at >= end) continue;
    const char *name = strrchr(line, '/');
    if (name != NULL) snprintf(path, PATH_SIZE, "%.*s", (int)strcspn(name + 1, "\n"), name + 1);
    break;
  }
  if (maps != NULL) fclose(maps);
  return path;
}

static void note_hit(enum call call, int fd, const char *name) {
  char link[64], path[96] = "";
  if (atomic_exchange(&plan.is_noting, true)) return;
  if (name == NULL) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
  }
  snprintf(plan.hit, sizeof plan.hit, "%s %.90s", call_names[call], name);
  atomic_store(&plan.was_hit, true);
}

/* Whether this call is one that something happens to. The error is set already. */
static enum act consult(enum call call, int fd, const char *name) {
  if (!atomic_load(&plan.is_armed) || !(plan.calls & 1u << call)) return ACT_NONE;
  long number = atomic_fetch_add(&plan.counted, 1) + 1;
  if (number < plan.at || (plan.times >= 0 && number >= plan.at + plan.times)) return ACT_NONE;
  note_hit(call, fd, name);
  if (plan.act == ACT_KILL_BEFORE) raise(SIGKILL);
  if (plan.act == ACT_HOLD) hold();
  if (plan.act == ACT_FAIL) errno = plan.error;
  return plan.act;
}

static void finish(enum act act) {
  if (act == ACT_KILL_AFTER || act == ACT_KILL_HALF) raise(SIGKILL);
}

/* The function that the program would have called. */
#define REAL(name, type)                                                                \
  static __typeof__(type) real;                                                         \
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, name)

static int shim_openat(int directory, const char *path, int flags, mode_t mode) {
  REAL("openat", int (*)(int, const char *, int, ...));
  enum act act = consult(CALL_openat, directory, path);
  if (act == ACT_FAIL) return -1;
  int fd = real(directory, path, flags, mode);
  finish(act);
  return fd;
}

#define OPENAT(name)                                                                    \
  int name(int directory, const char *path, int flags, ...) {                           \
    mode_t mode = 0;                                                                    \
    va_list arguments;                                                                  \
    va_start(arguments, flags);                                                         \
    if (flags & O_CREAT) mode = va_arg(arguments, mode_t);                              \
    va_end(arguments);                                                                  \
    return shim_openat(directory, path, flags, mode);                                   \
  }
OPENAT(openat)
OPENAT(openat64)

enum { VECTOR_MAX = 256 };

/* What fails has still written as much as a failing device may well have. */
static ssize_t shim_pwritev(int fd, const struct iovec *vector, int count, off_t offset) {
  REAL("pwritev", ssize_t (*)(int, const struct iovec *, int, off_t));
  enum act act = consult(CALL_pwrite, fd, NULL);
  int error = errno;
  size_t size = 0;
  for (int i = 0; i < count; i++) size += vector[i].iov_len;
  bool is_part = (act == ACT_FAIL || act == ACT_KILL_HALF || act == ACT_SHORT) && size > 1;
  ssize_t written;
  if (is_part) {
    struct iovec cut[VECTOR_MAX];
    int used = 0;
    for (size_t left = size / 2; left > 0 && used < VECTOR_MAX; used++) {
      cut[used] = vector[used];
      if (cut[used].iov_len > left) cut[used].iov_len = left;
      left -= cut[used].iov_len;
    }
    written = real(fd, cut, used, offset);
  } else {
    written = act == ACT_FAIL ? -1 : real(fd, vector, count, offset);
  }
  if (act == ACT_FAIL) {
    errno = error;
    return -1;
  }
  finish(act);
  return written;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return shim_pwritev(fd, &(struct iovec){(void *)(uintptr_t)data, size}, 1, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
  return shim_pwritev(fd, &(struct iovec){(void *)(uintptr_t)data, size}, 1, offset);
}

ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t offset) {
  return shim_pwritev(fd, vector, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *vector, int count, off_t offset) {
  return shim_pwritev(fd, vector, count, offset);
}

/* What fails for want of space, or in the middle of it, has found half of it, as on ext4. */
static int shim_fallocate(int fd, int mode, off_t offset, off_t size) {
  REAL("fallocate", int (*)(int, int, off_t, off_t));
  enum act act = consult(CALL_fallocate, fd, NULL);
  int error = errno;
  bool is_begun = error != EINTR && error != EOPNOTSUPP && size > 1;
  if (act == ACT_FAIL) {
    if (is_begun) real(fd, mode, offset, size / 2);
    errno = error;
    return -1;
  }
  int result = real(fd, mode, offset, size);
  finish(act);
  return result;
}
int fallocate(int fd, int mode, off_t offset, off_t size) {
  return shim_fallocate(fd, mode, offset, size);
}
int fallocate64(int fd, int mode, off_t offset, off_t size) {
  return shim_fallocate(fd, mode, offset, size);
}

/* Calls that return 0 or -1, and are done wholly or not at all. */
#define SIMPLE(call, name, parameters, arguments, fd, path)                             \
  int name parameters {                                                                 \
    REAL(#call, int(*) parameters);                                                     \
    enum act act = consult(CALL_##call, fd, path);                                      \
    if (act == ACT_FAIL) return -1;                                                     \
    int result = real arguments;                                                        \
    finish(act);                                                                        \
    return result;                                                                      \
  }

SIMPLE(ftruncate, ftruncate, (int fd, off_t size), (fd, size), fd, NULL)
SIMPLE(ftruncate, ftruncate64, (int fd, off_t size), (fd, size), fd, NULL)
SIMPLE(fdatasync, fdatasync, (int fd), (fd), fd, NULL)
SIMPLE(fsync, fsync, (int fd), (fd), fd, NULL)

/* Of a mapped file a flush may be asked for by its address; here it is an fdatasync. */
int msync(void *at, size_t size, int flags) {
  REAL("msync", int (*)(void *, size_t, int));
  char path[PATH_SIZE];
  bool is_armed = atomic_load(&plan.is_armed);
  enum act act = consult(CALL_fdatasync, -1, is_armed ? mapped_name(at, path) : "");
  if (act == ACT_FAIL) return -1;
  int result = real(at, size, flags);
  finish(act);
  return result;
}

SIMPLE(renameat, renameat, (int from, const char *old, int to, const char *new),
       (from, old, to, new), from, old)
SIMPLE(unlinkat, unlinkat, (int directory, const char *path, int flags),
       (directory, path, flags), directory, path)

static void *shim_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
  REAL("mmap", void *(*)(void *, size_t, int, int, int, off_t));
  enum act act = fd < 0 ? ACT_NONE : consult(CALL_mmap, fd, NULL);
  if (act == ACT_FAIL) return MAP_FAILED;
  void *map = real(at, size, protection, flags, fd, offset);
  finish(act);
  return map;
}
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
  return shim_mmap(at, size, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
  return shim_mmap(at, size, protection, flags, fd, offset);
}

/* ---- Steering ---- */

static unsigned parse_calls(lua_State *L, const char *list) {
  unsigned calls = 0;
  char copy[256];
  snprintf(copy, sizeof copy, "%s", list);
  for (char *rest = copy, *word; (word = strtok_r(NULL, ",", &rest)) != NULL;) {
    int i = 0;
    while (i < CALL_COUNT && strcmp(word, call_names[i]) != 0) i++;
    if (i == CALL_COUNT) luaL_error(L, "unknown call '%s'", word);
    calls |= 1u << i;
  }
  return calls;
}

static int parse_error(lua_State *L, const char *name) {
  static const struct {
    const char *name;
    int error;
  } errors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EACCES", EACCES},
                {"EDQUOT", EDQUOT}, {"EROFS", EROFS},   {"EINTR", EINTR},   {"ENOMEM", ENOMEM},
                {"EFBIG", EFBIG},   {"EOPNOTSUPP", EOPNOTSUPP}};
  for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
    if (strcmp(errors[i].name, name) == 0) return errors[i].error;
  return luaL_error(L, "unknown error '%s'", name);
}

static enum act parse_kill(const char *when) {
  if (strcmp(when, "before") == 0) return ACT_KILL_BEFORE;
  return strcmp(when, "half") == 0 ? ACT_KILL_HALF : ACT_KILL_AFTER;
}

static const char *text_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1); /* the table keeps it */
  return text;
}

static long number_field(lua_State *L, const char *name, long otherwise) {
  lua_getfield(L, 1, name);
  long number = lua_isnil(L, -1) ? otherwise : (long)luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return number;
}

static int arm(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  arm_or_disarm(false);
  const char *calls = text_field(L, "calls"), *error = text_field(L, "error");
  const char *kill = text_field(L, "kill");
  plan.calls = calls != NULL ? parse_calls(L, calls) : (1u << CALL_COUNT) - 1;
  plan.at = number_field(L, "at", 0);
  plan.times = plan.at > 0 ? number_field(L, "times", 1) : 0;
  plan.error = error != NULL ? parse_error(L, error) : 0;
  plan.act = error != NULL ? ACT_FAIL : kill != NULL ? parse_kill(kill) : ACT_SHORT;
  lua_getfield(L, 1, "hold");
  if (lua_toboolean(L, -1)) plan.act = ACT_HOLD;
  atomic_store(&plan.counted, 0);
  atomic_store(&plan.was_hit, false);
  atomic_store(&plan.is_noting, false);
  arm_or_disarm(true);
  return 0;
}

static int disarm(lua_State *L) {
  arm_or_disarm(false);
  lua_pushinteger(L, atomic_load(&plan.counted));
  if (!atomic_load(&plan.was_hit)) return 1;
  lua_pushstring(L, plan.hit);
  return 2;
}

static int hit(lua_State *L) {
  if (!atomic_load(&plan.was_hit)) return 0;
  lua_pushstring(L, plan.hit);
  return 1;
}

int luaopen_spec_shim(lua_State *L);
int luaopen_spec_shim(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"arm", arm}, {"disarm", disarm}, {"hit", hit}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_newtable(L);
  for (int i = 0; i < CALL_COUNT; i++) {
    lua_pushstring(L, call_names[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "calls");
  return 1;
}
