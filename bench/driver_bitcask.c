/*
 * This engine, with a policy of merging of the driver's own, on a thread of its own:
 * whenever the dead bytes exceed three fifths of the live ones, merge in the background the
 * sealed segments that are dead by half or more. Segments are small beside the data, so that
 * little room is taken by what is merged and not yet removed.
 */
#include "driver.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "bitcask.h"

enum { POLICY_INTERVAL_US = 2000, SEGMENT_SIZE = 32 << 20 };

struct store {
  struct bitcask *db;
  pthread_t policy;
  atomic_bool cleaning;
  atomic_bool stopping;
  atomic_bool busy; /* the policy is at work, or may be */
};

struct session {
  struct bitcask *db;
  struct bitcask_buffer value;
};

static void check(enum bitcask_status status, const char *what) {
  if (status != BITCASK_OK)
    driver_die("bitcask: %s: %s: %s", what, bitcask_status_name(status), bitcask_error_text());
}

/* ---- Policy ---------------------------------------------------------------------- */

static bool is_due(struct bitcask *db) {
  struct bitcask_stats stats;
  check(bitcask_stats(db, &stats), "stats");
  return stats.dead_bytes > stats.live_bytes / 5 * 3;
}

/* The ids of the sealed segments that are dead by half or more, to be freed. */
static uint64_t *choose_segments(struct bitcask *db, size_t *chosen) {
  struct bitcask_segment *segments;
  size_t count;
  check(bitcask_segments(db, &segments, &count), "segments");
  uint64_t *ids = driver_allocate((count + 1) * sizeof *ids);
  *chosen = 0;
  for (size_t i = 0; i < count; i++)
    if (!segments[i].active && 2 * segments[i].dead_bytes >= segments[i].bytes)
      ids[(*chosen)++] = segments[i].id;
  bitcask_segments_free(segments);
  return ids;
}

/* On the thread that calls. */
static void run_merge(struct bitcask *db, const struct bitcask_merge_options *options) {
  struct bitcask_merge *merge;
  bool finished;
  check(bitcask_merge_open(db, options, &merge), "merge open");
  check(bitcask_merge_step(merge, 0, &finished), "merge");
  bitcask_merge_close(merge);
}

/* Returns whether there was something to merge. */
static bool merge_if_due(struct bitcask *db) {
  if (!is_due(db)) return false;
  struct bitcask_merge_options options = {0};
  uint64_t *ids = choose_segments(db, &options.segment_count);
  options.segments = ids;
  if (options.segment_count > 0) run_merge(db, &options);
  free(ids);
  return options.segment_count > 0;
}

static void *run_policy(void *context) {
  struct store *store = context;
  while (!atomic_load(&store->stopping)) {
    atomic_store(&store->busy, true);
    bool merged = atomic_load(&store->cleaning) && merge_if_due(store->db);
    atomic_store(&store->busy, merged);
    if (!merged) usleep(POLICY_INTERVAL_US);
  }
  return NULL;
}

/* ---- Driver ---------------------------------------------------------------------- */

static void *store_open(const struct driver_config *config) {
  struct store *store = driver_allocate(sizeof *store);
  struct bitcask_options options;
  bitcask_options_default(&options);
  options.segment_size = SEGMENT_SIZE;
  if (config->sync) options.sync = BITCASK_SYNC_ALWAYS;
  check(bitcask_open(config->directory, &options, &store->db), "open");
  atomic_init(&store->cleaning, true);
  atomic_init(&store->stopping, false);
  atomic_init(&store->busy, false);
  if (pthread_create(&store->policy, NULL, run_policy, store) != 0)
    driver_die("bitcask: cannot start a thread");
  return store;
}

static void store_close(void *context) {
  struct store *store = context;
  atomic_store(&store->stopping, true);
  pthread_join(store->policy, NULL);
  check(bitcask_close(store->db), "close");
  free(store);
}

static void *session_open(void *store) {
  struct session *session = driver_allocate(sizeof *session);
  *session = (struct session){.db = ((struct store *)store)->db};
  return session;
}

static void session_close(void *context) {
  struct session *session = context;
  bitcask_buffer_release(&session->value);
  free(session);
}

static bitcask_bytes to_bytes(driver_bytes bytes) {
  return (bitcask_bytes){bytes.data, bytes.size};
}

static void put(void *context, driver_bytes key, driver_bytes value) {
  struct session *session = context;
  check(bitcask_put(session->db, to_bytes(key), to_bytes(value), NULL), "put");
}

static bool get(void *context, driver_bytes key, driver_bytes *value) {
  struct session *session = context;
  enum bitcask_status status = bitcask_get(session->db, to_bytes(key), &session->value, NULL);
  if (status == BITCASK_ABSENT) return false;
  check(status, "get");
  *value = (driver_bytes){session->value.data, session->value.size};
  return true;
}

static void remove_key(void *context, driver_bytes key) {
  struct session *session = context;
  enum bitcask_status status = bitcask_delete(session->db, to_bytes(key), NULL);
  if (status != BITCASK_ABSENT) check(status, "delete");
}

static void scan(void *context, driver_visit visit, void *visit_context) {
  struct bitcask *db = ((struct session *)context)->db;
  struct bitcask_iterator_options options = {0};
  struct bitcask_iterator *walk;
  bitcask_bytes key, value;
  enum bitcask_status status;
  check(bitcask_iterator_open(db, &options, &walk), "iterator");
  while ((status = bitcask_iterator_next(walk, &key, &value, NULL)) == BITCASK_OK)
    visit(visit_context, (driver_bytes){key.data, key.size},
          (driver_bytes){value.data, value.size});
  if (status != BITCASK_ABSENT) check(status, "next");
  bitcask_iterator_close(walk);
}

/* Twice the interval without work: a round of the policy has passed and found nothing. */
static void settle(void *context) {
  struct store *store = context;
  for (int idle = 0; idle < 10; idle++) {
    if (atomic_load(&store->busy)) idle = 0;
    usleep(POLICY_INTERVAL_US / 4);
  }
}

static void set_cleaning(void *context, bool enabled) {
  struct store *store = context;
  atomic_store(&store->cleaning, enabled);
  if (!enabled) settle(store);
}

static void merge(void *context) {
  struct bitcask *db = ((struct store *)context)->db;
  struct bitcask_merge_options everything = {0};
  uint64_t segment;
  check(bitcask_seal(db, &segment), "seal");
  run_merge(db, &everything);
}

const struct driver driver_bitcask = {
    .name = "bitcask",
    .tuning = "segments of 32 MiB, merged in the background when 3/5 of what lives is dead",
    .can_sync = true,
    .open = store_open,
    .close = store_close,
    .session_open = session_open,
    .session_close = session_close,
    .put = put,
    .get = get,
    .remove = remove_key,
    .scan = scan,
    .settle = settle,
    .set_cleaning = set_cleaning,
    .merge = merge};
