/*
 * This engine as it comes, with the default policy on a thread of its own (see cleaning.h).
 */
#include "driver.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "bitcask.h"
#include "cleaning.h"

enum { POLICY_INTERVAL_US = 10000 };

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

/* As the Lua module does: the policy is asked when the engine has left a note for it. */
static bool is_worth_asking(struct bitcask *db) {
  return (bitcask_take_notes(db) & BITCASK_NOTE_CONSULT) != 0;
}

static void *run_policy(void *context) {
  struct store *store = context;
  while (!atomic_load(&store->stopping)) {
    atomic_store(&store->busy, true);
    bool merged = false;
    if (atomic_load(&store->cleaning) && is_worth_asking(store->db))
      check(cleaning_run(store->db, &merged), "clean");
    if (merged) bitcask_leave_note(store->db, BITCASK_NOTE_CONSULT); /* there may be more */
    atomic_store(&store->busy, merged);
    if (!merged) usleep(POLICY_INTERVAL_US);
  }
  return NULL;
}

/* ---- Driver ---------------------------------------------------------------------- */

static void *open_store(const struct driver_config *config, bool verify) {
  struct store *store = driver_allocate(sizeof *store);
  struct bitcask_options options;
  bitcask_options_default(&options);
  options.consults = BITCASK_CONSULTS;
  options.verify = verify;
  if (config->sync) options.sync = BITCASK_SYNC_ALWAYS;
  check(bitcask_open(config->directory, &options, &store->db), "open");
  atomic_init(&store->cleaning, true);
  atomic_init(&store->stopping, false);
  atomic_init(&store->busy, false);
  if (pthread_create(&store->policy, NULL, run_policy, store) != 0)
    driver_die("bitcask: cannot start a thread");
  return store;
}

static void *open_verified(const struct driver_config *config) {
  return open_store(config, true);
}

static void *open_unverified(const struct driver_config *config) {
  return open_store(config, false);
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
  if (enabled) bitcask_leave_note(store->db, BITCASK_NOTE_CONSULT); /* of what it has missed */
  atomic_store(&store->cleaning, enabled);
  if (!enabled) settle(store);
}

static void merge(void *context) {
  struct bitcask *db = ((struct store *)context)->db;
  uint64_t segment;
  check(bitcask_seal(db, &segment), "seal");
  check(cleaning_merge(db, NULL, 0), "merge");
}

#define BITCASK_FUNCTIONS                                                              \
  .can_sync = true, .close = store_close, .session_open = session_open,                \
  .session_close = session_close, .put = put, .get = get, .remove = remove_key,        \
  .scan = scan, .settle = settle, .set_cleaning = set_cleaning, .merge = merge

const struct driver driver_bitcask = {.name = "bitcask",
                                      .tuning = "as it comes, with the default policy",
                                      .open = open_verified,
                                      BITCASK_FUNCTIONS};

const struct driver driver_bitcask_unverified = {
    .name = "bitcask-unverified",
    .tuning = "the same, with reads that check nothing, as most peers' do; from 1 KiB on",
    .value_size_least = 1024,
    .open = open_unverified,
    BITCASK_FUNCTIONS};
