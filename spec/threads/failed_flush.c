/*
 * A flush fails while another thread waits to flush, too. The system would tell that one that all
 * is well (it has forgotten the pages that it could not write), so it must not ask.
 *
 *   failed_flush DIRECTORY none|always
 *
 * Prints the statuses of both calls, and how many flushes were tried after the one that failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bitcask.h"

static struct bitcask *db;
static atomic_bool is_armed, is_failing;
static atomic_int tried_after;
static atomic_int follower; /* its thread, once it runs */

static bool sleeps(int thread) {
  char path[64], text[256] = {0};
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
  int file = open(path, O_RDONLY);
  if (file < 0) return false;
  ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  const char *name_end = size > 0 ? strrchr(text, ')') : NULL;
  return name_end != NULL && name_end[2] == 'S';
}

/* Is this flush to fail? Then once the follower waits. */
static bool is_to_fail(void) {
  if (!atomic_exchange(&is_armed, false)) {
    if (atomic_load(&is_failing)) atomic_fetch_add(&tried_after, 1);
    return false;
  }
  atomic_store(&is_failing, true);
  while (atomic_load(&follower) == 0 || !sleeps(atomic_load(&follower))) {
  }
  errno = EIO;
  return true;
}

int fdatasync(int file) { return is_to_fail() ? -1 : (int)syscall(SYS_fdatasync, file); }

int msync(void *at, size_t size, int flags) {
  return is_to_fail() ? -1 : (int)syscall(SYS_msync, at, size, flags);
}

static bitcask_bytes text(const char *word) {
  return (bitcask_bytes){.data = word, .size = strlen(word)};
}

static enum bitcask_status write_durably(bool always, const char *key) {
  return always ? bitcask_put(db, text(key), text("value"), NULL) : bitcask_sync_now(db);
}

struct call {
  bool always;
  enum bitcask_status status;
};

static void *lead(void *context) {
  struct call *call = context;
  call->status = write_durably(call->always, "leader");
  return NULL;
}

static void *follow(void *context) {
  struct call *call = context;
  atomic_store(&follower, (int)syscall(SYS_gettid));
  call->status = write_durably(call->always, "follower");
  return NULL;
}

int main(int count, char **words) {
  if (count != 3) return 2;
  struct call leader = {.always = strcmp(words[2], "always") == 0}, second = leader;
  struct bitcask_options options;
  pthread_t one, two;
  bitcask_options_default(&options);
  if (leader.always) options.sync = BITCASK_SYNC_ALWAYS;
  if (bitcask_open(words[1], &options, &db) != BITCASK_OK) return 1;
  if (bitcask_put(db, text("before"), text("value"), NULL) != BITCASK_OK) return 1;
  atomic_store(&is_armed, true);
  pthread_create(&one, NULL, lead, &leader);
  while (!atomic_load(&is_failing)) {
  }
  pthread_create(&two, NULL, follow, &second);
  pthread_join(one, NULL);
  pthread_join(two, NULL);
  printf("%s %s %d\n", bitcask_status_name(leader.status), bitcask_status_name(second.status),
         atomic_load(&tried_after));
  bitcask_close(db);
  return 0;
}
