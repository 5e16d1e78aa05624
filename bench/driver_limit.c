/*
 * No engine but a yardstick: the barest log and index that answer the same calls. Nothing
 * is checked or kept safe, and the index is sized beforehand.
 *
 *   log     | key size 4 | value size 4 | key | value | ... each record, then the next
 *   index   open addressing, 16 bytes a slot: hash of the key, place in the log
 *   place   offset << 24 | size of the record; 0 a free slot, 1 a deleted key
 *
 * A put trusts the 64-bit hash; a get compares the key in the log.
 *
 *   limit-map    appends by memcpy to a preallocated mapping, reads from it
 *   limit-clean  the same, and copies what lives to a new log, inline, whenever the log
 *                has grown to twice the live records
 *   limit-write  one write(2) a put, one pread(2) a get
 *
 * Threads: one writer at a time, under the mutex; readers go without. Cleaning takes the
 * mapping away under readers: one thread only.
 */
#include "driver.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LOG_RESERVED ((size_t)1 << 38) /* of address space */
#define LOG_STEP ((uint64_t)64 << 20)  /* preallocated at a time */

enum { LOG_HEAD = 8, SIZE_BITS = 24, PLACE_DELETED = 1 };
static const uint32_t REMOVED = UINT32_MAX; /* value size of the record of a delete */

enum mode { MODE_MAP, MODE_CLEAN, MODE_WRITE };

struct slot {
  _Atomic uint64_t hash;
  _Atomic uint64_t place;
};

struct log {
  int file;
  char *map; /* of the whole reserved range; of what is there, when writing with write(2) */
  uint64_t end;
  uint64_t allocated;
};

struct store {
  enum mode mode;
  bool cleaning;
  const struct driver_config *config;
  char *log_path, *new_path, *index_path;
  struct log log;
  uint64_t live_bytes;
  size_t capacity;
  struct slot *slots;
  pthread_mutex_t lock;
  pthread_mutex_t sync_lock;
  pthread_cond_t sync_ended;
  bool is_syncing;
  uint64_t synced; /* end of the log that a power cut would leave */
};

struct session {
  struct store *store;
  char *buffer; /* one record */
};

static uint64_t place_offset(uint64_t place) { return place >> SIZE_BITS; }
static uint64_t place_size(uint64_t place) { return place & ((1u << SIZE_BITS) - 1); }

/* ---- Log ------------------------------------------------------------------------- */

static void log_open(struct log *log, const char *path, bool mapped, bool scarce) {
  *log = (struct log){.file = open(path, O_RDWR | O_CREAT, 0644), .end = LOG_HEAD};
  if (log->file < 0) driver_die("cannot open %s", path);
  off_t size = lseek(log->file, 0, SEEK_END);
  log->allocated = (uint64_t)size;
  if (size == 0 && pwrite(log->file, "limit   ", LOG_HEAD, 0) != LOG_HEAD)
    driver_die("cannot write %s", path);
  int protection = mapped ? PROT_READ | PROT_WRITE : PROT_READ;
  log->map = mmap(NULL, LOG_RESERVED, protection, MAP_SHARED | MAP_NORESERVE, log->file, 0);
  if (log->map == MAP_FAILED) driver_die("cannot map %s", path);
  if (scarce) madvise(log->map, LOG_RESERVED, MADV_RANDOM); /* reading ahead would drive out more */
  lseek(log->file, 0, SEEK_END);
}

static void log_close(struct log *log) {
  munmap(log->map, LOG_RESERVED);
  if (ftruncate(log->file, (off_t)log->end) != 0) driver_die("cannot truncate the log");
  close(log->file);
}

static void log_reserve(struct log *log, size_t size) {
  while (log->end + size > log->allocated) {
    if (posix_fallocate(log->file, (off_t)log->allocated, (off_t)LOG_STEP) != 0)
      driver_die("cannot preallocate the log");
    log->allocated += LOG_STEP;
  }
}

/* Returns the place. */
static uint64_t log_append(struct log *log, const char *record, size_t size) {
  log_reserve(log, size);
  memcpy(log->map + log->end, record, size);
  log->end += size;
  return (log->end - size) << SIZE_BITS | size;
}

static uint64_t log_write(struct log *log, const char *record, size_t size) {
  if (write(log->file, record, size) != (ssize_t)size) driver_die("cannot write the log");
  log->end += size;
  if (log->allocated < log->end) log->allocated = log->end;
  return (log->end - size) << SIZE_BITS | size;
}

struct record {
  driver_bytes key;
  driver_bytes value;
  bool removed;
  size_t size;
};

static struct record record_at(const char *bytes) {
  uint32_t sizes[2];
  memcpy(sizes, bytes, 8);
  bool removed = sizes[1] == REMOVED;
  size_t value_size = removed ? 0 : sizes[1];
  return (struct record){{bytes + 8, sizes[0]}, {bytes + 8 + sizes[0], value_size}, removed,
                         8 + sizes[0] + value_size};
}

/* ---- Index ----------------------------------------------------------------------- */

static uint64_t hash_of(driver_bytes key) { return XXH3_64bits(key.data, key.size); }

static struct slot *slot_of(const struct store *store, uint64_t hash) {
  size_t at = (size_t)(((unsigned __int128)hash * store->capacity) >> 64);
  for (;;) {
    struct slot *slot = &store->slots[at];
    if (atomic_load_explicit(&slot->place, memory_order_acquire) == 0 ||
        atomic_load_explicit(&slot->hash, memory_order_relaxed) == hash)
      return slot;
    if (++at == store->capacity) at = 0;
  }
}

static void index_set(struct store *store, driver_bytes key, uint64_t place) {
  uint64_t hash = hash_of(key);
  struct slot *slot = slot_of(store, hash);
  store->live_bytes += place_size(place);
  store->live_bytes -= place_size(slot->place == PLACE_DELETED ? 0 : slot->place);
  atomic_store_explicit(&slot->hash, hash, memory_order_relaxed);
  atomic_store_explicit(&slot->place, place, memory_order_release);
}

static void index_delete(struct store *store, driver_bytes key) {
  struct slot *slot = slot_of(store, hash_of(key));
  if (slot->place == 0) return;
  store->live_bytes -= place_size(slot->place == PLACE_DELETED ? 0 : slot->place);
  atomic_store_explicit(&slot->place, PLACE_DELETED, memory_order_release);
}

/* ---- Walking the log ------------------------------------------------------------- */

typedef void (*record_visit)(void *context, uint64_t place, const struct record *record);

static void log_walk(const struct log *log, uint64_t end, record_visit visit, void *context) {
  uint64_t at = LOG_HEAD;
  while (at + 8 <= end) {
    struct record record = record_at(log->map + at);
    if (record.size == 8) break; /* preallocated and never written */
    visit(context, at << SIZE_BITS | record.size, &record);
    at += record.size;
  }
}

static bool is_live(const struct store *store, uint64_t place, const struct record *record) {
  return !record->removed && slot_of(store, hash_of(record->key))->place == place;
}

static void index_record(void *context, uint64_t place, const struct record *record) {
  struct store *store = context;
  if (record->removed)
    index_delete(store, record->key);
  else
    index_set(store, record->key, place);
  store->log.end = place_offset(place) + record->size;
}

struct copy {
  struct store *store;
  struct log to;
};

static void copy_if_live(void *context, uint64_t place, const struct record *record) {
  struct copy *copy = context;
  struct slot *slot = slot_of(copy->store, hash_of(record->key));
  if (!is_live(copy->store, place, record)) return;
  slot->place = log_append(&copy->to, record->key.data - 8, record->size);
}

static void merge(void *context) {
  struct store *store = context;
  struct copy copy = {.store = store};
  log_open(&copy.to, store->new_path, true, store->config->memory > 0);
  log_walk(&store->log, store->log.end, copy_if_live, &copy);
  log_close(&store->log);
  store->log = copy.to;
  if (rename(store->new_path, store->log_path) != 0) driver_die("cannot rename the log");
}

static void clean_if_due(struct store *store) {
  if (store->mode == MODE_CLEAN && store->cleaning &&
      store->log.end > 2 * store->live_bytes + LOG_STEP)
    merge(store);
}

/* ---- The index file -------------------------------------------------------------- */

static void move_all(int file, bool writing, void *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t moved = writing ? write(file, (char *)bytes + done, size - done)
                            : read(file, (char *)bytes + done, size - done);
    if (moved <= 0) driver_die("cannot move the index");
    done += (size_t)moved;
  }
}

static void dump_index(struct store *store) {
  int file = open(store->index_path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  uint64_t head[3] = {store->capacity, store->log.end, store->live_bytes};
  move_all(file, true, head, sizeof head);
  move_all(file, true, store->slots, store->capacity * sizeof *store->slots);
  close(file);
}

static bool load_index(struct store *store) {
  int file = open(store->index_path, O_RDONLY);
  if (file < 0) return false;
  uint64_t head[3];
  move_all(file, false, head, sizeof head);
  store->capacity = head[0];
  store->log.end = head[1];
  store->live_bytes = head[2];
  move_all(file, false, store->slots, store->capacity * sizeof *store->slots);
  close(file);
  unlink(store->index_path);
  return true;
}

/* ---- Driver ---------------------------------------------------------------------- */

static struct store *store_open(const struct driver_config *config, enum mode mode) {
  struct store *store = driver_allocate(sizeof *store);
  *store = (struct store){.mode = mode, .cleaning = true, .config = config};
  store->log_path = driver_path(config->directory, "log");
  store->new_path = driver_path(config->directory, "log.new");
  store->index_path = driver_path(config->directory, "index");
  store->capacity = config->key_count + config->key_count / 2 + 1000;
  store->slots = mmap(NULL, store->capacity * sizeof *store->slots, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (store->slots == MAP_FAILED) driver_die("no memory for the index");
  pthread_mutex_init(&store->lock, NULL);
  pthread_mutex_init(&store->sync_lock, NULL);
  pthread_cond_init(&store->sync_ended, NULL);
  log_open(&store->log, store->log_path, mode != MODE_WRITE, config->memory > 0);
  if (!load_index(store)) log_walk(&store->log, store->log.allocated, index_record, store);
  return store;
}

static void *open_map(const struct driver_config *config) { return store_open(config, MODE_MAP); }
static void *open_clean(const struct driver_config *config) {
  return store_open(config, MODE_CLEAN);
}
static void *open_write(const struct driver_config *config) {
  return store_open(config, MODE_WRITE);
}

static void store_close(void *context) {
  struct store *store = context;
  dump_index(store);
  log_close(&store->log);
  munmap(store->slots, store->capacity * sizeof *store->slots);
  free(store->log_path);
  free(store->new_path);
  free(store->index_path);
  free(store);
}

static void *session_open(void *store) {
  struct session *session = driver_allocate(sizeof *session);
  const struct driver_config *config = ((struct store *)store)->config;
  size_t size = 8 + config->key_size + config->value_size;
  if (size >> SIZE_BITS != 0) driver_die("records are too large");
  *session = (struct session){store, driver_allocate(size)};
  return session;
}

static void session_close(void *context) {
  struct session *session = context;
  free(session->buffer);
  free(session);
}

static void encode(char *into, driver_bytes key, driver_bytes value, bool removed) {
  uint32_t sizes[2] = {(uint32_t)key.size, removed ? REMOVED : (uint32_t)value.size};
  memcpy(into, sizes, 8);
  memcpy(into + 8, key.data, key.size);
  memcpy(into + 8 + key.size, value.data, value.size);
}

static uint64_t append(struct session *session, driver_bytes key, driver_bytes value,
                       bool removed) {
  struct store *store = session->store;
  size_t size = 8 + key.size + value.size;
  if (store->mode == MODE_WRITE) {
    encode(session->buffer, key, value, removed);
    return log_write(&store->log, session->buffer, size);
  }
  struct log *log = &store->log;
  log_reserve(log, size);
  encode(log->map + log->end, key, value, removed);
  log->end += size;
  return (log->end - size) << SIZE_BITS | size;
}

/* By the one that found no other at it, for all that has been appended. */
static void sync_log(struct store *store) {
  store->is_syncing = true;
  pthread_mutex_unlock(&store->sync_lock);
  pthread_mutex_lock(&store->lock);
  uint64_t reached = store->log.end;
  pthread_mutex_unlock(&store->lock);
  if (fdatasync(store->log.file) != 0) driver_die("cannot sync the log");
  pthread_mutex_lock(&store->sync_lock);
  store->is_syncing = false;
  store->synced = reached;
  pthread_cond_broadcast(&store->sync_ended);
}

/* A group commit: until the log is durable up to `end`. */
static void sync_up_to(struct store *store, uint64_t end) {
  pthread_mutex_lock(&store->sync_lock);
  while (store->synced < end) {
    if (store->is_syncing)
      pthread_cond_wait(&store->sync_ended, &store->sync_lock);
    else
      sync_log(store);
  }
  pthread_mutex_unlock(&store->sync_lock);
}

static void put(void *context, driver_bytes key, driver_bytes value) {
  struct session *session = context;
  struct store *store = session->store;
  pthread_mutex_lock(&store->lock);
  index_set(store, key, append(session, key, value, false));
  uint64_t end = store->log.end;
  clean_if_due(store);
  pthread_mutex_unlock(&store->lock);
  if (store->config->sync) sync_up_to(store, end);
}

static void remove_key(void *context, driver_bytes key) {
  struct session *session = context;
  struct store *store = session->store;
  pthread_mutex_lock(&store->lock);
  append(session, key, (driver_bytes){"", 0}, true);
  index_delete(store, key);
  clean_if_due(store);
  pthread_mutex_unlock(&store->lock);
}

/* The record in the mapping, or what one pread brings into the session's buffer. */
static const char *fetch(struct session *session, uint64_t place) {
  struct store *store = session->store;
  if (store->mode != MODE_WRITE) return store->log.map + place_offset(place);
  size_t size = place_size(place);
  if (pread(store->log.file, session->buffer, size, (off_t)place_offset(place)) != (ssize_t)size)
    driver_die("cannot read the log");
  return session->buffer;
}

static bool get(void *context, driver_bytes key, driver_bytes *value) {
  struct session *session = context;
  struct slot *slot = slot_of(session->store, hash_of(key));
  uint64_t place = atomic_load_explicit(&slot->place, memory_order_acquire);
  if (place == 0 || place == PLACE_DELETED) return false;
  struct record record = record_at(fetch(session, place));
  if (record.key.size != key.size || memcmp(record.key.data, key.data, key.size) != 0)
    return false;
  *value = record.value;
  if (session->store->mode != MODE_WRITE) {
    memcpy(session->buffer, record.value.data, record.value.size);
    value->data = session->buffer;
  }
  return true;
}

struct scan {
  struct store *store;
  driver_visit visit;
  void *context;
};

static void scan_record(void *context, uint64_t place, const struct record *record) {
  struct scan *scan = context;
  if (is_live(scan->store, place, record)) scan->visit(scan->context, record->key, record->value);
}

static void scan(void *context, driver_visit visit, void *visit_context) {
  struct store *store = ((struct session *)context)->store;
  struct scan scan = {store, visit, visit_context};
  log_walk(&store->log, store->log.end, scan_record, &scan);
}

static void set_cleaning(void *store, bool enabled) { ((struct store *)store)->cleaning = enabled; }

#define LIMIT_FUNCTIONS                                                                    \
  .close = store_close, .session_open = session_open, .session_close = session_close,      \
  .put = put, .get = get, .remove = remove_key, .scan = scan, .set_cleaning = set_cleaning

const struct driver driver_limit_map = {.name = "limit-map",
                                        .tuning = "mapped append and read, no safety, no cleaning",
                                        .can_sync = true,
                                        .open = open_map,
                                        .merge = merge,
                                        LIMIT_FUNCTIONS};

const struct driver driver_limit_clean = {.name = "limit-clean",
                                          .tuning = "the same, cleaned inline at twice the size",
                                          .one_thread = true,
                                          .open = open_clean,
                                          .merge = merge,
                                          LIMIT_FUNCTIONS};

const struct driver driver_limit_write = {.name = "limit-write",
                                          .tuning = "write(2) a put, pread(2) a get, no cleaning",
                                          .can_sync = true,
                                          .open = open_write,
                                          LIMIT_FUNCTIONS};
