#include "engine/publish.h"

#include "base/mutant.h"
#include "engine/lookup.h"

/* How many writes of a group fall into each shard: that many entries may be new there. */
static enum bitcask_status reserve_group(struct engine *engine, const struct pending_write *writes,
                                         size_t count) REQUIRES(engine->write_lock) {
  uint32_t in_shard[KEYDIR_SHARDS] = {0};
  for (size_t i = 0; i < count; i++) in_shard[keydir_shard_of(writes[i].hash)]++;
  for (unsigned shard = 0; shard < KEYDIR_SHARDS; shard++)
    if (in_shard[shard] > 0)
      TRY(keydir_reserve(engine->keydir, keydir_hash_of(shard, 0),
                         engine->pending_count + in_shard[shard], engine->snapshot_count > 0));
  return BITCASK_OK;
}

static size_t count_expiring(const struct pending_write *writes, size_t count) {
  size_t expiring = 0;
  for (size_t i = 0; i < count; i++) expiring += writes[i].expires > 0;
  return expiring;
}

enum bitcask_status publish_reserve(struct engine *engine, const struct pending_write *writes,
                                    size_t count) {
  size_t expiring = count_expiring(writes, count);
  if (expiring > 0) TRY(expiry_reserve(&engine->expiry, engine->pending_count + expiring));
  return reserve_group(engine, writes, count);
}

enum bitcask_status publish_reserve_one(struct engine *engine, const struct pending_write *write,
                                        struct keydir_entry *found) {
  if (write->expires > 0) TRY(expiry_reserve(&engine->expiry, engine->pending_count + 1));
  return keydir_reserve_and_find(engine->keydir, write->hash, engine->pending_count + 1,
                                 engine->snapshot_count > 0, found);
}

/* Whether a snapshot can see what was written as `version`; then the entry that is replaced
 * is to be kept. */
static bool is_seen_by_snapshot(const struct engine *engine, uint64_t version)
    REQUIRES(engine->write_lock) {
  size_t count = engine->snapshot_count;
  return count > 0 && !MUTANT(SUPERSEDED_FORGOTTEN) && engine->snapshots[count - 1] >= version;
}

/* Merges count in the segments that they write, and a put never goes to one of those. */
static void count_put(struct segment *segment, uint64_t size) {
  engine_add(&segment->live_bytes, size);
  engine_add(&segment->live_records, 1);
}

/* Put the new entry in the place of the one that was found, or remove that one. False: a
 * merge has moved it meanwhile. */
static bool supersede(struct engine *engine, const struct pending_write *write,
                      const struct located *old, uint64_t born) REQUIRES(engine->write_lock) {
  struct keydir_old keep = {
      .entry = old->entry, .born = born, .died = write->version, .segment = old->segment};
  const struct keydir_old *kept = is_seen_by_snapshot(engine, born) ? &keep : NULL;
  bool is_done = write->is_tombstone
                     ? keydir_remove(engine->keydir, write->hash, old->entry.at, kept)
                     : keydir_replace(engine->keydir, write->hash, old->entry.at, write->at,
                                      write->size, kept);
  if (is_done) {
    engine_count_dead(old->segment, keydir_entry_size(&old->entry));
    engine_count_died(engine, keydir_entry_size(&old->entry));
  }
  return is_done;
}

/* Let readers see a write. Cannot fail: room was reserved before the append. */
void publish_now(struct engine *engine, const struct pending_write *write,
                 const struct keydir_entry *found) {
  struct bitcask_buffer scratch = {0};
  struct located old;
  if (!write->is_tombstone) count_put(engine_segment(engine, write->at), write->size);
  for (;; found = NULL) {
    enum bitcask_status status =
        found != NULL
            ? engine_locate_found(engine, found, write->key, write->hash, &scratch,
                                  &old)
            : engine_locate(engine, write->key, write->hash, &scratch, &old);
    /* A record under the key's own hash that cannot be read, or is damaged, is taken for the
     * key's: with a hash worth its name it is. Under a poor one it stays, as damage of an
     * unknown key; and where only reading failed the two could be told apart, but not now, so
     * that the next open has to do it. */
    bool is_unreadable = status != BITCASK_OK && status != BITCASK_ABSENT;
    bool is_found = status == BITCASK_OK || (is_unreadable && engine->hash.built_in != NULL);
    if (is_unreadable && !is_found && status != BITCASK_CORRUPT) engine_stop(engine, status);
    uint64_t born = status == BITCASK_OK ? old.record.version : 1;
    if (is_found && supersede(engine, write, &old, born)) break;
    if (is_found) continue;
    if (!write->is_tombstone)
      keydir_insert(engine->keydir, write->hash, write->at, write->size);
    break;
  }
  buffer_release(&scratch);
  engine_add(write->is_tombstone ? &engine->counters.deletes : &engine->counters.puts, 1);
  if (write->expires > 0) expiry_add(&engine->expiry, write->expires, write->hash);
  if (write->version > engine->published_version) engine->published_version = write->version;
}

void publish_durable(struct engine *engine) {
  uint64_t durable = atomic_load(&engine->durable_ticket), published = 0;
  while (engine->pending_first != NULL && engine->pending_first->ticket <= durable) {
    struct pending_write *write = engine->pending_first;
    publish_now(engine, write, NULL);
    published = write->ticket;
    engine->pending_first = write->next;
    if (engine->pending_first == NULL) engine->pending_last = &engine->pending_first;
    engine->pending_count--;
  }
  /* Last: who is told goes on, and with it goes the memory of its write. */
  if (published > 0) commit_tell(&engine->commit, published);
}

void publish_later(struct engine *engine, struct pending_write *write) {
  *engine->pending_last = write;
  engine->pending_last = &write->next;
  engine->pending_count++;
}

void publish_never(struct engine *engine, const struct pending_write *write) {
  struct pending_write **at = &engine->pending_first;
  while (*at != NULL && *at != write) at = &(*at)->next;
  if (*at == NULL) return;
  *at = write->next;
  if (*at == NULL) engine->pending_last = at;
  engine->pending_count--;
}

/* ---- Expiring ---- */

/* Is this the entry of a record that has expired, and when? One that cannot be read has not. */
static bool has_expired(struct engine *engine, const struct keydir_entry *entry, uint64_t now,
                        struct bitcask_buffer *scratch, uint64_t *when) {
  if (!(entry->at & PLACE_EXPIRES)) return false;
  struct located located;
  struct segment *segment = engine_segment(engine, entry->at);
  /* An empty key: the header is checked, and the answer is that it is another's. */
  enum bitcask_status status =
      engine_examine(engine, segment, entry, bytes_of(NULL, 0), scratch, &located);
  if (status != BITCASK_OK && status != BITCASK_ABSENT) return false;
  *when = located.record.expires;
  return record_has_expired(&located.record, now);
}

enum removal { NOTHING_EXPIRED, REMOVED, MOVED };

/* Remove one expired entry among these. MOVED: a merge was faster, and it stands elsewhere. */
static enum removal remove_among(struct engine *engine, const struct keydir_matches *matches,
                                 uint64_t hash, uint64_t now, struct bitcask_buffer *scratch)
    REQUIRES(engine->write_lock) {
  for (unsigned i = 0; i < matches->count; i++) {
    const struct keydir_entry *entry = &matches->entries[i];
    uint64_t when = 0;
    if (!has_expired(engine, entry, now, scratch, &when)) continue;
    struct segment *segment = engine_segment(engine, entry->at);
    if (!keydir_remove(engine->keydir, hash, entry->at, NULL)) return MOVED;
    engine_count_dead(segment, keydir_entry_size(entry));
    segment_count_expired(segment, keydir_entry_size(entry), when);
    engine_count_died(engine, keydir_entry_size(entry));
    return REMOVED;
  }
  return NOTHING_EXPIRED;
}

/* Remove every expired entry of the hash, for snapshots, too. Each removal changes what stands
 * where, so the look begins anew after it. False: the keydir cannot be looked into. */
static bool remove_expired(struct engine *engine, uint64_t hash, uint64_t now)
    REQUIRES(engine->write_lock) {
  struct bitcask_buffer scratch = {0};
  struct keydir_matches matches;
  unsigned first = 0;
  guard_token token = guard_enter(&engine->guard);
  do {
    keydir_find(engine->keydir, hash, first, &matches);
    enum removal removal = remove_among(engine, &matches, hash, now, &scratch);
    first = removal == NOTHING_EXPIRED ? first + KEYDIR_MATCHES : 0;
  } while (first == 0 || matches.more);
  guard_leave(token);
  buffer_release(&scratch);
  return matches.status == BITCASK_OK;
}

void publish_expired(struct engine *engine) {
  if (!expiry_is_used(&engine->expiry)) return;
  uint64_t now = engine->disk->ops->now_ms(engine->disk);
  struct expiry_item item;
  while (expiry_take_due(&engine->expiry, now, &item)) {
    if (remove_expired(engine, item.hash, now)) continue;
    expiry_add(&engine->expiry, item.expires, item.hash); /* into the room it came from */
    return;
  }
}

void engine_expire(struct engine *engine) {
  if (!expiry_is_used(&engine->expiry)) return;
  if (!expiry_is_due(&engine->expiry, engine->disk->ops->now_ms(engine->disk))) return;
  mutex_lock(&engine->write_lock);
  publish_expired(engine);
  mutex_unlock(&engine->write_lock);
}
