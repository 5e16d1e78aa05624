#include "engine/lookup.h"

#include <inttypes.h>

#include "base/mutant.h"
#include "format/filename.h"

enum { CACHE_LINE = 64, AHEAD_SIZE_MAX = 512 }; /* of a record, what is loaded ahead */

void engine_prefetch(struct engine *engine, const struct keydir_entry *entry) {
  if (entry->at == 0 || entry->at == KEYDIR_UNSURE) return;
  const uint8_t *map = engine_segment(engine, entry->at)->file->map;
  if (map == NULL) return;
  const uint8_t *record = map + place_offset(entry->at);
  uint64_t size = keydir_entry_size(entry);
  if (size > AHEAD_SIZE_MAX) size = AHEAD_SIZE_MAX;
  for (uint64_t at = 0; at < size; at += CACHE_LINE) __builtin_prefetch(record + at);
}

static enum bitcask_status damaged(const struct segment *segment, uint64_t offset,
                                   const char *what) {
  return status_fail(BITCASK_CORRUPT, "%s: %s of the record at %" PRIu64 " fails its check",
                     filename_of_segment(segment->facts.id).text, what, offset);
}

static enum bitcask_status refuse_header(const struct segment *segment, uint64_t offset) {
  return damaged(segment, offset, "the header");
}

enum bitcask_status engine_examine(struct engine *engine, struct segment *segment,
                                   const struct keydir_entry *entry, bitcask_bytes key,
                                   struct bitcask_buffer *scratch, struct located *out) {
  uint64_t offset = place_offset(entry->at);
  size_t size = (size_t)keydir_entry_size(entry);
  const uint8_t *bytes = NULL;
  out->entry = *entry;
  out->segment = segment;
  TRY(segment_view(segment, offset, size, scratch, &bytes));
  if (!record_parse_whole(bytes, size, &out->record)) return refuse_header(segment, offset);
  bool is_same = bytes_equal(out->record.key, key);
  /* Of another key only if the key can be trusted. */
  if ((engine->options.verify || !is_same) &&
      !record_header_is_intact(&out->record, bytes, segment->salt, offset))
    return refuse_header(segment, offset);
  return is_same ? BITCASK_OK : BITCASK_ABSENT;
}

enum bitcask_status engine_examine_at(struct segment *segment, uint64_t offset,
                                      struct bitcask_buffer *scratch, struct located *out) {
  const uint8_t *bytes = NULL;
  uint64_t size = 0;
  out->segment = segment;
  out->entry.at = place_make(0, offset, 0);
  TRY(segment_view(segment, offset, RECORD_FIXED_SIZE, scratch, &bytes));
  if (!record_peek(bytes, RECORD_FIXED_SIZE, &size) ||
      size > disk_file_size(segment->file) - offset)
    return refuse_header(segment, offset);
  TRY(segment_view(segment, offset, (size_t)size, scratch, &bytes));
  if (!record_parse(bytes, (size_t)size, &out->record) ||
      !record_header_is_intact(&out->record, bytes, segment->salt, offset))
    return refuse_header(segment, offset);
  return BITCASK_OK;
}

/* Which of these is the record of `key`? OK: *out tells. ABSENT: none. CORRUPT: a damaged one,
 * in *out, may be. */
static enum bitcask_status locate_among(struct engine *engine, const struct keydir_matches *matches,
                                        bitcask_bytes key, struct bitcask_buffer *scratch,
                                        struct located *out) {
  const struct keydir_entry *damaged_one = NULL;
  for (unsigned i = 0; i < matches->count; i++) {
    const struct keydir_entry *entry = &matches->entries[i];
    enum bitcask_status status =
        engine_examine(engine, engine_segment(engine, entry->at), entry, key, scratch, out);
    if (status == BITCASK_CORRUPT) damaged_one = entry;
    if (status != BITCASK_CORRUPT && status != BITCASK_ABSENT) return status;
  }
  if (damaged_one == NULL) return BITCASK_ABSENT;
  out->entry = *damaged_one;
  out->segment = engine_segment(engine, damaged_one->at);
  return BITCASK_CORRUPT;
}

/* Several entries have the hash, or its shard has to be woken: go through them part by part. */
static SELDOM enum bitcask_status locate_in_parts(struct engine *engine, struct keydir *keydir,
                                                  bitcask_bytes key, uint64_t hash,
                                                  struct bitcask_buffer *scratch,
                                                  struct located *out) {
  struct keydir_matches matches;
  struct located damaged_one;
  uint64_t stamp = 0;
  bool is_damaged = false;
  for (unsigned first = 0;; first += KEYDIR_MATCHES) {
    keydir_find(keydir, hash, first, &matches);
    if (matches.status != BITCASK_OK) return matches.status;
    if (first == 0) stamp = matches.stamp;
    enum bitcask_status status = locate_among(engine, &matches, key, scratch, out);
    if (status != BITCASK_ABSENT && status != BITCASK_CORRUPT) return status;
    if (status == BITCASK_CORRUPT) {
      is_damaged = true;
      damaged_one = *out;
    }
    if (matches.more) continue;
    if (first > 0 && matches.stamp != stamp) { /* entries may have moved past us */
      first = (unsigned)-KEYDIR_MATCHES;
      is_damaged = false;
      continue;
    }
    break;
  }
  if (!is_damaged) return BITCASK_ABSENT;
  *out = damaged_one;
  return BITCASK_CORRUPT;
}

/* Where `found` is what a look for the hash has told. */
INLINE enum bitcask_status locate(struct engine *engine, struct keydir *keydir,
                                  const struct keydir_entry *found, bitcask_bytes key,
                                  uint64_t hash, struct bitcask_buffer *scratch,
                                  struct located *out) {
  if (found->at == 0) return BITCASK_ABSENT;
  if (found->at == KEYDIR_UNSURE)
    return locate_in_parts(engine, keydir, key, hash, scratch, out);
  return engine_examine(engine, engine_segment(engine, found->at), found, key, scratch, out);
}

enum bitcask_status engine_locate_found(struct engine *engine, const struct keydir_entry *found,
                                        bitcask_bytes key, uint64_t hash,
                                        struct bitcask_buffer *scratch, struct located *out) {
  return locate(engine, engine->keydir, found, key, hash, scratch, out);
}

enum bitcask_status engine_locate_in(struct engine *engine, struct keydir *keydir,
                                     bitcask_bytes key, uint64_t hash,
                                     struct bitcask_buffer *scratch, struct located *out) {
  struct keydir_entry found = keydir_find_only(keydir, hash);
  engine_prefetch(engine, &found);
  return locate(engine, keydir, &found, key, hash, scratch, out);
}

enum bitcask_status engine_locate_live(struct engine *engine, bitcask_bytes key, uint64_t hash,
                                       struct bitcask_buffer *scratch, struct located *out) {
  TRY(engine_locate(engine, key, hash, scratch, out));
  return engine_has_expired(engine, &out->record) ? BITCASK_ABSENT : BITCASK_OK;
}

enum bitcask_status engine_check_value(struct engine *engine, const struct segment *segment,
                                       uint64_t offset, const struct record *record) {
  if (!engine->options.verify || record_value_is_intact(record) || MUTANT(VALUE_UNCHECKED))
    return BITCASK_OK;
  return damaged(segment, offset, "the value");
}
