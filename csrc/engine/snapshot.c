#include "engine/snapshot.h"

#include "engine/publish.h"

static enum bitcask_status add_version(struct engine *engine, uint64_t version)
    REQUIRES(engine->write_lock) {
  if (engine->snapshot_count == engine->snapshot_capacity) {
    size_t capacity = engine->snapshot_capacity * 2 + 8;
    uint64_t *snapshots = memory_resize(engine->snapshots, capacity, sizeof *snapshots);
    if (snapshots == NULL) return BITCASK_NOMEMORY;
    engine->snapshots = snapshots;
    engine->snapshot_capacity = capacity;
  }
  size_t at = engine->snapshot_count++;
  for (; at > 0 && engine->snapshots[at - 1] > version; at--)
    engine->snapshots[at] = engine->snapshots[at - 1];
  engine->snapshots[at] = version;
  return BITCASK_OK;
}

/* Writes that are appended and not yet published may have to keep what they supersede. */
static enum bitcask_status reserve_for_pending(struct engine *engine)
    REQUIRES(engine->write_lock) {
  for (struct pending_write *write = engine->pending_first; write != NULL; write = write->next)
    TRY(keydir_reserve(engine->keydir, write->hash, engine->pending_count, true));
  return BITCASK_OK;
}

static enum bitcask_status take(struct engine *engine, uint64_t version)
    REQUIRES(engine->write_lock) {
  TRY(reserve_for_pending(engine));
  return add_version(engine, version);
}

enum bitcask_status snapshot_take(struct engine *engine, uint64_t *version) {
  mutex_lock(&engine->write_lock);
  *version = engine->published_version;
  enum bitcask_status status = take(engine, *version);
  mutex_unlock(&engine->write_lock);
  return status;
}

enum bitcask_status snapshot_take_counting(struct engine *engine, uint64_t *version,
                                           uint64_t *count, bool *has_expiring) {
  mutex_lock(&engine->write_lock);
  publish_expired(engine);
  *version = engine->published_version;
  *count = keydir_count(engine->keydir);
  *has_expiring = expiry_is_used(&engine->expiry);
  enum bitcask_status status = take(engine, *version);
  mutex_unlock(&engine->write_lock);
  return status;
}

enum bitcask_status snapshot_take_again(struct engine *engine, uint64_t version) {
  mutex_lock(&engine->write_lock);
  enum bitcask_status status = take(engine, version);
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

/* Pruning looks at every old entry. So it is done when the last snapshot is gone, and else
 * once for so many releases that each pays for a bounded number of looks. */
static bool is_prune_due(struct engine *engine) REQUIRES(engine->write_lock) {
  enum { LOOKS_PER_RELEASE = 256 };
  uint64_t olds = keydir_old_count(engine->keydir);
  engine->releases++;
  if (olds == 0) return false;
  if (engine->snapshot_count > 0 && engine->releases * LOOKS_PER_RELEASE < olds) return false;
  engine->releases = 0;
  return true;
}

void snapshot_release(struct engine *engine, uint64_t version) {
  uint64_t *open = NULL;
  mutex_lock(&engine->write_lock);
  remove_version(engine, version);
  size_t count = engine->snapshot_count;
  uint64_t limit = engine->published_version;
  if (is_prune_due(engine)) open = copy_versions(engine);
  mutex_unlock(&engine->write_lock);
  /* Without memory for the copy the old entries stay until the next release. */
  if (open != NULL) keydir_prune(engine->keydir, open, count, limit);
  memory_free(open);
}

/* ---- Looking up ---- */

/* The one of these old entries that is the key's: it is pinned, the others are let go. */
static enum bitcask_status choose_old(struct engine *engine, const struct keydir_matches *matches,
                                      struct segment *segments[KEYDIR_MATCHES], bitcask_bytes key,
                                      struct bitcask_buffer *scratch, struct located *out,
                                      struct segment **pinned) {
  enum bitcask_status result = BITCASK_ABSENT;
  for (unsigned i = 0; i < matches->count; i++) {
    enum bitcask_status status = BITCASK_ABSENT;
    if (*pinned == NULL)
      status = engine_examine(engine, segments[i], &matches->entries[i], key, scratch, out);
    if (status == BITCASK_ABSENT) {
      segment_unref(segments[i]);
      continue;
    }
    *pinned = segments[i];
    result = status;
  }
  return result;
}

/* Among the entries that were superseded since. At most one was the newest at `version`. Pages
 * of them are gone through anew when pruning has moved them meanwhile. */
static enum bitcask_status locate_old(struct engine *engine, uint64_t version, bitcask_bytes key,
                                      uint64_t hash, struct bitcask_buffer *scratch,
                                      struct located *out, struct segment **pinned) {
  struct keydir_matches matches;
  struct segment *segments[KEYDIR_MATCHES];
  uint64_t stamp = 0;
  unsigned first = 0;
  for (;;) {
    keydir_find_old(engine->keydir, hash, version, first, &matches, segments);
    if (first == 0) stamp = matches.stamp;
    enum bitcask_status status =
        choose_old(engine, &matches, segments, key, scratch, out, pinned);
    if (*pinned != NULL) return status;
    if (first > 0 && matches.stamp != stamp) {
      first = 0;
      continue;
    }
    if (!matches.more) return BITCASK_ABSENT;
    first += KEYDIR_MATCHES;
  }
}

enum bitcask_status snapshot_locate(struct engine *engine, uint64_t version, bitcask_bytes key,
                                    uint64_t hash, struct bitcask_buffer *scratch,
                                    struct located *out, struct segment **pinned) {
  *pinned = NULL;
  struct located current;
  /* The current entry first: one that is superseded between the two looks is among the old
   * ones by the second. */
  enum bitcask_status status = engine_locate(engine, key, hash, scratch, &current);
  if (status != BITCASK_OK || current.record.version > version) {
    enum bitcask_status old = locate_old(engine, version, key, hash, scratch, out, pinned);
    if (old == BITCASK_ABSENT && status == BITCASK_CORRUPT) *out = current;
    status = old == BITCASK_ABSENT && status == BITCASK_CORRUPT ? BITCASK_CORRUPT : old;
  } else {
    *out = current;
  }
  if (status == BITCASK_OK && engine_has_expired(engine, &out->record)) status = BITCASK_ABSENT;
  return status;
}
