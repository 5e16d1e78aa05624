/* Sealing, merging, and a look at the numbers. */
#include "stress.h"

#include <inttypes.h>
#include <time.h>

static void look_at_everything(struct worker *worker) {
  struct bitcask_stats stats;
  struct bitcask_event event;
  check(bitcask_stats(worker->db, &stats), "stats");
  if (stats.corruptions != 0) die("the store reports damage");
  if (stats.stopped != 0) die("the store has stopped");
  uint64_t most = run.keys + (uint64_t)EXPIRING_MAX * run.worker_count;
  if (stats.keys > most || bitcask_count(worker->db) > most) die("there are too many keys");
  while (bitcask_next_event(worker->db, &event))
    if (event.kind == BITCASK_EVENT_CORRUPTION || event.kind == BITCASK_EVENT_ERROR)
      die("an event: %s: %s", bitcask_status_name(event.status), event.message);
}

void work_as_sealer(struct worker *worker) {
  while (goes_on(worker)) {
    uint64_t segment = 0;
    unsigned which = below(&worker->chance, 8);
    if (which == 0)
      check(bitcask_seal(worker->db, &segment), "seal");
    else if (which <= 3)
      check(bitcask_sync_now(worker->db), "sync");
    else
      look_at_everything(worker);
    struct timespec nap = {0, (long)below(&worker->chance, 8) * 1000000L};
    nanosleep(&nap, NULL);
  }
}

static size_t choose_segments(struct worker *worker, uint64_t ids[SEGMENTS_MAX]) {
  struct bitcask_segment *segments = NULL;
  size_t count = 0, chosen = 0;
  unsigned share = 1 + below(&worker->chance, 3);
  check(bitcask_segments(worker->db, &segments, &count), "segments");
  for (size_t i = 0; i < count && chosen < SEGMENTS_MAX; i++) {
    if (segments[i].live_bytes > segments[i].bytes ||
        segments[i].live_records > segments[i].records)
      die("segment %" PRIu64 ": more is alive than there is", segments[i].id);
    if (segments[i].damaged) die("segment %" PRIu64 " is damaged", segments[i].id);
    if (!segments[i].active && one_in(&worker->chance, share)) ids[chosen++] = segments[i].id;
  }
  bitcask_segments_free(segments);
  return chosen;
}

/* A step, or the whole, may meet what the other merger did, or its own cancelling. */
static void drive_merge(struct worker *worker, struct bitcask_merge *merge) {
  struct bitcask_merge_progress progress;
  enum bitcask_status status = BITCASK_OK;
  bool is_cancelled = one_in(&worker->chance, 5);
  bool is_finished = false;
  if (one_in(&worker->chance, 2)) {
    check(bitcask_merge_start(merge), "merge_start");
    bitcask_merge_progress(merge, &progress);
    if (is_cancelled) bitcask_merge_cancel(merge);
    status = bitcask_merge_wait(merge);
  } else {
    uint64_t budget = UINT64_C(1) << below(&worker->chance, 20);
    for (unsigned steps = 0; status == BITCASK_OK && !is_finished; steps++) {
      if (is_cancelled && steps == 3) break; /* closed midway */
      status = bitcask_merge_step(merge, budget, &is_finished);
    }
  }
  if (status != BITCASK_CANCELLED) check(status, "merge");
}

static void merge_once(struct worker *worker) {
  uint64_t ids[SEGMENTS_MAX];
  struct bitcask_merge *merge = NULL;
  struct bitcask_merge_options options = {0};
  if (!one_in(&worker->chance, 4)) {
    options.segments = ids;
    options.segment_count = choose_segments(worker, ids);
  }
  enum bitcask_status status = bitcask_merge_open(worker->db, &options, &merge);
  /* The other merger is at it, or has taken a chosen segment away since. */
  if (status == BITCASK_BUSY || status == BITCASK_INVALID) return;
  check(status, "merge_open");
  drive_merge(worker, merge);
  bitcask_merge_close(merge);
}

void work_as_merger(struct worker *worker) {
  while (goes_on(worker)) {
    merge_once(worker);
    struct timespec nap = {0, (long)below(&worker->chance, 3) * 1000000L};
    nanosleep(&nap, NULL);
  }
}
