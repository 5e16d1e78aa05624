#include "engine/opening.h"

#include <inttypes.h>
#include <math.h>

#include "engine/recovery.h"
#include "engine/rotation.h"
#include "engine/worker.h"
#include "format/filename.h"

enum bitcask_status opening_check_options(const struct bitcask_options *options) {
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

enum bitcask_status opening_engine(struct bitcask *handle, struct disk *disk,
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

enum bitcask_status opening_directory(struct bitcask *handle, struct disk *disk,
                                      struct disk_directory **out) {
  bool create = handle->options.create && !handle->is_readonly;
  TRY(disk->ops->open_directory(disk, handle->directory, create, out));
  if (create || handle->is_readonly) return BITCASK_OK;
  enum bitcask_status status = check_there(*out, handle->directory);
  if (status != BITCASK_OK) (*out)->ops->close(*out);
  return status;
}

/* Beside a writer that rolls its manifest over, or removes what it merged, in between. */
enum bitcask_status opening_own_engine(struct bitcask *handle, struct disk *disk,
                                       struct engine **out) {
  enum { TRIES = 20 };
  enum bitcask_status status = BITCASK_OK;
  for (int i = 0; i < TRIES; i++) {
    struct disk_directory *directory = NULL;
    TRY(opening_directory(handle, disk, &directory));
    status = opening_engine(handle, disk, directory, out);
    if (status != BITCASK_CORRUPT) return status;
    thread_pause();
  }
  return status;
}

enum bitcask_status opening_close(struct engine *engine) {
  enum bitcask_status status = engine_close_cleanly(engine);
  stop_worker(engine);
  engine->directory->ops->unlock(engine->directory);
  return status;
}
