#include "engine/flush.h"

#include "base/mutant.h"

enum bitcask_status flush_segment(struct engine *engine, struct segment *segment) {
  if (segment == NULL) return BITCASK_OK;
  uint64_t length = disk_file_size(segment->file);
  if (atomic_load(&segment->synced_length) >= length) return BITCASK_OK;
  atomic_fetch_add_explicit(&engine->counters.syncs, 1, memory_order_relaxed);
  enum bitcask_status status = segment_sync(segment, length);
  if (MUTANT(FLUSH_FAILURE_IGNORED)) return BITCASK_OK;
  return status == BITCASK_OK ? status : engine_stop(engine, status);
}

/* References on the segments that may hold something to flush, in the order of their writes. */
static size_t ref_open(struct engine *engine, struct segment *out[ENGINE_FULL_MAX + 1]) {
  size_t count = 0;
  mutex_lock(&engine->set_lock); /* one that becomes full meanwhile is found in one place */
  for (size_t i = 0; !MUTANT(FULL_UNFLUSHED) && i < engine->full_count; i++)
    out[count++] = segment_ref(engine->full[i]);
  struct segment *active = engine_ref_active(engine);
  mutex_unlock(&engine->set_lock);
  if (active != NULL) out[count++] = active;
  return count;
}

/* The ticket is read first: whatever is appended between the two looks is flushed too, and a
 * segment that was full and is sealed between them is durable already. */
enum bitcask_status flush_all(struct engine *engine) {
  /* Whoever has waited for the lock while a flush failed must not try it again: the system may
   * say then that all is well. */
  TRY(engine_check_writable(engine));
  struct segment *open[ENGINE_FULL_MAX + 1];
  uint64_t ticket = atomic_load(&engine->appended_ticket);
  size_t count = ref_open(engine, open);
  enum bitcask_status status = BITCASK_OK;
  for (size_t i = 0; status == BITCASK_OK && i < count; i++)
    status = flush_segment(engine, open[i]);
  for (size_t i = 0; i < count; i++) segment_unref(open[i]);
  if (status != BITCASK_OK) return status;
  if (atomic_load(&engine->durable_ticket) < ticket)
    atomic_store(&engine->durable_ticket, ticket);
  return BITCASK_OK;
}

enum bitcask_status engine_flush(struct engine *engine) {
  TRY(engine_check_writable(engine));
  mutex_lock(&engine->flush_lock);
  enum bitcask_status status = flush_all(engine);
  mutex_unlock(&engine->flush_lock);
  return status;
}
