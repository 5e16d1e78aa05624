/*
 * A store is closed while a merge of it is not: on a thread of its own, waited for by another
 * thread, or between two steps.
 *
 *   closing DIRECTORY running|waited|stepped|begun
 *
 * Prints whether the merge was finished when the store was closed, what its outcome was, and
 * whether all is there when the store is opened again.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "bitcask.h"

enum { KEYS = 2000, VALUE_SIZE = 1000 };

static int check(enum bitcask_status status, const char *what) {
  if (status == BITCASK_OK) return 0;
  printf("%s: %s\n", what, bitcask_error_text());
  return 1;
}

static enum bitcask_status open_store(const char *directory, struct bitcask **out) {
  struct bitcask_options options;
  bitcask_options_default(&options);
  options.segment_size = 1 << 18;
  return bitcask_open(directory, &options, out);
}

static bitcask_bytes key_of(int i, char into[16]) {
  return (bitcask_bytes){.data = into, .size = (size_t)snprintf(into, 16, "k%d", i)};
}

/* Each key twice: a merge has half of it all to drop. */
static enum bitcask_status fill(struct bitcask *db) {
  char key[16], value[VALUE_SIZE];
  uint64_t segment = 0;
  memset(value, 'v', sizeof value);
  for (int i = 0; i < 2 * KEYS; i++) {
    enum bitcask_status status =
        bitcask_put(db, key_of(i / 2, key), (bitcask_bytes){value, sizeof value}, NULL);
    if (status != BITCASK_OK) return status;
  }
  return bitcask_seal(db, &segment);
}

static void *wait_for(void *context) {
  bitcask_merge_wait(context);
  return NULL;
}

/* Leave the merge as `how` says, at a rate at which it never comes to its end. */
static enum bitcask_status begin(struct bitcask_merge *merge, const char *how, pthread_t *waiter) {
  bool is_finished = false;
  if (strcmp(how, "begun") == 0) return BITCASK_OK;
  if (strcmp(how, "stepped") == 0) {
    enum bitcask_status status = bitcask_merge_step(merge, 1 << 10, &is_finished);
    return status == BITCASK_OK ? bitcask_merge_step(merge, 1 << 10, &is_finished) : status;
  }
  enum bitcask_status status = bitcask_merge_start(merge);
  struct bitcask_merge_progress progress;
  do {
    bitcask_merge_progress(merge, &progress);
  } while (status == BITCASK_OK && progress.done == 0);
  if (strcmp(how, "waited") == 0) pthread_create(waiter, NULL, wait_for, merge);
  return status;
}

static int check_contents(const char *directory) {
  struct bitcask *db = NULL;
  struct bitcask_stats stats;
  if (check(open_store(directory, &db), "open again")) return 1;
  if (check(bitcask_stats(db, &stats), "stats")) return 1;
  printf("%llu keys, %llu bytes dead\n", (unsigned long long)bitcask_count(db),
         (unsigned long long)(stats.dead_bytes / (KEYS * VALUE_SIZE) * (KEYS * VALUE_SIZE)));
  return check(bitcask_close(db), "close again");
}

int main(int count, char **words) {
  if (count != 3) return 2;
  struct bitcask *db = NULL;
  struct bitcask_merge *merge = NULL;
  struct bitcask_merge_options options = {.rate = 1 << 10};
  struct bitcask_merge_progress progress;
  pthread_t waiter;
  if (check(open_store(words[1], &db), "open") || check(fill(db), "fill")) return 1;
  if (check(bitcask_merge_open(db, &options, &merge), "merge_open")) return 1;
  if (check(begin(merge, words[2], &waiter), "begin")) return 1;
  if (check(bitcask_close(db), "close")) return 1;
  bitcask_merge_progress(merge, &progress);
  printf("%s\n", progress.finished ? "finished" : "goes on");
  if (!progress.finished) return 1;
  if (strcmp(words[2], "waited") == 0) pthread_join(waiter, NULL);
  printf("%s\n", bitcask_status_name(bitcask_merge_wait(merge)));
  bitcask_merge_close(merge);
  return check_contents(words[1]);
}
