#include "engine/opening.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "engine/checkpointing.h"
#include "engine/flush.h"
#include "engine/merge.h"
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

static enum bitcask_status start_workers(struct engine *engine) {
  if (engine->is_readonly || engine->options.no_threads) return BITCASK_OK;
  double seconds = engine->options.sync == BITCASK_SYNC_INTERVAL ? engine->options.sync_seconds : 0;
  const struct worker_kind flusher = {"bitcask-flush", flush_on_tick, seconds, false};
  const struct worker_kind helper = {.name = "bitcask-ahead"};
  const struct worker_kind worker = {.name = "bitcask-later"};
  const struct worker_kind hinter = {.name = "bitcask-hints", .is_patient = true};
  TRY(worker_start(engine, &flusher, &engine->flusher));
  if (engine->options.sync != BITCASK_SYNC_ALWAYS)
    TRY(worker_start(engine, &helper, &engine->helper));
  TRY(worker_start(engine, &worker, &engine->worker));
  return worker_start(engine, &hinter, &engine->hinter);
}

/* What they are about to do is done. */
static void stop_flusher(struct engine *engine) {
  worker_stop(engine->flusher);
  worker_stop(engine->helper);
  engine->flusher = engine->helper = NULL;
}

static void stop_worker(struct engine *engine) {
  worker_stop(engine->worker);
  worker_stop(engine->hinter);
  engine->worker = engine->hinter = NULL;
}

enum bitcask_status opening_engine(struct bitcask *handle, struct disk *disk,
                                   struct disk_directory *directory, struct engine **out) {
  struct engine *engine = NULL;
  struct bitcask_event recovered;
  TRY(engine_new(&handle->options, disk, directory, &engine));
  /* Only now does the queue leave the engine before, at a refresh. */
  struct engine *before = handle->engine;
  if (before != NULL) event_unsubscribe(&before->events, &handle->events);
  event_subscribe(&engine->events, &handle->events);
  enum bitcask_status status = BITCASK_OK;
  if (!engine->is_readonly) status = directory->ops->lock(directory, "LOCK");
  if (status == BITCASK_OK) status = recovery_run(engine, &recovered);
  if (status == BITCASK_OK) status = start_workers(engine);
  if (status != BITCASK_OK) {
    stop_flusher(engine);
    stop_worker(engine);
    event_unsubscribe(&engine->events, &handle->events);
    if (before != NULL) event_subscribe(&before->events, &handle->events);
    engine_unref(engine);
    return status;
  }
  if (!engine->is_readonly) recovery_write_hints(engine);
  engine_count_died_before(engine);
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

/* What was found to be damaged, and how far the manifest had come. */
struct damage {
  uint64_t manifest;
  uint64_t size;
  char text[STATUS_TEXT_MAX];
};

static void note_manifest(struct disk_directory *directory, struct damage *damage) {
  store_identity store;
  struct disk_file *file = NULL;
  if (manifest_current(directory, &damage->manifest, &store) != BITCASK_OK) return;
  filename name = filename_of_manifest(damage->manifest);
  if (directory->ops->open(directory, name.text, true, &file) != BITCASK_OK) return;
  damage->size = disk_file_size(file);
  disk_file_close(file);
}

/* Is it the same as at the last look? The error text stays as it is. */
static bool is_same_damage(struct bitcask *handle, struct disk *disk, struct damage *last) {
  struct damage now = {0};
  struct disk_directory *directory = NULL;
  snprintf(now.text, sizeof now.text, "%s", bitcask_error_text());
  if (opening_directory(handle, disk, &directory) == BITCASK_OK) {
    note_manifest(directory, &now);
    directory->ops->close(directory);
  }
  status_fail(BITCASK_CORRUPT, "%s", now.text);
  bool is_same = now.manifest == last->manifest && now.size == last->size &&
                 strcmp(now.text, last->text) == 0;
  *last = now;
  return is_same;
}

/* A writer beside us may roll its manifest over, remove what it merged, or cut what it had
 * allocated ahead, in the middle of our reading. What is damaged for good stays the same. */
enum bitcask_status opening_own_engine(struct bitcask *handle, struct disk *disk,
                                       struct engine **out) {
  enum { TRIES = 1000 }; /* each ends early where a file was removed */
  enum bitcask_status status = BITCASK_OK;
  struct damage last = {0};
  for (int i = 0; i < TRIES; i++) {
    struct disk_directory *directory = NULL;
    TRY(opening_directory(handle, disk, &directory));
    status = opening_engine(handle, disk, directory, out);
    if (status != BITCASK_CORRUPT || is_same_damage(handle, disk, &last)) return status;
    thread_pause();
  }
  return status;
}

enum bitcask_status opening_close(struct engine *engine) {
  merge_end(engine); /* before the lock is given away, and those that work for it */
  stop_flusher(engine); /* it opens segments in the manifest */
  enum bitcask_status status = engine_close_cleanly(engine);
  stop_worker(engine);
  if (status == BITCASK_OK) status = checkpointing_close(engine);
  engine->directory->ops->unlock(engine->directory);
  return status;
}
