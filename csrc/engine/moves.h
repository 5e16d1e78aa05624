/*
 * Moves: the live records of some segments, and where a merge has copied each to.
 *
 *   items   [ moves of the first segment . . ][ of the second . . . . ][ of the third ]
 *             rising by offset
 *
 * What is live is what the keydir leads to, so the keydir is walked, and each move put where it
 * belongs: how many a segment has is counted all the time. Keys are neither hashed nor compared.
 * A record that is superseded while the merge runs is copied in vain, and found out when its entry
 * is to be moved.
 *
 * Threads: collecting is safe beside readers and writers; the rest belongs to one thread.
 */
#ifndef BITCASK_ENGINE_MOVES_H
#define BITCASK_ENGINE_MOVES_H

#include "store/keydir.h"

/* Which segment it is from is told by the range that it stands in. */
struct move {
  uint64_t from; /* a place, but that it has the shard of the entry where the slot should be */
  uint32_t hash; /* of the entry, in that shard */
  uint32_t units; /* size of the record in units of 8 bytes */
  place to;       /* 0: not copied */
};

/* The moves of one segment: [first, end). */
struct moves_range {
  size_t first;
  size_t end;
};

struct moves {
  struct move *items;
  struct moves_range *ranges; /* of each segment */
};

/* A segment whose moves are wanted. It may not get new entries any more, as sealed ones do not. */
struct moves_source {
  uint32_t slot;
  size_t expected; /* so many entries lead to it, or fewer; where more do, it takes longer */
};

/* The entries that lead to these segments. What was collected before is gone. */
enum bitcask_status moves_collect(struct moves *moves, struct keydir *keydir,
                                  const struct moves_source *sources, size_t count);
void moves_release(struct moves *moves);

static inline uint64_t move_offset(const struct move *move) { return place_offset(move->from); }
static inline uint64_t move_size(const struct move *move) { return (uint64_t)move->units * 8; }
static inline uint64_t move_hash(const struct move *move) {
  return keydir_hash_of(place_slot(move->from), move->hash);
}
/* Where its record stands, in the segment that has this slot. */
static inline place move_from(const struct move *move, uint32_t slot) {
  return place_make(slot, move_offset(move), move->from & PLACE_EXPIRES);
}

#endif
