#include "engine/engine.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mutant.h"
#include "format/filename.h"

/* ---- Life ---- */

static void init_locks(struct engine *engine) {
  mutex_init(&engine->checkpoint_lock);
  mutex_init(&engine->write_lock);
  mutex_init(&engine->closing_lock);
  mutex_init(&engine->settle_lock);
  mutex_init(&engine->flush_lock);
  mutex_init(&engine->manifest_lock);
  mutex_init(&engine->set_lock);
  condition_init(&engine->merge_ended);
  mutex_init(&engine->active_lock);
  mutex_init(&engine->delivery_lock);
  condition_init(&engine->delivered);
  mutex_init(&engine->stop_lock);
  commit_init(&engine->commit);
  event_hub_init(&engine->events);
  expiry_init(&engine->expiry);
}

static void destroy_locks(struct engine *engine) {
  mutex_destroy(&engine->checkpoint_lock);
  mutex_destroy(&engine->write_lock);
  mutex_destroy(&engine->settle_lock);
  mutex_destroy(&engine->closing_lock);
  mutex_destroy(&engine->flush_lock);
  mutex_destroy(&engine->manifest_lock);
  condition_destroy(&engine->merge_ended);
  mutex_destroy(&engine->set_lock);
  mutex_destroy(&engine->active_lock);
  mutex_destroy(&engine->delivery_lock);
  condition_destroy(&engine->delivered);
  mutex_destroy(&engine->stop_lock);
  commit_destroy(&engine->commit);
  event_hub_release(&engine->events);
  expiry_release(&engine->expiry);
}

enum bitcask_status engine_new(const struct bitcask_options *options, struct disk *disk,
                               struct disk_directory *directory, struct engine **out) {
  struct engine *engine = memory_aligned(alignof(struct engine), sizeof *engine);
  if (engine == NULL) {
    directory->ops->close(directory);
    return BITCASK_NOMEMORY;
  }
  memset(engine, 0, sizeof *engine);
  engine->disk = disk;
  engine->directory = directory;
  engine->options = *options;
  atomic_init(&engine->seal_size, options->segment_size);
  engine->is_readonly = options->readonly || options->salvage;
  engine->pending_last = &engine->pending_first;
  engine->process = thread_process_generation();
  atomic_store(&engine->references, 1);
  init_locks(engine);
  guard_init(&engine->guard);
  uint64_t seed = 0;
  enum bitcask_status status = disk->ops->random(disk, &seed, sizeof seed);
  if (status == BITCASK_OK)
    status = hash_init(&engine->hash, options->hash, options->hash_function,
                       options->hash_context, seed);
  if (status == BITCASK_OK) status = keydir_new(&engine->keydir);
  if (status == BITCASK_OK) {
    engine->slots = memory_sparse(PLACE_SLOT_MAX + 1, sizeof *engine->slots);
    if (engine->slots == NULL) status = BITCASK_NOMEMORY;
  }
  if (status != BITCASK_OK) {
    engine_unref(engine);
    return status;
  }
  *out = engine;
  return BITCASK_OK;
}

struct engine *engine_ref(struct engine *engine) {
  atomic_fetch_add(&engine->references, 1);
  return engine;
}

void engine_unref(struct engine *engine) {
  if (engine == NULL || atomic_fetch_sub(&engine->references, 1) != 1) return;
  keydir_free(engine->keydir);
  for (size_t i = 0; i < engine->sealed_count; i++) segment_unref(engine->sealed[i]);
  segment_unref(engine->active);
  segment_unref(engine->prepared);
  if (engine->is_delivered) segment_unref(engine->delivery);
  memory_free(engine->sealed);
  memory_free(engine->snapshots);
  memory_sparse_free((void *)engine->slots, PLACE_SLOT_MAX + 1, sizeof *engine->slots);
  manifest_release(&engine->manifest);
  engine->directory->ops->close(engine->directory);
  destroy_locks(engine);
  memory_free(engine);
}

enum bitcask_status engine_refuse_process(void) {
  return status_fail(BITCASK_INVALID,
                     "the store was opened before a fork and cannot be used in the child");
}

size_t engine_headroom(const struct engine *engine) {
  uint64_t quarter = engine->options.segment_size / 4;
  return quarter < ENGINE_HEADROOM ? (size_t)quarter : ENGINE_HEADROOM;
}

bool engine_has_room_to_spare(const struct engine *engine) {
  enum { SEGMENTS = 8 };
  struct disk_directory *directory = engine->directory;
  return !atomic_load(&engine->is_short_of_space) &&
         directory->ops->free_space(directory) / SEGMENTS > engine->options.segment_size;
}

/* ---- Stopping ---- */

/* For the next open, as long as the machine runs: what is in the system's cache may not be on
 * the disk, and never get there. After a restart of the machine there is no such doubt, so the
 * file need not be durable. */
static void leave_word(struct engine *engine) {
  struct status_text cause = status_text_keep();
  struct disk_file *file = NULL;
  if (engine->directory->ops->create(engine->directory, FILENAME_STOPPED, 0, &file) == BITCASK_OK)
    disk_file_close(file);
  status_text_restore(&cause);
}

enum bitcask_status engine_stop(struct engine *engine, enum bitcask_status status) {
  mutex_lock(&engine->stop_lock);
  status_note_take(&engine->stop_note, status);
  mutex_unlock(&engine->stop_lock);
  if (!atomic_exchange(&engine->is_stopped, true) && !MUTANT(NO_WORD_LEFT)) leave_word(engine);
  return status;
}

enum bitcask_status engine_refuse_writes(struct engine *engine) {
  if (engine->is_readonly)
    return status_fail(BITCASK_READONLY, "the store is open for reading only");
  mutex_lock(&engine->stop_lock);
  status_fail(BITCASK_STOPPED,
              "the store takes no more writes until it is opened again, since: %.400s",
              engine->stop_note.text);
  mutex_unlock(&engine->stop_lock);
  return BITCASK_STOPPED;
}

/* ---- Segments ---- */

enum bitcask_status engine_take_slot(struct engine *engine, struct segment *segment) {
  mutex_lock(&engine->set_lock);
  enum bitcask_status status = BITCASK_NOSPACE;
  for (uint32_t tries = 0; tries < PLACE_SLOT_MAX; tries++) {
    uint32_t slot = engine->slot_hint % PLACE_SLOT_MAX + 1;
    engine->slot_hint = slot;
    if (atomic_load(&engine->slots[slot]) != NULL) continue;
    segment->slot = slot;
    segment->obsolete_count = &engine->obsolete_count;
    atomic_store_explicit(&engine->slots[slot], segment, memory_order_release);
    status = BITCASK_OK;
    break;
  }
  mutex_unlock(&engine->set_lock);
  if (status == BITCASK_OK) return status;
  return status_fail(status, "no more than %d segments can be open", PLACE_SLOT_MAX);
}

void engine_clear_slot(struct engine *engine, struct segment *segment) {
  if (segment->slot != 0) atomic_store(&engine->slots[segment->slot], NULL);
}

void engine_drop_slot(struct engine *engine, struct segment *segment) {
  if (segment->slot == 0) return;
  engine_clear_slot(engine, segment);
  guard_wait(&engine->guard);
}

enum bitcask_status engine_promise_sealed(struct engine *engine, size_t count) {
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&engine->set_lock);
  size_t needed = engine->sealed_count + engine->sealed_promised + count;
  if (needed > engine->sealed_capacity) {
    size_t capacity = needed + needed / 2 + 8;
    struct segment **sealed = memory_resize(engine->sealed, capacity, sizeof *sealed);
    if (sealed == NULL) status = BITCASK_NOMEMORY;
    if (sealed != NULL) engine->sealed = sealed;
    if (sealed != NULL) engine->sealed_capacity = capacity;
  }
  if (status == BITCASK_OK) engine->sealed_promised += count;
  mutex_unlock(&engine->set_lock);
  return status;
}

void engine_break_promise(struct engine *engine, size_t count) {
  mutex_lock(&engine->set_lock);
  engine->sealed_promised -= count;
  mutex_unlock(&engine->set_lock);
}

void engine_add_sealed(struct engine *engine, struct segment *segment) {
  /* Oldest first: by the newest write in it, since a merge's output keeps versions. */
  size_t at = engine->sealed_count;
  while (at > 0 && engine->sealed[at - 1]->facts.max_version > segment->facts.max_version) {
    engine->sealed[at] = engine->sealed[at - 1];
    at--;
  }
  engine->sealed[at] = segment;
  engine->sealed_count++;
  engine->sealed_promised--;
}

struct segment *engine_ref_active(struct engine *engine) UNCHECKED {
  mutex_lock(&engine->active_lock);
  struct segment *active = engine->active;
  if (active != NULL) segment_ref(active);
  mutex_unlock(&engine->active_lock);
  return active;
}

uint64_t engine_next_id(struct engine *engine) {
  mutex_lock(&engine->manifest_lock);
  uint64_t id = engine->manifest.state.next_id++;
  mutex_unlock(&engine->manifest_lock);
  return id;
}

enum bitcask_status engine_commit(struct engine *engine, bitcask_bytes items) {
  mutex_lock(&engine->manifest_lock);
  uint64_t version = atomic_load(&engine->last_version);
  /* What the edit tells of may not be durable, once a flush has failed. */
  enum bitcask_status status = engine_check_writable(engine);
  if (status == BITCASK_OK) status = manifest_commit(&engine->manifest, version, items);
  const struct manifest_state *state = &engine->manifest.state;
  atomic_store(&engine->newest_open,
               state->open_count > 0 ? state->open[state->open_count - 1] : 0);
  /* A failed flush proves nothing about what came before it, either. */
  bool is_doubtful = status == BITCASK_IO || engine->manifest.is_unknown;
  if (is_doubtful && !MUTANT(EDIT_FAILURE_IGNORED)) engine_stop(engine, status);
  mutex_unlock(&engine->manifest_lock);
  return status;
}

/* ---- Consulting ---- */

void engine_note_consult(struct engine *engine) {
  engine->died_bytes = 0;
  event_note_consult(&engine->events);
}

static uint64_t dead_bytes_of(const struct segment *segment) {
  uint64_t bytes = segment->facts.length - HEADER_SIZE, live = atomic_load(&segment->live_bytes);
  return bytes > live ? bytes - live : 0;
}

void engine_count_died_before(struct engine *engine) {
  mutex_lock(&engine->write_lock);
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; i < engine->sealed_count; i++)
    engine->died_bytes += dead_bytes_of(engine->sealed[i]);
  mutex_unlock(&engine->set_lock);
  mutex_unlock(&engine->write_lock);
}

/* ---- Telling ---- */

void engine_report(struct engine *engine, const struct bitcask_event *event) {
  event_publish(&engine->events, event);
}

void engine_report_damage(struct engine *engine, uint64_t segment_id, uint64_t offset,
                          uint64_t bytes, const char *message) {
  atomic_fetch_add(&engine->counters.corruptions, 1);
  struct bitcask_event event = {.kind = BITCASK_EVENT_CORRUPTION,
                                .status = BITCASK_CORRUPT,
                                .segment = segment_id,
                                .offset = offset,
                                .bytes = bytes};
  snprintf(event.file, sizeof event.file, "%s", filename_of_segment(segment_id).text);
  snprintf(event.message, sizeof event.message, "%s", message);
  engine_report(engine, &event);
}

void engine_report_failure(struct engine *engine, enum bitcask_status status) {
  struct bitcask_event event = {.kind = BITCASK_EVENT_ERROR, .status = status};
  snprintf(event.message, sizeof event.message, "%.250s", bitcask_error_text());
  atomic_fetch_add(&engine->counters.failures, 1);
  engine_report(engine, &event);
}
