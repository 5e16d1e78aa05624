/* Iterations, snapshots, and changes. */
#include "stress.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static void iterate_over(struct worker *worker, struct bitcask_iterator *iterator, bool keys_only,
                         struct walk *walk) {
  for (;;) {
    bitcask_bytes key, value;
    uint64_t version = 0;
    enum bitcask_status status = bitcask_iterator_next(iterator, &key, &value, &version);
    if (status == BITCASK_ABSENT) return;
    check(status, "iterator");
    if (is_expiring(key) && !walk->has_prefix) continue;
    unsigned number = number_of(key);
    if (walk->versions[number] != 0) die("iterator: key %u came twice", number);
    if (walk->has_prefix && number % 2 != 0) die("iterator: key %u has another prefix", number);
    if (!keys_only) check_value("iterator", number, value, version);
    walk->versions[number] = version;
    if (one_in(&worker->chance, 40)) get_once(worker);
  }
}

static void iterate_once(struct worker *worker) {
  struct bitcask_iterator *iterator = NULL;
  struct bitcask_iterator_options options = {0};
  struct walk *walk = &worker->walks[worker->walk_count];
  walk->has_prefix = one_in(&worker->chance, 4);
  options.keys_only = one_in(&worker->chance, 3);
  if (walk->has_prefix) options.prefix = (bitcask_bytes){"even", 4};
  memset(walk->versions, 0, run.keys * sizeof walk->versions[0]);
  walk->floor = atomic_load(&run.newest);
  check(bitcask_iterator_open(worker->db, &options, &iterator), "iterator_open");
  walk->ceiling = atomic_load(&run.begun);
  if (one_in(&worker->chance, 3)) { /* let much happen before it is looked at */
    struct timespec nap = {0, (long)below(&worker->chance, 30) * 1000000L};
    nanosleep(&nap, NULL);
  }
  if (!one_in(&worker->chance, 20)) { /* else it is closed unread */
    iterate_over(worker, iterator, options.keys_only, walk);
    if (worker->walk_count + 1 < WALKS_MAX) worker->walk_count++;
  }
  bitcask_iterator_close(iterator);
}

void work_as_iterator(struct worker *worker) {
  while (goes_on(worker)) iterate_once(worker);
}

static void saw_glimpse(struct worker *worker, unsigned key, uint64_t snapshot, uint64_t version) {
  if (version > snapshot)
    die("snapshot %" PRIu64 ": key %u has version %" PRIu64, snapshot, key, version);
  if (worker->glimpse_count == SIGHTS_MAX) return;
  worker->glimpses[worker->glimpse_count++] = (struct glimpse){key, snapshot, version};
}

static void look_into(struct worker *worker, struct bitcask_snapshot *snapshot, uint64_t at) {
  char key_bytes[KEY_SIZE_MAX];
  struct bitcask_stat stat = {0};
  unsigned key = choose_key(worker);
  bitcask_bytes bytes = key_of(key, key_bytes);
  uint64_t version = 0;
  enum bitcask_status status;
  if (one_in(&worker->chance, 3)) {
    status = bitcask_snapshot_stat_key(snapshot, bytes, &stat);
    version = stat.version;
  } else {
    status = bitcask_snapshot_get(snapshot, bytes, &worker->into, &version);
    bitcask_bytes value = {worker->into.data, worker->into.size};
    if (status == BITCASK_OK) check_value("snapshot_get", key, value, version);
  }
  if (status != BITCASK_ABSENT) check(status, "snapshot");
  saw_glimpse(worker, key, at, status == BITCASK_ABSENT ? 0 : version);
}

static void walk_over_snapshot(struct worker *worker, struct bitcask_snapshot *snapshot,
                               uint64_t at) {
  struct bitcask_iterator *iterator = NULL;
  struct bitcask_iterator_options options = {0};
  struct walk *walk = &worker->walks[worker->walk_count];
  walk->has_prefix = false;
  walk->floor = walk->ceiling = at;
  memset(walk->versions, 0, run.keys * sizeof walk->versions[0]);
  check(bitcask_snapshot_iterator_open(snapshot, &options, &iterator), "snapshot_iterator_open");
  iterate_over(worker, iterator, false, walk);
  bitcask_iterator_close(iterator);
  if (worker->walk_count + 1 < WALKS_MAX) worker->walk_count++;
}

void work_as_holder(struct worker *worker) {
  while (goes_on(worker)) {
    struct bitcask_snapshot *snapshot = NULL;
    uint64_t newest = atomic_load(&run.newest), count = 0;
    check(bitcask_snapshot_open(worker->db, &snapshot), "snapshot_open");
    uint64_t at = bitcask_snapshot_version(snapshot);
    if (at < newest || at > atomic_load(&run.begun))
      die("a snapshot at version %" PRIu64 ", where %" PRIu64 " was known", at, newest);
    for (unsigned i = below(&worker->chance, 200); i > 0; i--) look_into(worker, snapshot, at);
    if (one_in(&worker->chance, 4)) walk_over_snapshot(worker, snapshot, at);
    check(bitcask_snapshot_count(snapshot, &count), "snapshot_count");
    if (!run.has_expiring) saw_glimpse(worker, KEYS_MAX + (unsigned)count, at, 0);
    bitcask_snapshot_close(snapshot);
  }
}

/* Follow from `since` as far as it goes; where it went to. */
static uint64_t follow_changes(struct bitcask_changes *changes, uint64_t since) {
  struct bitcask_change change;
  for (;;) {
    enum bitcask_status status = bitcask_changes_next(changes, &change);
    if (status == BITCASK_ABSENT || status == BITCASK_NOTFOUND) return since;
    check(status, "changes_next");
    if (change.version != since + 1)
      die("changes: version %" PRIu64 " follows %" PRIu64, change.version, since);
    if (!is_expiring(change.key)) {
      unsigned key = number_of(change.key);
      if (!change.deleted) check_value("changes", key, change.value, change.version);
    }
    since = change.version;
  }
}

void work_as_follower(struct worker *worker) {
  uint64_t since = 0;
  while (goes_on(worker)) {
    struct bitcask_changes *changes = NULL;
    enum bitcask_status status = bitcask_changes_open(worker->db, since, &changes);
    if (status == BITCASK_NOTFOUND) {
      since = atomic_load(&run.newest);
      continue;
    }
    check(status, "changes_open");
    since = follow_changes(changes, since);
    bitcask_changes_close(changes);
  }
}
