#include "engine/load.h"

#include "store/hint_file.h"

/* What of a record decides about its entry. */
struct loaded {
  struct segment *segment;
  bitcask_bytes key;
  uint64_t version;
  uint64_t offset;
  uint64_t size;
  uint64_t expires;
  uint8_t flags;
};

/* A record that has expired hides what is older, as a tombstone does, and like one it is no
 * entry once everything is loaded. */
static bool is_gone(const struct loaded *loaded, uint64_t now) {
  return (loaded->flags & RECORD_TOMBSTONE) ||
         ((loaded->flags & RECORD_EXPIRES) && loaded->expires <= now);
}

static place place_of(const struct loaded *loaded, bool gone) {
  uint64_t marks = (gone ? PLACE_TOMBSTONE : 0) |
                   (loaded->flags & RECORD_EXPIRES ? PLACE_EXPIRES : 0);
  return place_make(loaded->segment->slot, loaded->offset, marks);
}

static void count_new(struct engine *engine, const struct loaded *loaded, uint64_t hash,
                      bool gone) {
  if (!gone) engine_count_live(loaded->segment, loaded->size);
  if (gone && !(loaded->flags & RECORD_TOMBSTONE))
    segment_count_expired(loaded->segment, loaded->size, loaded->expires);
  if (!gone && (loaded->flags & RECORD_EXPIRES))
    expiry_add(&engine->expiry, loaded->expires, hash);
}

static void count_old(const struct located *old) {
  if (!(old->entry.at & PLACE_TOMBSTONE))
    engine_count_dead(old->segment, keydir_entry_size(&old->entry));
}

/* Is the record newer than the one that is there? Of a damaged one only the bounds are
 * known; in doubt it stays, so that nobody reads an older value in its place. */
static bool is_newer(const struct loaded *loaded, const struct located *old,
                     enum bitcask_status status) {
  if (status == BITCASK_OK) return loaded->version > old->record.version;
  return loaded->version > old->segment->facts.max_version;
}

static enum bitcask_status load_entry(struct engine *engine, const struct loaded *loaded,
                                      uint64_t now, struct bitcask_buffer *scratch) {
  uint64_t hash = 0;
  struct located old;
  bool gone = is_gone(loaded, now);
  if (loaded->flags & RECORD_EXPIRES) TRY(expiry_reserve(&engine->expiry, 1));
  TRY(hash_of(&engine->hash, loaded->key, &hash));
  enum bitcask_status status = engine_locate(engine, loaded->key, hash, scratch, &old);
  if (status == BITCASK_ABSENT) {
    TRY(keydir_reserve(engine->keydir, hash, 1, false));
    keydir_insert(engine->keydir, hash, place_of(loaded, gone), loaded->size);
    count_new(engine, loaded, hash, gone);
    return BITCASK_OK;
  }
  if (status != BITCASK_OK && status != BITCASK_CORRUPT) return status;
  if (!is_newer(loaded, &old, status)) return BITCASK_OK;
  keydir_replace(engine->keydir, hash, old.entry.at, place_of(loaded, gone), loaded->size, NULL);
  count_old(&old);
  count_new(engine, loaded, hash, gone);
  return BITCASK_OK;
}

static enum bitcask_status load_hint(struct engine *engine, struct segment *segment,
                                     struct hint_file *hint) {
  struct bitcask_buffer scratch = {0};
  struct hint_entry entry;
  enum bitcask_status status = BITCASK_OK;
  uint64_t now = engine->disk->ops->now_ms(engine->disk);
  while (status == BITCASK_OK && hint_next_entry(&hint->entries, &entry)) {
    struct loaded loaded = {segment,    entry.key,     entry.version, entry.offset,
                            entry.size, entry.expires, entry.flags};
    status = load_entry(engine, &loaded, now, &scratch);
  }
  bitcask_buffer_release(&scratch);
  return status;
}

/* Do all entries lie within the segment? Their check passed, so this is about our own
 * mistakes; but nothing is loaded before the whole of it makes sense. */
static bool is_plausible(const struct hint_file *hint, const struct segment_facts *facts) {
  struct coding_reader entries = hint->entries;
  struct hint_entry entry;
  uint64_t count = 0;
  while (hint_next_entry(&entries, &entry)) {
    if (entry.offset < HEADER_SIZE || entry.size == 0 || entry.offset > facts->length ||
        entry.size > facts->length - entry.offset)
      return false;
    count++;
  }
  return !entries.failed && count == facts->records;
}

enum bitcask_status load_segment(struct engine *engine, struct segment *segment,
                                 bool *used_hint) {
  struct hint_file hint;
  *used_hint = false;
  if (hint_file_load(engine->directory, engine->manifest.store, &segment->facts, &hint) ==
      BITCASK_OK) {
    enum bitcask_status status = BITCASK_OK;
    *used_hint = is_plausible(&hint, &segment->facts);
    if (*used_hint) status = load_hint(engine, segment, &hint);
    hint_file_release(&hint);
    if (*used_hint) return status;
  }
  struct segment_facts found;
  TRY(load_records(engine, segment, segment->facts.length, &found));
  if (found.records != segment->facts.records || found.digest != segment->facts.digest) {
    segment->is_suspect = true;
    engine_report_damage(engine, segment->facts.id, 0, 0,
                         "the segment does not hold the records that were written to it");
  }
  return BITCASK_OK;
}

static enum bitcask_status load_scanned(struct engine *engine, const struct segment_scan *scan,
                                        struct segment_facts *facts, uint64_t now,
                                        struct bitcask_buffer *scratch) {
  const struct record *record = &scan->record;
  struct loaded loaded = {scan->segment, record->key,     record->version, scan->offset,
                          scan->size,    record->expires, record->flags};
  segment_count_record(facts, record);
  return load_entry(engine, &loaded, now, scratch);
}

enum bitcask_status load_records(struct engine *engine, struct segment *segment, uint64_t end,
                                 struct segment_facts *facts) {
  struct segment_scan scan;
  struct bitcask_buffer scratch = {0};
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  uint64_t now = engine->disk->ops->now_ms(engine->disk);
  *facts = segment_facts_empty(segment->facts.id, segment->facts.created_ms);
  segment_scan_init(&scan, segment, end, false);
  enum bitcask_status status;
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK && kind != SEGMENT_SCAN_END) {
    if (kind == SEGMENT_SCAN_RECORD) {
      status = load_scanned(engine, &scan, facts, now, &scratch);
    } else {
      segment->is_suspect = true;
      engine_report_damage(engine, segment->facts.id, scan.offset, scan.size,
                           "bytes that are no record");
    }
    if (status != BITCASK_OK) break;
  }
  facts->length = end;
  segment_scan_release(&scan);
  bitcask_buffer_release(&scratch);
  return status;
}

void load_finish(struct engine *engine) {
  for (unsigned shard = 0; shard < KEYDIR_SHARDS; shard++)
    keydir_drop_tombstones(engine->keydir, shard);
}
