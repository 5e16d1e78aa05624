#include "engine/rotation.h"

#include "base/mutant.h"
#include "engine/flush.h"
#include "engine/publish.h"
#include "engine/reserve.h"
#include "engine/settle.h"
#include "engine/successor.h"
#include "engine/worker.h"

/* ---- Flushing ---- */

enum bitcask_status rotation_publish_pending(struct engine *engine) {
  if (engine->pending_count == 0) return BITCASK_OK;
  mutex_lock(&engine->flush_lock);
  enum bitcask_status status = flush_all(engine);
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

void rotation_flush_ahead(struct engine *engine) {
  const struct segment *active = engine->active;
  if (engine->flusher == NULL) return;
  successor_prepare(engine);
  uint64_t synced = atomic_load_explicit(&active->synced_length, memory_order_relaxed);
  if (active->facts.length - synced < ENGINE_FLUSH_AHEAD) return;
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

/* The segment is not written to any more: among the sealed ones from now on, where a place was
 * promised, and the next one takes its own place. */
static void give_way(struct engine *engine, struct segment *old, struct segment *new, bool is_full)
    REQUIRES(engine->write_lock) {
  atomic_store(&old->is_sealed, true);
  segment_ref(old); /* once it is in the list, a merge may take it away */
  mutex_lock(&engine->set_lock);
  if (is_full) settle_add(engine, old);
  engine_add_sealed(engine, old);
  set_active(engine, new); /* whoever looks for all segments finds it in one place or both */
  mutex_unlock(&engine->set_lock);
  reserve_make(engine); /* now, before later writes take the space */
  report_sealed(engine, old);
  engine_note_consult(engine);
  segment_unref(old);
}

/* ---- Beginning the next ---- */

/* The edit by which the next one is open, unless it is that already, and `gone`, to which nothing
 * was ever written, is not part of the store any more. */
static enum bitcask_status name_next(struct engine *engine, const struct successor *next,
                                     const struct segment *gone) {
  struct bitcask_buffer items = {0};
  enum bitcask_status status = BITCASK_OK;
  if (gone != NULL) status = edit_append_removed(&items, gone->facts.id);
  if (status == BITCASK_OK) status = successor_name(next, &items);
  if (status == BITCASK_OK && items.size > 0)
    status = engine_commit(engine, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  return status;
}

static enum bitcask_status have_next(struct engine *engine, uint64_t record_size,
                                     const struct segment *gone, struct segment **out)
    REQUIRES(engine->write_lock) {
  struct successor next;
  enum bitcask_status status = successor_take(engine, record_size, &next);
  if (status == BITCASK_OK) status = name_next(engine, &next, gone);
  if (status != BITCASK_OK) successor_give_back(engine, &next);
  *out = next.segment;
  return status;
}

/* A new active segment in the place of none, or of one without records. */
static enum bitcask_status begin(struct engine *engine, uint64_t record_size)
    REQUIRES(engine->write_lock) {
  struct segment *old = engine->active, *new = NULL;
  TRY(have_next(engine, record_size, old, &new));
  set_active(engine, new);
  if (old == NULL) return BITCASK_OK;
  engine_drop_slot(engine, old);
  atomic_fetch_add(&engine->obsolete_count, 1);
  atomic_store(&old->is_obsolete, true);
  segment_unref(old);
  return BITCASK_OK;
}

/* Begin a new active segment that takes a record of `record_size` bytes; the old one is full. */
static enum bitcask_status rotate(struct engine *engine, uint64_t record_size)
    REQUIRES(engine->write_lock) {
  struct segment *old = engine->active, *new = NULL;
  if (old == NULL || old->facts.records == 0) return begin(engine, record_size);
  TRY(settle_full(engine, SETTLE_FOR_ROOM));
  TRY(engine_promise_sealed(engine, 1));
  enum bitcask_status status = have_next(engine, record_size, NULL, &new);
  if (status != BITCASK_OK) {
    engine_break_promise(engine, 1);
    return status;
  }
  old->facts.sealed_ms = engine->disk->ops->now_ms(engine->disk);
  give_way(engine, old, new, true);
  settle_later(engine);
  return BITCASK_OK;
}

/* ---- Sealing at once ---- */

/* The next append takes it again. */
static void give_back(struct segment *segment) {
  if (segment != NULL) segment->file->ops->finish(segment->file);
}

static void give_back_space(struct engine *engine) REQUIRES(engine->write_lock) {
  mutex_lock(&engine->flush_lock);
  give_back(engine->active);
  give_back(successor_prepared(engine));
  mutex_unlock(&engine->flush_lock);
}

bool rotation_give_back_next(struct engine *engine) {
  struct segment *next = successor_prepared(engine);
  mutex_lock(&engine->flush_lock);
  give_back(next);
  mutex_unlock(&engine->flush_lock);
  return next != NULL;
}

enum bitcask_status rotation_settle(struct engine *engine) {
  enum bitcask_status status = settle_full(engine, SETTLE_ALL);
  if (status != BITCASK_NOSPACE) return status;
  give_back_space(engine);
  return settle_full(engine, SETTLE_ALL);
}

enum bitcask_status rotation_settle_ahead(struct engine *engine) {
  enum bitcask_status status = settle_full(engine, SETTLE_LATER);
  return status == BITCASK_NOSPACE ? BITCASK_OK : status;
}

static enum bitcask_status commit_facts(struct engine *engine, enum edit_tag tag,
                                        struct segment *active, const struct segment *gone) {
  struct bitcask_buffer items = {0};
  enum bitcask_status status = BITCASK_OK;
  if (gone != NULL) status = edit_append_removed(&items, gone->facts.id);
  if (status == BITCASK_OK && active != NULL)
    status = edit_append_facts(&items, tag, &active->facts);
  /* It comes before a merge, or at the end: then the reserve is there for it. */
  if (status == BITCASK_OK && items.size > 0)
    status = reserve_commit(engine, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  return status;
}

static enum bitcask_status seal_active(struct engine *engine) REQUIRES(engine->write_lock) {
  struct segment *active = engine->active;
  TRY(engine_promise_sealed(engine, 1));
  active->facts.sealed_ms = engine->disk->ops->now_ms(engine->disk);
  enum bitcask_status status = flush_for_sealing(engine, active);
  if (status == BITCASK_OK) status = commit_facts(engine, EDIT_SEALED, active, NULL);
  if (status != BITCASK_OK) {
    active->facts.sealed_ms = 0;
    engine_break_promise(engine, 1);
    return status;
  }
  segment_ref(active); /* once it is in the list, a merge may take it away */
  give_way(engine, active, NULL, false);
  settle_finish(engine, active);
  segment_unref(active);
  return BITCASK_OK;
}

enum bitcask_status engine_seal(struct engine *engine, uint64_t *id) {
  TRY(engine_check_writable(engine));
  TRY(rotation_settle_ahead(engine));
  mutex_lock(&engine->write_lock);
  struct segment *active = engine->active;
  uint64_t sealed_id = active != NULL ? active->facts.id : 0;
  enum bitcask_status status = rotation_settle(engine);
  *id = 0;
  if (status == BITCASK_OK && active != NULL && active->facts.records > 0) {
    status = seal_active(engine);
    if (status == BITCASK_OK) *id = sealed_id;
  }
  mutex_unlock(&engine->write_lock);
  return status;
}

/* An edit has failed; the data can be durable all the same. The status is the edit's. */
static void flush_what_is_there(struct engine *engine) REQUIRES(engine->write_lock) {
  struct status_text cause = status_text_keep();
  mutex_lock(&engine->flush_lock);
  flush_all(engine);
  mutex_unlock(&engine->flush_lock);
  status_text_restore(&cause);
}

enum bitcask_status engine_close_cleanly(struct engine *engine) {
  if (engine->is_readonly || atomic_load(&engine->is_stopped)) return BITCASK_OK;
  mutex_lock(&engine->write_lock);
  struct segment *active = engine->is_active_closed ? NULL : engine->active;
  enum bitcask_status status = rotation_settle(engine);
  if (status != BITCASK_OK) flush_what_is_there(engine);
  if (status == BITCASK_OK && active != NULL) status = flush_for_sealing(engine, active);
  if (status == BITCASK_OK)
    status = commit_facts(engine, EDIT_CLOSED, active, successor_prepared(engine));
  if (status == BITCASK_OK) successor_drop_prepared(engine);
  mutex_unlock(&engine->write_lock);
  return status;
}

/* ---- Making room ---- */

/* The manifest says that the store was closed cleanly with this active segment. Before the
 * first append that has to be taken back. */
static enum bitcask_status mark_open(struct engine *engine) REQUIRES(engine->write_lock) {
  if (!engine->is_active_closed || MUTANT(CLOSE_BELIEVED)) return BITCASK_OK;
  struct bitcask_buffer items = {0};
  enum bitcask_status status = edit_append_open(&items, engine->active->facts.id);
  if (status == BITCASK_OK) status = engine_commit(engine, bytes_of(items.data, items.size));
  if (status == BITCASK_OK) engine->is_active_closed = false;
  bitcask_buffer_release(&items);
  return status;
}

/* So many times the size that was asked for a segment may have, where the next one is late. */
enum { LATE_TIMES = 4 };

/* Would the next segment have to be waited for: until it is made, or until there is room for one
 * more that is full? */
static bool is_next_late(struct engine *engine) REQUIRES(engine->write_lock) {
  if (engine->flusher == NULL) return false; /* nobody else makes it, or room */
  return successor_is_under_way(engine) || !settle_has_room(engine);
}

/* Is the active segment, with more in it, to be sealed before? One with nothing in it takes
 * whatever a segment may hold. The size that a policy has asked for is no bound: where the next
 * segment is late, the active one is written to until it comes. */
static bool would_overflow(struct engine *engine, uint64_t length) REQUIRES(engine->write_lock) {
  uint64_t wanted = atomic_load_explicit(&engine->seal_size, memory_order_relaxed);
  if (length > engine->options.segment_size) return true;
  if (length <= wanted || engine->active->facts.records == 0) return false;
  return length > LATE_TIMES * wanted || !is_next_late(engine);
}

/* The policy may have asked for a smaller one this very moment: then the next one is made in the
 * background now, and the active one written to until it comes. */
static void prepare_in_time(struct engine *engine, uint64_t length)
    REQUIRES(engine->write_lock) {
  uint64_t wanted = atomic_load_explicit(&engine->seal_size, memory_order_relaxed);
  bool is_time = length > wanted && length <= LATE_TIMES * wanted;
  if (is_time && !engine->is_active_closed && engine->active->facts.records > 0)
    successor_prepare(engine);
}

enum bitcask_status rotation_make_room(struct engine *engine, uint64_t size, bool is_delete) {
  struct segment *active = engine->active;
  if (active == NULL) return rotate(engine, size);
  uint64_t length = segment_length_with(active, size);
  prepare_in_time(engine, length);
  if (!would_overflow(engine, length)) return mark_open(engine);
  enum bitcask_status status = rotate(engine, size);
  if (status != BITCASK_NOSPACE || !is_delete) return status;
  /* On a full disk a delete may go into the space that puts left free for it. */
  return length <= active->capacity ? mark_open(engine) : status;
}
