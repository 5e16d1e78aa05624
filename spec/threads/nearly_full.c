/*
 * A merge on a disk that is full but for what the merge before it has replaced, and what is
 * still to be closed in the background.
 *
 *   nearly_full DIRECTORY
 *
 * The disk is the real one, but for what it says of its free space, and for the closing of large
 * segments, which waits until it is asked for that space. Prints how many segments were
 * waiting, and how many of two the second merge took.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk/disk.h"

enum { SEGMENTS = 5, REPLACED = 3, KEYS = 5, VALUE_SIZE = 1 << 20 };

static atomic_bool is_holding, is_full;
static atomic_int closed;

/* ---- The disk ---- */

static struct disk_file_ops file_ops;
static void (*close_really)(struct disk_file *file);

static void close_late(struct disk_file *file) {
  bool is_large = disk_file_size(file) > VALUE_SIZE;
  while (is_large && atomic_load(&is_holding)) {
  }
  close_really(file);
  if (is_large) atomic_fetch_add(&closed, 1);
}

static struct disk_directory_ops directory_ops;
static enum bitcask_status (*create_really)(struct disk_directory *, const char *, uint64_t,
                                            struct disk_file **);

static enum bitcask_status create(struct disk_directory *directory, const char *name,
                                  uint64_t capacity, struct disk_file **out) {
  enum bitcask_status status = create_really(directory, name, capacity, out);
  if (status != BITCASK_OK) return status;
  if (close_really == NULL) {
    file_ops = *(*out)->ops;
    close_really = file_ops.close;
    file_ops.close = close_late;
  }
  (*out)->ops = &file_ops;
  return BITCASK_OK;
}

static uint64_t free_space(struct disk_directory *directory) {
  (void)directory;
  if (!atomic_load(&is_full)) return UINT64_C(1) << 40;
  uint64_t left = atomic_load(&closed) < REPLACED ? 0 : UINT64_C(1) << 40;
  atomic_store(&is_holding, false);
  return left;
}

static enum bitcask_status open_directory(struct disk *disk, const char *path, bool is_made,
                                          struct disk_directory **out) {
  enum bitcask_status status = disk_posix()->ops->open_directory(disk, path, is_made, out);
  if (status != BITCASK_OK) return status;
  directory_ops = *(*out)->ops;
  create_really = directory_ops.create;
  directory_ops.create = create;
  directory_ops.free_space = free_space;
  (*out)->ops = &directory_ops;
  return BITCASK_OK;
}

/* ---- The store ---- */

static bool fails(enum bitcask_status status, const char *what) {
  if (status != BITCASK_OK) printf("%s: %s\n", what, bitcask_error_text());
  return status != BITCASK_OK;
}

/* Each segment holds all keys, so of all but the last nothing is live. */
static enum bitcask_status fill(struct bitcask *db) {
  static char value[VALUE_SIZE];
  uint64_t segment = 0;
  enum bitcask_status status = BITCASK_OK;
  for (int i = 0; status == BITCASK_OK && i < SEGMENTS * KEYS; i++) {
    char key[1] = {(char)('a' + i % KEYS)};
    status = bitcask_put(db, (bitcask_bytes){key, 1}, (bitcask_bytes){value, VALUE_SIZE}, NULL);
    if (status == BITCASK_OK && i % KEYS == KEYS - 1) status = bitcask_seal(db, &segment);
  }
  return status;
}

/* Their hint files are written in the background, by whoever holds them meanwhile. */
static void wait_for_hints(struct bitcask *db, const char *directory, const uint64_t *ids) {
  char hint[4096];
  for (int i = 0; i < SEGMENTS; i++) {
    snprintf(hint, sizeof hint, "%s/%06d.hint", directory, (int)ids[i]);
    while (access(hint, F_OK) != 0) {
    }
  }
  struct bitcask_stats stats;
  do {
    if (bitcask_stats(db, &stats) != BITCASK_OK) return;
  } while (stats.pinned_segments > 0);
}

static enum bitcask_status list(struct bitcask *db, uint64_t ids[SEGMENTS]) {
  struct bitcask_segment *segments = NULL;
  size_t count = 0, listed = 0;
  enum bitcask_status status = bitcask_segments(db, &segments, &count);
  for (size_t i = 0; i < count && listed < SEGMENTS; i++)
    if (!segments[i].active) ids[listed++] = segments[i].id;
  bitcask_segments_free(segments);
  return status;
}

/* Returns in *out how many of them it took: fewer where it had no room for all. */
static enum bitcask_status merge(struct bitcask *db, const uint64_t *ids, size_t count,
                                 uint64_t *out) {
  struct bitcask_merge_options options = {.segments = ids, .segment_count = count};
  struct bitcask_merge *merge = NULL;
  struct bitcask_merge_report report = {0};
  bool is_finished = false;
  enum bitcask_status status = bitcask_merge_open(db, &options, &merge);
  if (status == BITCASK_OK) status = bitcask_merge_step(merge, 0, &is_finished);
  if (status == BITCASK_OK) bitcask_merge_report(merge, &report);
  *out = report.segments_in;
  bitcask_merge_close(merge);
  return status;
}

int main(int count, char **words) {
  if (count != 2) return 2;
  struct disk_ops ops = *disk_posix()->ops;
  ops.open_directory = open_directory;
  struct disk disk = {&ops};
  struct bitcask *db = NULL;
  struct bitcask_options options;
  bitcask_options_default(&options);
  options.disk = &disk;
  options.segment_size = 16 << 20;
  if (fails(bitcask_open(words[1], &options, &db), "open") || fails(fill(db), "fill")) return 1;
  uint64_t ids[SEGMENTS] = {0};
  if (fails(list(db, ids), "list")) return 1;
  wait_for_hints(db, words[1], ids);
  atomic_store(&is_holding, true);
  uint64_t taken = 0;
  if (fails(merge(db, ids, REPLACED, &taken), "first merge")) return 1;
  printf("%d waiting\n", REPLACED - atomic_load(&closed));
  atomic_store(&is_full, true);
  if (fails(merge(db, ids + REPLACED, SEGMENTS - REPLACED, &taken), "second merge")) return 1;
  printf("%d merged\n", (int)taken);
  atomic_store(&is_full, false);
  atomic_store(&is_holding, false);
  return fails(bitcask_close(db), "close");
}
