/*
 * The handle: what bitcask.h promises, on top of an engine that may be shared.
 *
 * Engines that write are found again by the identity of their directory: several opens in
 * one process share one. While one is being opened or closed, others who want it wait;
 * the registry's lock is never held across that. Engines that only read belong to one
 * handle each, so that a handle moves forward when it asks to and not when another does.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/thread.h"
#include "engine/batch.h"
#include "engine/changes.h"
#include "engine/engine.h"
#include "engine/iterator.h"
#include "engine/merge.h"
#include "engine/publish.h"
#include "engine/read.h"
#include "engine/recovery.h"
#include "engine/rotation.h"
#include "engine/stats.h"
#include "engine/view.h"
#include "engine/worker.h"
#include "engine/write.h"
#include "format/filename.h"

struct bitcask {
  struct engine *engine;
  struct shared *shared; /* NULL: the engine is this handle's own */
  char *directory;
  bool is_readonly;
  unsigned process;
  struct event_queue events;
  struct bitcask_options options; /* to open again at a refresh */
  struct mutex refresh_lock;      /* own engines: the pointer changes at a refresh */
};

/* ---- Options ---- */

void bitcask_options_default(struct bitcask_options *out) {
  *out = (struct bitcask_options){.create = true,
                                  .verify = true,
                                  .segment_size = BITCASK_SEGMENT_SIZE_DEFAULT,
                                  .hash = "xxh3"};
}

static enum bitcask_status check_options(const struct bitcask_options *options) {
  if (options->segment_size < BITCASK_SEGMENT_SIZE_MIN ||
      options->segment_size > BITCASK_SEGMENT_SIZE_MAX)
    return status_fail(BITCASK_INVALID, "segment_size is %" PRIu64 "; it goes from %u to %" PRIu64,
                       options->segment_size, BITCASK_SEGMENT_SIZE_MIN, BITCASK_SEGMENT_SIZE_MAX);
  if (options->sync == BITCASK_SYNC_INTERVAL &&
      !(options->sync_seconds > 0 && isfinite(options->sync_seconds)))
    return status_fail(BITCASK_INVALID, "sync is %g seconds; it has to be above 0",
                       options->sync_seconds);
  struct hash ignored;
  return hash_init(&ignored, options->hash, options->hash_function, NULL, 0);
}

/* Nothing of the caller's is kept, the name of the hash neither. */
static struct bitcask_options own_options(const struct bitcask_options *options) {
  struct bitcask_options own = *options;
  struct hash hash;
  if (hash_init(&hash, options->hash, options->hash_function, NULL, 0) == BITCASK_OK)
    own.hash = hash.built_in != NULL ? hash.name : NULL;
  return own;
}

static bool have_same_hash(const struct bitcask_options *a, const struct bitcask_options *b) {
  const char *left = a->hash != NULL ? a->hash : "xxh3";
  const char *right = b->hash != NULL ? b->hash : "xxh3";
  return strcmp(left, right) == 0;
}

/* May a handle with `wanted` share an engine that was opened with `running`? */
static enum bitcask_status check_shared(const struct bitcask_options *running,
                                        const struct bitcask_options *wanted) {
  const char *what = NULL;
  if (running->hash_function != NULL || wanted->hash_function != NULL)
    return status_fail(BITCASK_BUSY,
                       "the store is open in this process, and one with a hash function of the "
                       "caller's own is not shared");
  if ((wanted->named & BITCASK_NAMED_SEGMENT_SIZE) && wanted->segment_size != running->segment_size)
    what = "segment_size";
  if ((wanted->named & BITCASK_NAMED_SYNC) &&
      (wanted->sync != running->sync ||
       (wanted->sync == BITCASK_SYNC_INTERVAL && wanted->sync_seconds != running->sync_seconds)))
    what = "sync";
  if ((wanted->named & BITCASK_NAMED_HASH) && !have_same_hash(running, wanted)) what = "hash";
  if ((wanted->named & BITCASK_NAMED_TTL) && wanted->ttl_ms != running->ttl_ms) what = "ttl";
  if ((wanted->named & BITCASK_NAMED_VERIFY) && wanted->verify != running->verify) what = "verify";
  if (what == NULL) return BITCASK_OK;
  return status_fail(BITCASK_BUSY, "the store is open in this process with another %s", what);
}

/* ---- The registry ---- */

struct shared {
  unsigned process; /* an engine of the parent's is none of a forked child's */
  struct disk *disk;
  struct disk_identity identity;
  struct engine *engine; /* NULL while it is being opened or closed */
  unsigned handles;
  bool is_exclusive; /* it has a hash function of its handle's own */
  bool is_opening;
  struct shared *next;
};

static struct {
  struct mutex lock;
  struct condition changed;
  struct shared *first GUARDED_BY(lock);
} registry = {{PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_COND_INITIALIZER}, NULL};

static struct shared *find_shared(const struct disk *disk, const struct disk_identity *identity)
    REQUIRES(registry.lock) {
  struct shared *shared = registry.first;
  unsigned process = thread_process_generation();
  while (shared != NULL && !(shared->process == process && shared->disk == disk &&
                             shared->identity.device == identity->device &&
                             shared->identity.inode == identity->inode))
    shared = shared->next;
  return shared;
}

static void forget_shared(struct shared *shared) REQUIRES(registry.lock) {
  struct shared **at = &registry.first;
  while (*at != shared) at = &(*at)->next;
  *at = shared->next;
  memory_free(shared);
  condition_wake_all(&registry.changed);
}

/* ---- Opening an engine ---- */

static void flush_on_tick(void *owner, void *context) {
  struct engine *engine = owner;
  (void)context;
  if (engine->options.sync != BITCASK_SYNC_INTERVAL || atomic_load(&engine->is_stopped)) return;
  enum bitcask_status status = engine_flush(engine);
  if (status != BITCASK_OK) engine_report_failure(engine, status);
}

static enum bitcask_status start_worker(struct engine *engine) {
  if (engine->is_readonly || engine->options.no_threads) return BITCASK_OK;
  double seconds = engine->options.sync == BITCASK_SYNC_INTERVAL ? engine->options.sync_seconds : 0;
  return worker_start(engine, flush_on_tick, seconds, &engine->worker);
}

static void stop_worker(struct engine *engine) {
  struct worker *worker = engine->worker;
  worker_stop(worker);
  engine->worker = NULL;
}

/* From a directory, which is taken over, to an engine that `handle` hears of events from. */
static enum bitcask_status open_engine(struct bitcask *handle, struct disk *disk,
                                       struct disk_directory *directory, struct engine **out) {
  struct engine *engine = NULL;
  struct bitcask_event recovered;
  TRY(engine_new(&handle->options, disk, directory, &engine));
  /* Only now does the queue leave the engine before, at a refresh. */
  struct engine *before = handle->engine;
  if (before != NULL) event_unsubscribe(&before->events, &handle->events);
  if (handle->options.events) event_subscribe(&engine->events, &handle->events);
  enum bitcask_status status = BITCASK_OK;
  if (!engine->is_readonly) status = directory->ops->lock(directory, "LOCK");
  if (status == BITCASK_OK) status = recovery_run(engine, &recovered);
  if (status == BITCASK_OK) status = start_worker(engine);
  if (status != BITCASK_OK) {
    stop_worker(engine);
    event_unsubscribe(&engine->events, &handle->events);
    if (before != NULL && handle->options.events)
      event_subscribe(&before->events, &handle->events);
    engine_unref(engine);
    return status;
  }
  if (!engine->is_readonly) recovery_write_hints(engine);
  if (handle->options.events) event_publish_to(&engine->events, &handle->events, &recovered);
  *out = engine;
  return BITCASK_OK;
}

static void note_segment(void *context, const char *name) {
  uint64_t id = 0;
  if (filename_parse(name, &id) == FILENAME_KIND_SEGMENT) *(bool *)context = true;
}

/* Something of a store is there, so that "create = false" need not make a lock file to find
 * out. What is wrong with it, opening finds and names. */
static enum bitcask_status check_there(struct disk_directory *directory, const char *path) {
  uint64_t number = 0;
  store_identity store;
  bool has_segment = false;
  if (manifest_current(directory, &number, &store) != BITCASK_NOTFOUND) return BITCASK_OK;
  TRY(directory->ops->list(directory, note_segment, &has_segment));
  if (has_segment) return BITCASK_OK;
  return status_fail(BITCASK_NOTFOUND, "%s: there is no store", path);
}

static enum bitcask_status open_directory(struct bitcask *handle, struct disk *disk,
                                          struct disk_directory **out) {
  bool create = handle->options.create && !handle->is_readonly;
  TRY(disk->ops->open_directory(disk, handle->directory, create, out));
  if (create || handle->is_readonly) return BITCASK_OK;
  enum bitcask_status status = check_there(*out, handle->directory);
  if (status != BITCASK_OK) (*out)->ops->close(*out);
  return status;
}

/* Beside a writer that rolls its manifest over, or removes what it merged, in between. */
static enum bitcask_status open_own_engine(struct bitcask *handle, struct disk *disk,
                                           struct engine **out) {
  enum { TRIES = 20 };
  enum bitcask_status status = BITCASK_OK;
  for (int i = 0; i < TRIES; i++) {
    struct disk_directory *directory = NULL;
    TRY(open_directory(handle, disk, &directory));
    status = open_engine(handle, disk, directory, out);
    if (status != BITCASK_CORRUPT) return status;
    thread_pause();
  }
  return status;
}

/* ---- Opening and closing handles ---- */

static enum bitcask_status join(struct bitcask *handle, struct shared *shared)
    REQUIRES(registry.lock) {
  TRY(check_shared(&shared->engine->options, &handle->options));
  shared->handles++;
  handle->shared = shared;
  handle->engine = engine_ref(shared->engine);
  if (handle->options.events) event_subscribe(&handle->engine->events, &handle->events);
  return BITCASK_OK;
}

/* Wait for an engine that is being opened or closed; NULL: there is none (any more). */
static struct shared *settle(struct disk *disk, const struct disk_identity *identity)
    REQUIRES(registry.lock) {
  struct shared *shared = find_shared(disk, identity);
  while (shared != NULL && shared->engine == NULL) {
    condition_wait(&registry.changed, &registry.lock);
    shared = find_shared(disk, identity);
  }
  return shared;
}

static enum bitcask_status begin_shared(struct bitcask *handle, struct disk *disk,
                                        struct disk_directory *directory,
                                        const struct disk_identity *identity)
    REQUIRES(registry.lock) {
  struct shared *shared = memory_zeroed(1, sizeof *shared);
  if (shared == NULL) {
    directory->ops->close(directory);
    return BITCASK_NOMEMORY;
  }
  *shared = (struct shared){.process = thread_process_generation(),
                            .disk = disk,
                            .identity = *identity,
                            .handles = 1,
                            .is_exclusive = handle->options.hash_function != NULL,
                            .is_opening = true,
                            .next = registry.first};
  registry.first = shared;
  mutex_unlock(&registry.lock);
  struct engine *engine = NULL;
  enum bitcask_status status = open_engine(handle, disk, directory, &engine);
  mutex_lock(&registry.lock);
  if (status != BITCASK_OK) {
    forget_shared(shared);
    return status;
  }
  shared->engine = engine;
  shared->is_opening = false;
  handle->shared = shared;
  handle->engine = engine_ref(engine);
  condition_wake_all(&registry.changed);
  return BITCASK_OK;
}

/* The engine of this process that writes to the directory, if there is one, else its own. */
static enum bitcask_status attach(struct bitcask *handle, struct disk *disk) {
  struct disk_directory *directory = NULL;
  struct disk_identity identity;
  TRY(open_directory(handle, disk, &directory));
  directory->ops->identify(directory, &identity);
  mutex_lock(&registry.lock);
  /* An engine that is not shared may be opening on this very thread, and this be a call from
   * inside the hash function: waiting for it would be waiting for ever. */
  struct shared *shared = find_shared(disk, &identity);
  enum bitcask_status status = BITCASK_OK;
  if (shared != NULL && shared->is_exclusive && shared->is_opening)
    status = status_fail(BITCASK_BUSY, "%s: is being opened, and not to be shared",
                         handle->directory);
  if (status == BITCASK_OK) shared = settle(disk, &identity);
  bool is_own = shared == NULL && handle->is_readonly;
  if (status == BITCASK_OK && shared != NULL) status = join(handle, shared);
  if (status != BITCASK_OK || shared != NULL || is_own) {
    mutex_unlock(&registry.lock);
    directory->ops->close(directory);
    return is_own && status == BITCASK_OK ? open_own_engine(handle, disk, &handle->engine)
                                          : status;
  }
  status = begin_shared(handle, disk, directory, &identity);
  mutex_unlock(&registry.lock);
  return status;
}

enum bitcask_status bitcask_open(const char *directory, const struct bitcask_options *options,
                                 struct bitcask **out) {
  TRY(check_options(options));
  if (directory == NULL || *directory == '\0')
    return status_fail(BITCASK_INVALID, "the directory has no name");
  struct bitcask *handle = memory_zeroed(1, sizeof *handle);
  if (handle == NULL) return BITCASK_NOMEMORY;
  handle->options = own_options(options);
  handle->is_readonly = options->readonly || options->salvage;
  handle->process = thread_process_generation();
  handle->directory = memory_string(directory);
  mutex_init(&handle->refresh_lock);
  struct disk *disk = options->disk != NULL ? options->disk : disk_posix();
  enum bitcask_status status =
      handle->directory == NULL ? BITCASK_NOMEMORY : attach(handle, disk);
  if (status != BITCASK_OK) {
    event_queue_release(&handle->events);
    mutex_destroy(&handle->refresh_lock);
    memory_free(handle->directory);
    memory_free(handle);
    return status;
  }
  *out = handle;
  return BITCASK_OK;
}

/* The last handle: flush, note the clean end, finish what is in the background. */
static enum bitcask_status close_engine(struct engine *engine) {
  enum bitcask_status status = engine_close_cleanly(engine);
  stop_worker(engine);
  engine->directory->ops->unlock(engine->directory);
  return status;
}

static enum bitcask_status leave_shared(struct shared *shared) {
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&registry.lock);
  if (--shared->handles == 0) {
    struct engine *engine = shared->engine;
    shared->engine = NULL; /* those who open it now wait until it is closed */
    mutex_unlock(&registry.lock);
    status = close_engine(engine);
    engine_unref(engine);
    mutex_lock(&registry.lock);
    forget_shared(shared);
  }
  mutex_unlock(&registry.lock);
  return status;
}

enum bitcask_status bitcask_close(struct bitcask *db) {
  if (db == NULL) return BITCASK_OK;
  enum bitcask_status status = BITCASK_OK;
  event_unsubscribe(&db->engine->events, &db->events);
  event_queue_release(&db->events);
  /* In a forked child the engine is the parent's: its locks may be held for ever, its files
   * and its lock are not the child's to close. What it holds is left behind. */
  if (db->process == thread_process_generation()) {
    if (db->shared != NULL) status = leave_shared(db->shared);
    engine_unref(db->engine);
  }
  mutex_destroy(&db->refresh_lock);
  memory_free(db->directory);
  memory_free(db);
  return status;
}

const char *bitcask_directory(const struct bitcask *db) { return db->directory; }

/* ---- Calls ---- */

/* The engine for the length of a call. One that a refresh may replace is referenced. */
static enum bitcask_status enter(struct bitcask *db, struct engine **out) {
  TRY(engine_check_process(db->process));
  if (db->shared != NULL) {
    *out = db->engine;
    return BITCASK_OK;
  }
  mutex_lock(&db->refresh_lock);
  *out = engine_ref(db->engine);
  mutex_unlock(&db->refresh_lock);
  return BITCASK_OK;
}

static void leave(const struct bitcask *db, struct engine *engine) {
  if (db->shared == NULL) engine_unref(engine);
}

static enum bitcask_status enter_to_write(struct bitcask *db, struct engine **out) {
  if (db->is_readonly) return status_fail(BITCASK_READONLY, "the store is open for reading only");
  return enter(db, out);
}

enum bitcask_status bitcask_refresh(struct bitcask *db) {
  struct engine *fresh = NULL, *before = NULL;
  TRY(enter(db, &before));
  leave(db, before);
  if (db->shared != NULL) return BITCASK_OK;
  struct disk *disk = db->options.disk != NULL ? db->options.disk : disk_posix();
  TRY(open_own_engine(db, disk, &fresh));
  mutex_lock(&db->refresh_lock);
  before = db->engine;
  db->engine = fresh;
  mutex_unlock(&db->refresh_lock);
  engine_unref(before);
  return BITCASK_OK;
}

static void count_writes(struct engine *engine, uint64_t puts, uint64_t deletes) {
  if (puts > 0) atomic_fetch_add_explicit(&engine->counters.puts, puts, memory_order_relaxed);
  if (deletes > 0)
    atomic_fetch_add_explicit(&engine->counters.deletes, deletes, memory_order_relaxed);
}

enum bitcask_status bitcask_put_with(struct bitcask *db, bitcask_bytes key, bitcask_bytes value,
                                     const struct bitcask_write_options *options,
                                     uint64_t *version) {
  struct engine *engine = NULL;
  TRY(enter_to_write(db, &engine));
  TRY(batch_check_sizes(key, value));
  struct write_request request = batch_request(key, value, false, options);
  TRY(engine_write(engine, &request, version));
  count_writes(engine, 1, 0);
  return BITCASK_OK;
}

enum bitcask_status bitcask_put(struct bitcask *db, bitcask_bytes key, bitcask_bytes value,
                                uint64_t *version) {
  return bitcask_put_with(db, key, value, NULL, version);
}

enum bitcask_status bitcask_delete_with(struct bitcask *db, bitcask_bytes key,
                                        const struct bitcask_write_options *options,
                                        uint64_t *version) {
  struct engine *engine = NULL;
  TRY(enter_to_write(db, &engine));
  if (key.size > BITCASK_KEY_SIZE_MAX) return BITCASK_ABSENT;
  struct write_request request = batch_request(key, bytes_of(NULL, 0), true, options);
  TRY(engine_write(engine, &request, version));
  count_writes(engine, 0, 1);
  return BITCASK_OK;
}

enum bitcask_status bitcask_delete(struct bitcask *db, bitcask_bytes key, uint64_t *version) {
  return bitcask_delete_with(db, key, NULL, version);
}

enum bitcask_status bitcask_batch_commit(struct bitcask *db, struct bitcask_batch *batch,
                                         uint64_t *version) {
  struct engine *engine = NULL;
  uint64_t puts = 0, deletes = 0;
  TRY(enter_to_write(db, &engine));
  TRY(batch_commit(engine, batch, version));
  batch_tally(batch, &puts, &deletes);
  count_writes(engine, puts, deletes);
  return BITCASK_OK;
}

enum bitcask_status bitcask_snapshot_open(struct bitcask *db, struct bitcask_snapshot **out) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = view_open(engine, out);
  leave(db, engine);
  return status;
}

enum bitcask_status bitcask_changes_open(struct bitcask *db, uint64_t since,
                                         struct bitcask_changes **out) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = changes_open(engine, since, out);
  leave(db, engine);
  return status;
}

enum bitcask_status bitcask_get(struct bitcask *db, bitcask_bytes key, struct bitcask_buffer *into,
                                uint64_t *version) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = engine_get(engine, key, into, version);
  leave(db, engine);
  return status;
}

enum bitcask_status bitcask_stat_key(struct bitcask *db, bitcask_bytes key,
                                     struct bitcask_stat *out) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = engine_stat(engine, key, out);
  leave(db, engine);
  return status;
}

enum bitcask_status bitcask_has(struct bitcask *db, bitcask_bytes key) {
  struct bitcask_stat ignored;
  return bitcask_stat_key(db, key, &ignored);
}

enum bitcask_status bitcask_get_many(struct bitcask *db, const bitcask_bytes *keys, size_t count,
                                     struct bitcask_buffer *arena, struct bitcask_found *out) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = engine_get_many(engine, keys, count, arena, out);
  leave(db, engine);
  return status;
}

uint64_t bitcask_count(struct bitcask *db) {
  struct engine *engine = NULL;
  if (enter(db, &engine) != BITCASK_OK) return 0;
  engine_expire(engine);
  uint64_t count = keydir_count(engine->keydir);
  leave(db, engine);
  return count;
}

enum bitcask_status bitcask_sync_now(struct bitcask *db) {
  struct engine *engine = NULL;
  TRY(enter_to_write(db, &engine));
  return engine_flush(engine);
}

enum bitcask_status bitcask_seal(struct bitcask *db, uint64_t *segment) {
  struct engine *engine = NULL;
  TRY(enter_to_write(db, &engine));
  return engine_seal(engine, segment);
}

enum bitcask_status bitcask_iterator_open(struct bitcask *db,
                                          const struct bitcask_iterator_options *options,
                                          struct bitcask_iterator **out) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = iterator_open(engine, options, out);
  leave(db, engine);
  return status;
}

enum bitcask_status bitcask_segments(struct bitcask *db, struct bitcask_segment **out,
                                     size_t *count) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = stats_segments(engine, out, count);
  leave(db, engine);
  return status;
}

void bitcask_segments_free(struct bitcask_segment *segments) { memory_free(segments); }

enum bitcask_status bitcask_stats(struct bitcask *db, struct bitcask_stats *out) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = stats_of(engine, out);
  leave(db, engine);
  return status;
}

enum bitcask_status bitcask_merge_open(struct bitcask *db,
                                       const struct bitcask_merge_options *options,
                                       struct bitcask_merge **out) {
  struct engine *engine = NULL;
  TRY(enter_to_write(db, &engine));
  return merge_open(engine, options, out);
}

bool bitcask_next_event(struct bitcask *db, struct bitcask_event *out) {
  struct engine *engine = NULL;
  if (!db->options.events || enter(db, &engine) != BITCASK_OK) return false;
  bool is_there = event_take(&engine->events, &db->events, out);
  leave(db, engine);
  return is_there;
}
