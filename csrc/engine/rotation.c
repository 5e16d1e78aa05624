#include "engine/rotation.h"

#include "base/mutant.h"
#include "engine/publish.h"
#include "engine/reserve.h"
#include "engine/successor.h"
#include "engine/worker.h"
#include "store/hint_file.h"

/* ---- Hints ---- */

static void write_hint(void *owner, void *context) {
  struct engine *engine = owner;
  struct segment *segment = context;
  enum bitcask_status status = BITCASK_OK;
  bool is_wanted = !atomic_load(&segment->is_obsolete) &&
                   !atomic_load(&engine->is_short_of_space);
  if (is_wanted)
    status = hint_file_write(engine->disk, segment, engine->manifest.store);
  /* A hint file may be missing; damage in the segment is worth telling. */
  if (status == BITCASK_CORRUPT)
    engine_report_damage(engine, segment->facts.id, 0, 0, bitcask_error_text());
  segment_unref(segment);
}

void engine_write_hint_later(struct engine *engine, struct segment *segment) {
  segment_ref(segment);
  if (engine->worker == NULL || !worker_add(engine->worker, write_hint, segment))
    write_hint(engine, segment);
}

/* ---- Flushing ---- */

/* Flush a segment unless it is sealed, and durable with that. */
static enum bitcask_status flush_segment(struct engine *engine, struct segment *segment)
    REQUIRES(engine->flush_lock) {
  if (segment == NULL || segment->is_sealed) return BITCASK_OK;
  uint64_t length = disk_file_size(segment->file);
  if (atomic_load(&segment->synced_length) >= length) return BITCASK_OK;
  atomic_fetch_add_explicit(&engine->counters.syncs, 1, memory_order_relaxed);
  enum bitcask_status status = segment_sync(segment, length);
  if (MUTANT(FLUSH_FAILURE_IGNORED)) return BITCASK_OK;
  return status == BITCASK_OK ? status : engine_stop(engine, status);
}

/* The same for all that was appended before the call. The ticket is read first: whatever is
 * appended between the two reads is flushed too, and a segment sealed between them is
 * durable already. */
enum bitcask_status rotation_flush(struct engine *engine) {
  /* Whoever has waited for the lock while a flush failed must not try it again: the system may
   * say then that all is well. */
  TRY(engine_check_writable(engine));
  uint64_t ticket = atomic_load(&engine->appended_ticket);
  struct segment *active = engine_ref_active(engine);
  enum bitcask_status status = flush_segment(engine, active);
  segment_unref(active);
  if (status != BITCASK_OK) return status;
  if (atomic_load(&engine->durable_ticket) < ticket)
    atomic_store(&engine->durable_ticket, ticket);
  return BITCASK_OK;
}

enum bitcask_status engine_flush(struct engine *engine) {
  TRY(engine_check_writable(engine));
  mutex_lock(&engine->flush_lock);
  enum bitcask_status status = rotation_flush(engine);
  mutex_unlock(&engine->flush_lock);
  return status;
}

enum bitcask_status rotation_publish_pending(struct engine *engine) {
  if (engine->pending_count == 0) return BITCASK_OK;
  mutex_lock(&engine->flush_lock);
  enum bitcask_status status = rotation_flush(engine);
  mutex_unlock(&engine->flush_lock);
  if (status == BITCASK_OK) publish_durable(engine);
  return status;
}

static void flush_ahead(void *owner, void *context) {
  struct engine *engine = owner;
  (void)context;
  atomic_store(&engine->is_flush_queued, false);
  enum bitcask_status status = engine_flush(engine);
  if (status != BITCASK_OK && status != BITCASK_STOPPED) engine_report_failure(engine, status);
}

/* The nearer the end of the segment, the less is left for the one who seals it. */
static uint64_t flush_size(const struct engine *engine, uint64_t length) {
  enum { SIZE_MIN = 256 << 10 };
  uint64_t size = successor_distance(engine, length) / 2;
  if (size < SIZE_MIN) return SIZE_MIN;
  return size < ENGINE_FLUSH_AHEAD ? size : ENGINE_FLUSH_AHEAD;
}

void rotation_flush_ahead(struct engine *engine) {
  const struct segment *active = engine->active;
  uint64_t synced = atomic_load_explicit(&active->synced_length, memory_order_relaxed);
  uint64_t length = active->facts.length;
  if (engine->flusher == NULL) return;
  successor_prepare(engine);
  if (length - synced < flush_size(engine, length)) return;
  if (atomic_load_explicit(&engine->is_flush_queued, memory_order_relaxed)) return;
  if (atomic_exchange(&engine->is_flush_queued, true)) return;
  if (!worker_add(engine->flusher, flush_ahead, NULL))
    atomic_store(&engine->is_flush_queued, false);
}

/* ---- Growing ---- */

/* By so many bytes the active segment grows until its policy is worth asking, who may want it
 * sealed; small ones are full before. */
static uint64_t consult_distance(const struct engine *engine) {
  enum { FRACTION = 16, DISTANCE_MIN = 1 << 20 };
  uint64_t distance = engine->options.segment_size / FRACTION;
  return distance < DISTANCE_MIN ? DISTANCE_MIN : distance;
}

void rotation_note_growth(struct engine *engine) {
  uint64_t length = engine->active->facts.length;
  if (engine->consult_length == 0) engine->consult_length = consult_distance(engine);
  if (length < engine->consult_length) return;
  engine->consult_length = length + consult_distance(engine);
  engine_note_consult(engine);
}

void rotation_seal_at(struct engine *engine, uint64_t size) {
  uint64_t most = engine->options.segment_size;
  atomic_store(&engine->seal_size, size == 0 || size > most ? most : size);
}

/* ---- Sealing ---- */

static void set_active(struct engine *engine, struct segment *segment)
    REQUIRES(engine->write_lock) {
  mutex_lock(&engine->active_lock);
  engine->active = segment;
  engine->is_active_closed = false;
  mutex_unlock(&engine->active_lock);
  engine->consult_length = consult_distance(engine);
}

/* Make the active segment durable to the last byte, so that it can be sealed. */
static enum bitcask_status flush_for_sealing(struct engine *engine, struct segment *segment)
    REQUIRES(engine->write_lock) {
  mutex_lock(&engine->flush_lock);
  enum bitcask_status status = engine_check_writable(engine);
  if (status == BITCASK_OK) status = segment->file->ops->finish(segment->file);
  if (status == BITCASK_OK && !MUTANT(SEAL_UNFLUSHED)) status = flush_segment(engine, segment);
  if (status == BITCASK_OK)
    atomic_store(&engine->durable_ticket, atomic_load(&engine->appended_ticket));
  mutex_unlock(&engine->flush_lock);
  if (status == BITCASK_OK) publish_durable(engine);
  return status;
}

static void report_sealed(struct engine *engine, const struct segment *segment) {
  struct bitcask_event event = {.kind = BITCASK_EVENT_SEALED,
                                .segment = segment->facts.id,
                                .records = segment->facts.records,
                                .bytes = segment->facts.length - HEADER_SIZE};
  engine_report(engine, &event);
}

/* The manifest says that it is sealed; now memory does. Its place was promised. */
static void become_sealed(struct engine *engine, struct segment *segment,
                          struct segment *successor) REQUIRES(engine->write_lock) {
  mutex_lock(&engine->flush_lock);
  segment->is_sealed = true;
  segment->file->ops->freeze(segment->file);
  mutex_unlock(&engine->flush_lock);
  /* Once it is in the list, a merge may take it away. */
  segment_ref(segment);
  mutex_lock(&engine->set_lock);
  engine_add_sealed(engine, segment);
  set_active(engine, successor); /* whoever looks for all segments finds it in one place or both */
  mutex_unlock(&engine->set_lock);
  reserve_make(engine);
  report_sealed(engine, segment);
  engine_note_consult(engine);
  engine_write_hint_later(engine, segment);
  segment_unref(segment);
}

/* Write the edit that seals `old` (or drops it, without records) and makes `new` active. */
static enum bitcask_status commit_rotation(struct engine *engine, struct segment *old,
                                           struct segment *new) {
  struct bitcask_buffer items = {0};
  enum bitcask_status status = BITCASK_OK;
  if (old != NULL && old->facts.records > 0) {
    old->facts.sealed_ms = engine->disk->ops->now_ms(engine->disk);
    status = edit_append_facts(&items, EDIT_SEALED, &old->facts);
  } else if (old != NULL) {
    status = edit_append_removed(&items, old->facts.id);
  }
  if (status == BITCASK_OK && new != NULL)
    status = edit_append_active(&items, new->facts.id);
  bitcask_bytes all = bytes_of(items.data, items.size);
  /* A seal alone comes before a merge; a new segment is for the caller to insist on. */
  if (status == BITCASK_OK)
    status = new == NULL ? reserve_commit(engine, all) : engine_commit(engine, all);
  bitcask_buffer_release(&items);
  return status;
}

/* The active segment gives way; a place among the sealed ones was promised. */
static void give_way(struct engine *engine, struct segment *old, struct segment *new)
    REQUIRES(engine->write_lock) {
  if (old != NULL && old->facts.records > 0) {
    become_sealed(engine, old, new);
    return;
  }
  set_active(engine, new);
  engine_break_promise(engine, 1);
  if (old == NULL) return;
  engine_drop_slot(engine, old);
  atomic_fetch_add(&engine->obsolete_count, 1);
  atomic_store(&old->is_obsolete, true);
  segment_unref(old);
}

/* Begin a new active segment that takes a record of `record_size` bytes; the old one, if
 * there is one, is sealed by the same edit. */
static enum bitcask_status rotate(struct engine *engine, uint64_t record_size)
    REQUIRES(engine->write_lock) {
  struct segment *old = engine->active, *new = NULL;
  TRY(engine_promise_sealed(engine, 1));
  enum bitcask_status status = successor_take(engine, record_size, &new);
  if (status == BITCASK_OK && old != NULL) status = flush_for_sealing(engine, old);
  if (status == BITCASK_OK) status = commit_rotation(engine, old, new);
  if (status != BITCASK_OK) {
    engine_break_promise(engine, 1);
    successor_drop(engine, new);
    return status;
  }
  give_way(engine, old, new);
  return BITCASK_OK;
}

static enum bitcask_status seal_active(struct engine *engine) REQUIRES(engine->write_lock) {
  struct segment *active = engine->active;
  TRY(engine_promise_sealed(engine, 1));
  enum bitcask_status status = flush_for_sealing(engine, active);
  if (status == BITCASK_OK) status = commit_rotation(engine, active, NULL);
  if (status != BITCASK_OK) {
    engine_break_promise(engine, 1);
    return status;
  }
  give_way(engine, active, NULL);
  return BITCASK_OK;
}

enum bitcask_status engine_seal(struct engine *engine, uint64_t *id) {
  TRY(engine_check_writable(engine));
  mutex_lock(&engine->write_lock);
  struct segment *active = engine->active;
  uint64_t sealed_id = active != NULL ? active->facts.id : 0;
  enum bitcask_status status = BITCASK_OK;
  *id = 0;
  if (active != NULL && active->facts.records > 0) {
    status = seal_active(engine);
    if (status == BITCASK_OK) *id = sealed_id;
  }
  mutex_unlock(&engine->write_lock);
  return status;
}

enum bitcask_status engine_close_cleanly(struct engine *engine) {
  if (engine->is_readonly || atomic_load(&engine->is_stopped)) return BITCASK_OK;
  mutex_lock(&engine->write_lock);
  struct segment *active = engine->active;
  enum bitcask_status status = BITCASK_OK;
  if (active != NULL && !engine->is_active_closed) {
    struct bitcask_buffer items = {0};
    status = flush_for_sealing(engine, active);
    if (status == BITCASK_OK) status = edit_append_facts(&items, EDIT_CLOSED, &active->facts);
    if (status == BITCASK_OK) status = reserve_commit(engine, bytes_of(items.data, items.size));
    bitcask_buffer_release(&items);
  }
  mutex_unlock(&engine->write_lock);
  return status;
}

/* ---- Making room ---- */

/* The manifest says that the store was closed cleanly with this active segment. Before the
 * first append that has to be taken back. */
static enum bitcask_status mark_open(struct engine *engine) REQUIRES(engine->write_lock) {
  if (!engine->is_active_closed || MUTANT(CLOSE_BELIEVED)) return BITCASK_OK;
  struct bitcask_buffer items = {0};
  enum bitcask_status status = edit_append_active(&items, engine->active->facts.id);
  if (status == BITCASK_OK) status = engine_commit(engine, bytes_of(items.data, items.size));
  if (status == BITCASK_OK) engine->is_active_closed = false;
  bitcask_buffer_release(&items);
  return status;
}

/* Is the active segment, with more in it, to be sealed before? One with nothing in it takes
 * whatever a segment may hold. */
static bool would_overflow(const struct engine *engine, uint64_t length)
    REQUIRES(engine->write_lock) {
  if (length > engine->options.segment_size) return true;
  return length > atomic_load_explicit(&engine->seal_size, memory_order_relaxed) &&
         engine->active->facts.records > 0;
}

enum bitcask_status rotation_make_room(struct engine *engine, uint64_t size, bool is_delete) {
  struct segment *active = engine->active;
  if (active == NULL) return rotate(engine, size);
  uint64_t length = segment_length_with(active, size);
  if (!would_overflow(engine, length)) return mark_open(engine);
  enum bitcask_status status = rotate(engine, size);
  if (status != BITCASK_NOSPACE || !is_delete) return status;
  /* On a full disk a delete may go into the space that puts left free for it. */
  return length <= active->capacity ? mark_open(engine) : status;
}
