#include "engine/successor.h"

#include "base/mutant.h"
#include "engine/worker.h"

enum { PREPARED_SIZE_MIN = 4 << 20, PREPARED_FRACTION = 8 };

uint64_t successor_distance(const struct engine *engine, uint64_t length) {
  uint64_t full = atomic_load_explicit(&engine->seal_size, memory_order_relaxed);
  return length < full ? full - length : 0;
}

/* After a failed flush nothing is deleted: the next open sweeps it. */
void successor_drop(struct engine *engine, struct segment *segment) {
  if (segment == NULL) return;
  engine_drop_slot(engine, segment);
  segment->obsolete_count = NULL;
  atomic_store(&segment->is_obsolete, !atomic_load(&engine->is_stopped));
  segment_unref(segment);
}

static enum bitcask_status make(struct engine *engine, uint64_t record_size,
                                struct segment **out) {
  uint64_t largest = engine->options.segment_size;
  if (HEADER_SIZE + record_size > largest) largest = HEADER_SIZE + record_size;
  TRY(segment_create(engine->disk, engine->directory, engine->manifest.store,
                     engine_next_id(engine), largest + engine_headroom(engine), out));
  enum bitcask_status status = BITCASK_OK;
  if (!MUTANT(HEADER_UNFLUSHED)) status = segment_sync(*out, HEADER_SIZE);
  if (status == BITCASK_OK && !MUTANT(SEGMENT_NAME_UNFLUSHED))
    status = engine->directory->ops->sync(engine->directory);
  if (status == BITCASK_IO) engine_stop(engine, status);
  if (status == BITCASK_OK) status = engine_take_slot(engine, *out);
  if (status != BITCASK_OK) {
    successor_drop(engine, *out);
    *out = NULL;
  }
  return status;
}

/* On the flusher's thread. Whoever needs the segment makes it himself where this has failed,
 * and tells. */
static void prepare(void *owner, void *context) {
  struct engine *engine = owner;
  struct segment *segment = NULL;
  (void)context;
  enum bitcask_status status = engine_check_writable(engine);
  if (status == BITCASK_OK) status = make(engine, 0, &segment);
  mutex_lock(&engine->write_lock);
  engine->prepared = segment;
  engine->has_prepare_failed = segment == NULL;
  mutex_unlock(&engine->write_lock);
}

void successor_prepare(struct engine *engine) {
  uint64_t full = atomic_load_explicit(&engine->seal_size, memory_order_relaxed);
  if (engine->flusher == NULL || engine->is_prepare_asked || full < PREPARED_SIZE_MIN) return;
  if (successor_distance(engine, engine->active->facts.length) > full / PREPARED_FRACTION) return;
  engine->is_prepare_asked = worker_add(engine->flusher, prepare, NULL);
}

enum bitcask_status successor_take(struct engine *engine, uint64_t record_size,
                                   struct segment **out) {
  struct segment *prepared = engine->prepared;
  if (engine->has_prepare_failed) engine->is_prepare_asked = engine->has_prepare_failed = false;
  if (prepared == NULL || HEADER_SIZE + record_size > engine->options.segment_size)
    return make(engine, record_size, out);
  engine->prepared = NULL;
  engine->is_prepare_asked = false;
  *out = prepared;
  return BITCASK_OK;
}

void successor_drop_prepared(struct engine *engine) {
  mutex_lock(&engine->write_lock);
  struct segment *prepared = engine->prepared;
  engine->prepared = NULL;
  engine->is_prepare_asked = false;
  mutex_unlock(&engine->write_lock);
  successor_drop(engine, prepared);
}
