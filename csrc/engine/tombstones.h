/*
 * Which tombstones of a merge are still needed: those for which a segment outside it holds
 * an older put of the same key. Keys are compared by a 64-bit hash; a collision keeps a
 * tombstone that could have gone.
 *
 * Threads: none of its own.
 */
#ifndef BITCASK_ENGINE_TOMBSTONES_H
#define BITCASK_ENGINE_TOMBSTONES_H

#include "store/segment.h"

struct tombstones {
  struct tombstone_slot *slots; /* open addressing; NULL while empty */
  size_t capacity;
  size_t count;
  size_t needed; /* so many of them were marked */
  uint64_t max_version;
  bool keep_all; /* something could not be read: drop none */
};

/* Can a record with these flags be all that hides an older one? A put that expires can: once
 * it has, whatever the clock says since. */
static inline bool tombstones_may_be(uint8_t flags) {
  return flags & (RECORD_TOMBSTONE | RECORD_EXPIRES);
}

void tombstones_init(struct tombstones *set);
void tombstones_release(struct tombstones *set);

/* Add the records of a segment of the merge that may be needed as tombstones: those with a
 * version above `oldest_put`, the lowest version of a put outside. A segment without a hint file
 * that holds bytes which are no record is suspect from then on. */
enum bitcask_status tombstones_collect(struct tombstones *set, struct segment *segment,
                                       store_identity store, uint64_t oldest_put);

/* Mark those for which `outside`, not part of the merge, holds an older put. */
enum bitcask_status tombstones_mark(struct tombstones *set, struct segment *outside,
                                    store_identity store);

/* Must this tombstone be kept? */
bool tombstones_is_needed(const struct tombstones *set, bitcask_bytes key, uint64_t version,
                          uint64_t oldest_put);

/* Is there none at all that must be kept? */
static inline bool tombstones_needs_none(const struct tombstones *set) {
  return !set->keep_all && set->needed == 0;
}

#endif
