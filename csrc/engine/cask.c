/*
 * What bitcask.h promises: each call finds the engine of its handle, checks sizes, and
 * hands on.
 */
#include "engine/batch.h"
#include "engine/changes.h"
#include "engine/checkpointing.h"
#include "engine/iterator.h"
#include "engine/merge.h"
#include "engine/opening.h"
#include "engine/publish.h"
#include "engine/read.h"
#include "engine/registry.h"
#include "engine/flush.h"
#include "engine/rotation.h"
#include "engine/stats.h"
#include "engine/view.h"
#include "engine/write.h"

/* ---- Opening and closing ---- */

void bitcask_options_default(struct bitcask_options *out) {
  *out = (struct bitcask_options){.create = true,
                                  .verify = true,
                                  .segment_size = BITCASK_SEGMENT_SIZE_DEFAULT,
                                  .hash = "xxh3"};
}

/* Nothing of the caller's is kept, the name of the hash neither. */
static struct bitcask_options own_options(const struct bitcask_options *options) {
  struct bitcask_options own = *options;
  struct hash hash;
  if (hash_init(&hash, options->hash, options->hash_function, NULL, 0) == BITCASK_OK)
    own.hash = hash.built_in != NULL ? hash.name : NULL;
  return own;
}

/* Below here files are told by their names alone; which store they are of is known here. */
static enum bitcask_status name_store(const char *directory, enum bitcask_status status) {
  const char *text = bitcask_error_text();
  bool is_named = strncmp(text, directory, strlen(directory)) == 0;
  bool has_room = strlen(directory) < STATUS_TEXT_MAX / 2; /* for the cause, too */
  return is_named || !has_room ? status : status_fail(status, "%s: %s", directory, text);
}

static enum bitcask_status open_handle(const char *directory,
                                       const struct bitcask_options *options,
                                       struct bitcask **out) {
  TRY(opening_check_options(options));
  if (directory == NULL || *directory == '\0')
    return status_fail(BITCASK_INVALID, "the directory has no name");
  struct bitcask *handle = memory_zeroed(1, sizeof *handle);
  if (handle == NULL) return BITCASK_NOMEMORY;
  handle->options = own_options(options);
  handle->is_readonly = options->readonly || options->salvage;
  handle->events.wants_events = options->events;
  handle->events.consults = handle->is_readonly ? BITCASK_CONSULTS_NOT : options->consults;
  handle->process = thread_process_generation();
  handle->directory = memory_string(directory);
  mutex_init(&handle->refresh_lock);
  struct disk *disk = options->disk != NULL ? options->disk : disk_posix();
  enum bitcask_status status =
      handle->directory == NULL ? BITCASK_NOMEMORY : registry_attach(handle, disk);
  if (status != BITCASK_OK) {
    name_store(directory, status);
    event_queue_release(&handle->events);
    mutex_destroy(&handle->refresh_lock);
    memory_free(handle->directory);
    memory_free(handle);
    return status;
  }
  *out = handle;
  return BITCASK_OK;
}

/* Opening and closing look for much that need not be there, and say so to nobody but each other:
 * what went well leaves the text as it was. */
static enum bitcask_status forget_trifles(enum bitcask_status status,
                                          const struct status_text *before) {
  if (status == BITCASK_OK) status_text_restore(before);
  return status;
}

enum bitcask_status bitcask_open(const char *directory, const struct bitcask_options *options,
                                 struct bitcask **out) {
  struct status_text before = status_text_keep();
  return forget_trifles(open_handle(directory, options, out), &before);
}

static enum bitcask_status close_handle(struct bitcask *db) {
  enum bitcask_status status = BITCASK_OK;
  event_unsubscribe(&db->engine->events, &db->events);
  event_queue_release(&db->events);
  /* In a forked child the engine is the parent's: its locks may be held for ever, its files
   * and its lock are not the child's to close. What it holds is left behind. */
  if (db->process == thread_process_generation()) {
    if (db->shared != NULL) status = registry_leave(db->shared);
    engine_unref(db->engine);
  }
  mutex_destroy(&db->refresh_lock);
  memory_free(db->directory);
  memory_free(db);
  return status;
}

enum bitcask_status bitcask_close(struct bitcask *db) {
  struct status_text before = status_text_keep();
  return db == NULL ? BITCASK_OK : forget_trifles(close_handle(db), &before);
}

const char *bitcask_directory(const struct bitcask *db) { return db->directory; }

/* ---- Calls ---- */

/* Can the engine be used just so, with nothing to be done afterwards? */
static bool is_at_hand(const struct bitcask *db) {
  return db->shared != NULL && thread_is_process(db->process);
}

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
  enum bitcask_status status = opening_own_engine(db, disk, &fresh);
  if (status != BITCASK_OK) return name_store(db->directory, status);
  mutex_lock(&db->refresh_lock);
  before = db->engine;
  db->engine = fresh;
  mutex_unlock(&db->refresh_lock);
  engine_unref(before);
  return BITCASK_OK;
}

enum bitcask_status bitcask_put_with(struct bitcask *db, bitcask_bytes key, bitcask_bytes value,
                                     const struct bitcask_write_options *options,
                                     uint64_t *version) {
  struct engine *engine = NULL;
  TRY(enter_to_write(db, &engine));
  TRY(batch_check_sizes(key, value));
  struct write_request request = batch_request(key, value, false, options);
  return engine_write(engine, &request, version);
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
  return engine_write(engine, &request, version);
}

enum bitcask_status bitcask_delete(struct bitcask *db, bitcask_bytes key, uint64_t *version) {
  return bitcask_delete_with(db, key, NULL, version);
}

enum bitcask_status bitcask_batch_commit(struct bitcask *db, struct bitcask_batch *batch,
                                         uint64_t *version) {
  struct engine *engine = NULL;
  TRY(enter_to_write(db, &engine));
  return batch_commit(engine, batch, version);
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

static SELDOM enum bitcask_status get_referenced(struct bitcask *db, bitcask_bytes key,
                                                 struct bitcask_buffer *into, uint64_t *version) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  enum bitcask_status status = engine_get(engine, key, into, version);
  leave(db, engine);
  return status;
}

enum bitcask_status bitcask_get(struct bitcask *db, bitcask_bytes key, struct bitcask_buffer *into,
                                uint64_t *version) {
  if (is_at_hand(db)) return engine_get(db->engine, key, into, version);
  return get_referenced(db, key, into, version);
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

enum bitcask_status bitcask_checkpoint(struct bitcask *db) {
  struct engine *engine = NULL;
  TRY(enter_to_write(db, &engine));
  return checkpointing_now(engine);
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

uint64_t bitcask_segment_size(struct bitcask *db) {
  struct engine *engine = NULL;
  if (enter(db, &engine) != BITCASK_OK) return 0;
  uint64_t size = engine->options.segment_size;
  leave(db, engine);
  return size;
}

uint64_t bitcask_now_ms(struct bitcask *db) {
  struct engine *engine = NULL;
  if (enter(db, &engine) != BITCASK_OK) return 0;
  uint64_t now = engine->disk->ops->now_ms(engine->disk);
  leave(db, engine);
  return now;
}

enum bitcask_status bitcask_seal_at(struct bitcask *db, uint64_t size) {
  struct engine *engine = NULL;
  TRY(enter(db, &engine));
  rotation_seal_at(engine, size);
  leave(db, engine);
  return BITCASK_OK;
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

void bitcask_report(struct bitcask *db, enum bitcask_status status, const char *message) {
  struct engine *engine = NULL;
  if (enter(db, &engine) != BITCASK_OK) return;
  status_fail(status, "%s", message);
  engine_report_failure(engine, status);
  leave(db, engine);
}

/* ---- Consulting a policy ---- */

bool bitcask_consults(struct bitcask *db) {
  struct engine *engine = NULL;
  if (enter(db, &engine) != BITCASK_OK) return false;
  bool consults = event_is_consulted(&engine->events, &db->events);
  leave(db, engine);
  return consults;
}

bool bitcask_has_news(const struct bitcask *db) { return event_has_news(&db->events); }

void bitcask_leave_note(struct bitcask *db, enum bitcask_note note) {
  atomic_fetch_or(&db->events.notes, note);
}

unsigned bitcask_take_notes(struct bitcask *db) { return event_take_notes(&db->events); }
