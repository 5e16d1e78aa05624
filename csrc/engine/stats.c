#include "engine/stats.h"

#include "engine/publish.h"

static uint64_t less(uint64_t from, uint64_t by) { return from > by ? from - by : 0; }

static struct bitcask_segment describe(const struct segment *segment, bool is_active) {
  const struct segment_facts *facts = &segment->facts;
  uint64_t bytes = facts->length - HEADER_SIZE;
  uint64_t live = atomic_load(&segment->live_bytes);
  return (struct bitcask_segment){
      .id = facts->id,
      .bytes = bytes,
      .live_bytes = live,
      .dead_bytes = less(less(bytes, live), atomic_load(&segment->kept_tombstone_bytes)),
      .records = facts->records,
      .live_records = atomic_load(&segment->live_records),
      .tombstones = facts->tombstones,
      .tombstone_bytes = facts->tombstone_bytes,
      .expired_bytes = atomic_load(&segment->expired_bytes),
      .last_expired_ms = atomic_load(&segment->last_expired_ms),
      .min_version = facts->min_version,
      .max_version = facts->max_version,
      .created_ms = facts->created_ms,
      .sealed_ms = is_active ? 0 : facts->sealed_ms,
      .pinned = atomic_load(&segment->references) > 1,
      .damaged = atomic_load(&segment->is_damaged),
      .active = is_active};
}

/* The write lock keeps the active segment's facts still, and it from being sealed. */
enum bitcask_status stats_segments(struct engine *engine, struct bitcask_segment **out,
                                   size_t *count) {
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&engine->write_lock);
  publish_expired(engine);
  mutex_lock(&engine->set_lock);
  size_t total = engine->sealed_count + (engine->active != NULL ? 1 : 0);
  struct bitcask_segment *all = memory_new(total * sizeof *all);
  if (all == NULL) {
    status = BITCASK_NOMEMORY;
  } else {
    for (size_t i = 0; i < engine->sealed_count; i++) all[i] = describe(engine->sealed[i], false);
    if (engine->active != NULL) all[total - 1] = describe(engine->active, true);
    *out = all;
    *count = total;
  }
  mutex_unlock(&engine->set_lock);
  mutex_unlock(&engine->write_lock);
  return status;
}

static void add_counters(struct engine *engine, struct bitcask_stats *out) {
  struct engine_counters *counters = &engine->counters;
  out->gets = guard_count(&engine->guard);
  out->puts = atomic_load(&counters->puts);
  out->deletes = atomic_load(&counters->deletes);
  out->merges = atomic_load(&counters->merges);
  out->syncs = atomic_load(&counters->syncs);
  out->bytes_written = atomic_load(&counters->bytes_written);
  out->merge_bytes_read = atomic_load(&counters->merge_bytes_read);
  out->merge_bytes_written = atomic_load(&counters->merge_bytes_written);
  out->corruptions = atomic_load(&counters->corruptions);
  out->failures = atomic_load(&counters->failures);
}

enum bitcask_status stats_of(struct engine *engine, struct bitcask_stats *out) {
  struct bitcask_segment *segments = NULL;
  size_t count = 0;
  TRY(stats_segments(engine, &segments, &count));
  *out = (struct bitcask_stats){0};
  for (size_t i = 0; i < count; i++) {
    out->bytes += segments[i].bytes;
    out->live_bytes += segments[i].live_bytes;
    out->dead_bytes += segments[i].dead_bytes;
  }
  memory_free(segments);
  out->segments = count;
  out->keys = keydir_count(engine->keydir);
  out->open_files = engine->directory->ops->open_files(engine->directory);
  out->keydir_bytes = keydir_bytes(engine->keydir);
  out->expiring = expiry_count(&engine->expiry);
  out->old_versions = keydir_old_count(engine->keydir);
  out->pinned_segments = atomic_load(&engine->obsolete_count);
  out->version = atomic_load(&engine->last_version);
  out->stopped = atomic_load(&engine->is_stopped);
  mutex_lock(&engine->write_lock);
  out->snapshots = engine->snapshot_count;
  mutex_unlock(&engine->write_lock);
  mutex_lock(&engine->set_lock);
  out->merging = engine->merge != NULL;
  mutex_unlock(&engine->set_lock);
  add_counters(engine, out);
  return BITCASK_OK;
}
