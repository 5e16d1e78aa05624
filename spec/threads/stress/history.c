/* What was seen, held against the whole history once it is over. */
#include "stress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct history {
  struct write *writes; /* of one key, by version */
  size_t count;
};

static struct history histories[KEYS_MAX];

static int compare_writes(const void *left, const void *right) {
  const struct write *a = left, *b = right;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  return (a->version > b->version) - (a->version < b->version);
}

struct write *gather_histories(void) {
  size_t count = 0;
  for (unsigned i = 0; i < run.worker_count; i++) count += run.workers[i].write_count;
  struct write *all = allocate(count + 1, sizeof *all);
  size_t next = 0;
  for (unsigned i = 0; i < run.worker_count; i++) {
    struct worker *worker = &run.workers[i];
    memcpy(all + next, worker->writes, worker->write_count * sizeof *all);
    next += worker->write_count;
  }
  qsort(all, count, sizeof *all, compare_writes);
  memset(histories, 0, sizeof histories);
  for (size_t i = 0; i < count; i++) {
    struct history *history = &histories[all[i].key];
    if (history->count == 0) history->writes = &all[i];
    if (i > 0 && all[i].key == all[i - 1].key && all[i].version == all[i - 1].version)
      die("version %" PRIu64 " was given out twice", all[i].version);
    history->count++;
  }
  return all;
}

/* How many writes of the key have a version up to `version`. */
static size_t writes_up_to(const struct history *history, uint64_t version) {
  size_t low = 0, high = history->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (history->writes[middle].version <= version)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static bool is_there_after(const struct history *history, size_t writes) {
  return writes > 0 && !history->writes[writes - 1].is_delete;
}

/* Was the key, between the floor and the ceiling, ever as it was seen? */
static void check_sight(const struct sight *sight) {
  const struct history *history = &histories[sight->key];
  size_t first = writes_up_to(history, sight->floor);
  size_t last = writes_up_to(history, sight->ceiling);
  for (size_t writes = first; writes <= last; writes++)
    if (is_there_after(history, writes) == sight->is_there) return;
  die("key %u was seen %s, which it never was from version %" PRIu64 " to %" PRIu64, sight->key,
      sight->is_there ? "there" : "absent", sight->floor, sight->ceiling);
}

uint64_t version_at(unsigned key, uint64_t moment) {
  const struct history *history = &histories[key];
  size_t writes = writes_up_to(history, moment);
  return is_there_after(history, writes) ? history->writes[writes - 1].version : 0;
}

/* Versions in the middle of a batch: nobody may see the store as it would be then. */
static uint8_t *is_amid_batch;

static void mark_batches(void) {
  is_amid_batch = allocate(atomic_load(&run.begun) + 2, 1);
  for (unsigned i = 0; i < run.worker_count; i++)
    for (size_t k = 0; k < run.workers[i].write_count; k++) {
      const struct write *write = &run.workers[i].writes[k];
      if (write->version != write->last) is_amid_batch[write->version] = 1;
    }
}

static bool is_as_at(const struct walk *walk, uint64_t moment) {
  if (is_amid_batch[moment]) return false;
  for (unsigned key = 0; key < run.keys; key += walk->has_prefix ? 2 : 1)
    if (walk->versions[key] != version_at(key, moment)) return false;
  return true;
}

/* A moment at which the store held what the walk showed is the version of a write; it is at
 * least that of every write shown, and below the next write of each of these keys. */
static void check_walk(const struct walk *walk) {
  uint64_t low = walk->floor, high = walk->ceiling;
  for (unsigned key = 0; key < run.keys; key++) {
    uint64_t version = walk->versions[key];
    if (version == 0) continue;
    const struct history *history = &histories[key];
    size_t writes = writes_up_to(history, version);
    if (writes == 0 || history->writes[writes - 1].version != version)
      die("iterator: key %u has a version that no write returned", key);
    if (version > low) low = version;
    if (writes < history->count && history->writes[writes].version - 1 < high)
      high = history->writes[writes].version - 1;
  }
  for (uint64_t moment = low; moment <= high; moment++)
    if (is_as_at(walk, moment)) return;
  die("an iteration shows no moment from version %" PRIu64 " to %" PRIu64, low, high);
}

static uint64_t count_at(uint64_t moment) {
  uint64_t count = 0;
  for (unsigned key = 0; key < run.keys; key++)
    if (version_at(key, moment) != 0) count++;
  return count;
}

static void check_glimpse(const struct glimpse *glimpse) {
  if (is_amid_batch[glimpse->snapshot])
    die("snapshot %" PRIu64 " is in the middle of a batch", glimpse->snapshot);
  if (glimpse->key >= KEYS_MAX) {
    if (glimpse->key - KEYS_MAX != count_at(glimpse->snapshot))
      die("snapshot %" PRIu64 " counts %u keys", glimpse->snapshot, glimpse->key - KEYS_MAX);
    return;
  }
  uint64_t expected = version_at(glimpse->key, glimpse->snapshot);
  if (glimpse->version != expected)
    die("snapshot %" PRIu64 ": key %u has version %" PRIu64 ", not %" PRIu64, glimpse->snapshot,
        glimpse->key, glimpse->version, expected);
}

static void check_condition(const struct write *write) {
  if (write->expected == ANY_VERSION) return;
  uint64_t before = version_at(write->key, write->first - 1);
  if (before != write->expected)
    die("version %" PRIu64 " of key %u was to follow %" PRIu64 ", and follows %" PRIu64,
        write->version, write->key, write->expected, before);
}

void check_history(void) {
  mark_batches();
  for (unsigned i = 0; i < run.worker_count; i++) {
    struct worker *worker = &run.workers[i];
    for (size_t k = 0; k < worker->write_count; k++) check_condition(&worker->writes[k]);
    for (size_t k = 0; k < worker->glimpse_count; k++) check_glimpse(&worker->glimpses[k]);
    for (size_t k = 0; k < worker->sight_count; k++) check_sight(&worker->sights[k]);
    for (size_t k = 0; k < worker->walk_count; k++) check_walk(&worker->walks[k]);
  }
  free(is_amid_batch);
}
