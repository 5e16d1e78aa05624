/*
 * How a key is looked up: from its hash to the entry in the keydir, and from there to the record,
 * whose own key decides.
 *
 * Threads: any. The caller holds the guard, or the write lock, which whoever takes segments away
 * passes through, too.
 */
#ifndef BITCASK_ENGINE_LOOKUP_H
#define BITCASK_ENGINE_LOOKUP_H

#include "engine/engine.h"

struct located {
  struct keydir_entry entry;
  struct segment *segment; /* valid as long as the guard is held */
  struct record record;    /* points into the segment's mapping or the scratch buffer */
};

/* Is the record that `entry` leads to one of `key`? OK: *out tells. ABSENT: of another key.
 * CORRUPT: it is damaged, or might be. The value itself is not checked. */
enum bitcask_status engine_examine(struct engine *engine, struct segment *segment,
                                   const struct keydir_entry *entry, bitcask_bytes key,
                                   struct bitcask_buffer *scratch, struct located *out);

/* The record at `offset`, whosever it is, of which only the place is known; out->entry is not
 * filled in but for that. CORRUPT: it is damaged. The value itself is not checked. */
enum bitcask_status engine_examine_at(struct segment *segment, uint64_t offset,
                                      struct bitcask_buffer *scratch, struct located *out);

/* Start loading the record that the entry leads to, if keydir_find_only has found one. */
void engine_prefetch(struct engine *engine, const struct keydir_entry *entry);

/* The newest published record of `key`, tombstones among entries being loaded included. ABSENT:
 * none. CORRUPT: out->entry is the damaged one. */
enum bitcask_status engine_locate_in(struct engine *engine, struct keydir *keydir,
                                     bitcask_bytes key, uint64_t hash,
                                     struct bitcask_buffer *scratch, struct located *out);
static inline enum bitcask_status engine_locate(struct engine *engine, bitcask_bytes key,
                                                uint64_t hash, struct bitcask_buffer *scratch,
                                                struct located *out) {
  return engine_locate_in(engine, engine->keydir, key, hash, scratch, out);
}

/* The same where `found` is what keydir_find_only has just told. */
enum bitcask_status engine_locate_found(struct engine *engine, const struct keydir_entry *found,
                                        bitcask_bytes key, uint64_t hash,
                                        struct bitcask_buffer *scratch, struct located *out);

/* Has what was located expired by now? */
static inline bool engine_has_expired(struct engine *engine, const struct record *record) {
  return record->expires != 0 &&
         record_has_expired(record, engine->disk->ops->now_ms(engine->disk));
}

/* The same as engine_locate, but what has expired is ABSENT. */
enum bitcask_status engine_locate_live(struct engine *engine, bitcask_bytes key, uint64_t hash,
                                       struct bitcask_buffer *scratch, struct located *out);

/* Does the value of the record at that place pass its check? Else CORRUPT. */
enum bitcask_status engine_check_value(struct engine *engine, const struct segment *segment,
                                       uint64_t offset, const struct record *record);

#endif
