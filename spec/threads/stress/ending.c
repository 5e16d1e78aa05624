/* What the store holds at the end, and after it was opened anew and merged. */
#include "stress.h"

#include <inttypes.h>

static void check_one_key(struct bitcask *db, struct bitcask_buffer *into, unsigned key) {
  char key_bytes[KEY_SIZE_MAX];
  uint64_t version = 0, expected = version_at(key, UINT64_MAX);
  bitcask_bytes bytes = key_of(key, key_bytes);
  enum bitcask_status status = bitcask_get(db, bytes, into, &version);
  if (status == BITCASK_ABSENT && expected != 0)
    die("at the end key %u is gone; it was put as %" PRIu64, key, expected);
  if (status == BITCASK_ABSENT) return;
  check(status, "get at the end");
  if (version != expected)
    die("at the end key %u has version %" PRIu64 ", not %" PRIu64, key, version, expected);
  check_value("get at the end", key, (bitcask_bytes){into->data, into->size}, version);
}

static void check_end(struct bitcask *db) {
  struct bitcask_buffer into = {0};
  struct bitcask_iterator *iterator = NULL;
  struct bitcask_iterator_options options = {0};
  struct bitcask_stats stats;
  uint64_t live = 0, seen = 0;
  for (unsigned key = 0; key < run.keys; key++) {
    check_one_key(db, &into, key);
    if (version_at(key, UINT64_MAX) != 0) live++;
  }
  check(bitcask_iterator_open(db, &options, &iterator), "iterator_open");
  for (;;) {
    bitcask_bytes key, value;
    uint64_t version = 0;
    enum bitcask_status status = bitcask_iterator_next(iterator, &key, &value, &version);
    if (status == BITCASK_ABSENT) break;
    check(status, "iterator at the end");
    if (version != version_at(number_of(key), UINT64_MAX)) die("iterator at the end differs");
    seen++;
  }
  bitcask_iterator_close(iterator);
  bitcask_buffer_release(&into);
  if (seen != live || bitcask_count(db) != live)
    die("at the end there are %" PRIu64 " keys, not %" PRIu64, bitcask_count(db), live);
  check(bitcask_stats(db, &stats), "stats");
  if (stats.corruptions != 0) die("at the end damage was met");
  if (stats.old_versions != 0 || stats.pinned_segments != 0 || stats.snapshots != 0)
    die("at the end: %" PRIu64 " old versions, %" PRIu64 " pinned segments, %" PRIu64 " snapshots",
        stats.old_versions, stats.pinned_segments, stats.snapshots);
  if (stats.version < atomic_load(&run.newest)) die("the version went back");
}

static void check_live_bytes(struct bitcask *db) {
  struct bitcask_segment *segments = NULL;
  size_t count = 0;
  uint64_t records = 0;
  check(bitcask_segments(db, &segments, &count), "segments");
  for (size_t i = 0; i < count; i++) records += segments[i].live_records;
  bitcask_segments_free(segments);
  uint64_t keys = bitcask_count(db);
  if (records != keys)
    die("%" PRIu64 " records are counted as alive, of %" PRIu64 " keys", records, keys);
}

static void merge_all(struct bitcask *db) {
  struct bitcask_merge *merge = NULL;
  struct bitcask_merge_options options = {0};
  bool is_finished = false;
  check(bitcask_merge_open(db, &options, &merge), "merge_open");
  check(bitcask_merge_step(merge, 0, &is_finished), "merge");
  if (!is_finished) die("a merge without a budget is not finished");
  bitcask_merge_close(merge);
}

void check_again_and_again(struct bitcask *db) {
  check_end(db);
  check_live_bytes(db);
  check(bitcask_close(db), "close");
  check(bitcask_open(run.directory, &run.options, &db), "open again");
  check_end(db);
  check_live_bytes(db);
  merge_all(db);
  check_end(db);
  check(bitcask_close(db), "close");
  check(bitcask_open(run.directory, &run.options, &db), "open after the merge");
  check_end(db);
  check_live_bytes(db);
  check(bitcask_close(db), "close");
}
