#include "engine/snapshot.h"

static enum bitcask_status add_version(struct engine *engine, uint64_t version)
    REQUIRES(engine->write_lock) {
  if (engine->snapshot_count == engine->snapshot_capacity) {
    size_t capacity = engine->snapshot_capacity * 2 + 8;
    uint64_t *snapshots = memory_resize(engine->snapshots, capacity, sizeof *snapshots);
    if (snapshots == NULL) return BITCASK_NOMEMORY;
    engine->snapshots = snapshots;
    engine->snapshot_capacity = capacity;
  }
  /* Published versions only rise, so the array stays in order. */
  engine->snapshots[engine->snapshot_count++] = version;
  return BITCASK_OK;
}

/* Writes that are appended and not yet published may have to keep what they supersede. */
static enum bitcask_status reserve_for_pending(struct engine *engine)
    REQUIRES(engine->write_lock) {
  for (struct pending_write *write = engine->pending_first; write != NULL; write = write->next)
    TRY(keydir_reserve(engine->keydir, write->hash, engine->pending_count, true));
  return BITCASK_OK;
}

enum bitcask_status snapshot_take(struct engine *engine, uint64_t *version, uint64_t *count) {
  mutex_lock(&engine->write_lock);
  *version = engine->published_version;
  enum bitcask_status status = reserve_for_pending(engine);
  if (status == BITCASK_OK) status = add_version(engine, *version);
  if (count != NULL) *count = keydir_count(engine->keydir);
  mutex_unlock(&engine->write_lock);
  return status;
}

static void remove_version(struct engine *engine, uint64_t version)
    REQUIRES(engine->write_lock) {
  size_t i = 0;
  while (engine->snapshots[i] != version) i++;
  size_t behind = engine->snapshot_count - i - 1;
  memmove(&engine->snapshots[i], &engine->snapshots[i + 1], behind * sizeof version);
  engine->snapshot_count--;
}

/* A copy of the open versions, to prune by without holding the lock. NULL: out of memory. */
static uint64_t *copy_versions(const struct engine *engine) REQUIRES(engine->write_lock) {
  uint64_t *copy = memory_new((engine->snapshot_count + 1) * sizeof *copy);
  if (copy != NULL && engine->snapshot_count > 0)
    memcpy(copy, engine->snapshots, engine->snapshot_count * sizeof *copy);
  return copy;
}

void snapshot_release(struct engine *engine, uint64_t version) {
  uint64_t *open = NULL;
  mutex_lock(&engine->write_lock);
  remove_version(engine, version);
  size_t count = engine->snapshot_count;
  uint64_t limit = engine->published_version;
  if (keydir_old_count(engine->keydir) > 0) open = copy_versions(engine);
  mutex_unlock(&engine->write_lock);
  /* Without memory for the copy the old entries stay until the next release. */
  if (open != NULL) keydir_prune(engine->keydir, open, count, limit);
  memory_free(open);
}
