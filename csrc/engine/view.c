#include "engine/view.h"

#include "engine/iterator.h"
#include "engine/read.h"
#include "engine/snapshot.h"

struct bitcask_snapshot {
  struct engine *engine;
  uint64_t version;
  uint64_t count; /* of keys when it was taken */
  bool has_expiring; /* then some of them may be hidden by now */
};

enum bitcask_status view_open(struct engine *engine, struct bitcask_snapshot **out) {
  struct bitcask_snapshot *snapshot = memory_zeroed(1, sizeof *snapshot);
  if (snapshot == NULL) return BITCASK_NOMEMORY;
  enum bitcask_status status = snapshot_take_counting(engine, &snapshot->version,
                                                      &snapshot->count, &snapshot->has_expiring);
  if (status != BITCASK_OK) {
    memory_free(snapshot);
    return status;
  }
  snapshot->engine = engine_ref(engine);
  *out = snapshot;
  return BITCASK_OK;
}

void bitcask_snapshot_close(struct bitcask_snapshot *snapshot) {
  if (snapshot == NULL) return;
  if (engine_check_process(snapshot->engine->process) == BITCASK_OK) {
    snapshot_release(snapshot->engine, snapshot->version);
    engine_unref(snapshot->engine);
  }
  memory_free(snapshot);
}

uint64_t bitcask_snapshot_version(const struct bitcask_snapshot *snapshot) {
  return snapshot->version;
}

enum bitcask_status bitcask_snapshot_iterator_open(struct bitcask_snapshot *snapshot,
                                                   const struct bitcask_iterator_options *options,
                                                   struct bitcask_iterator **out) {
  TRY(engine_check_process(snapshot->engine->process));
  return iterator_open_at(snapshot->engine, snapshot->version, options, out);
}

/* Some keys may have expired since: only a walk can tell. */
static enum bitcask_status count_by_walking(struct bitcask_snapshot *snapshot, uint64_t *count) {
  struct bitcask_iterator_options options = {.keys_only = true, .skip_damaged = true};
  struct bitcask_iterator *iterator = NULL;
  bitcask_bytes key;
  TRY(bitcask_snapshot_iterator_open(snapshot, &options, &iterator));
  enum bitcask_status status;
  *count = 0;
  while ((status = bitcask_iterator_next(iterator, &key, NULL, NULL)) == BITCASK_OK) ++*count;
  bitcask_iterator_close(iterator);
  return status == BITCASK_ABSENT ? BITCASK_OK : status;
}

enum bitcask_status bitcask_snapshot_count(struct bitcask_snapshot *snapshot, uint64_t *count) {
  TRY(engine_check_process(snapshot->engine->process));
  if (snapshot->has_expiring) return count_by_walking(snapshot, count);
  *count = snapshot->count;
  return BITCASK_OK;
}

enum bitcask_status bitcask_snapshot_get(struct bitcask_snapshot *snapshot, bitcask_bytes key,
                                         struct bitcask_buffer *into, uint64_t *version) {
  TRY(engine_check_process(snapshot->engine->process));
  return engine_get_at(snapshot->engine, snapshot->version, key, into, version);
}

enum bitcask_status bitcask_snapshot_stat_key(struct bitcask_snapshot *snapshot,
                                              bitcask_bytes key, struct bitcask_stat *out) {
  TRY(engine_check_process(snapshot->engine->process));
  return engine_stat_at(snapshot->engine, snapshot->version, key, out);
}
