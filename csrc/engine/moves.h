/*
 * Moves: the live records of some segments, and where a merge has copied each to.
 *
 * What is live is what the keydir leads to, so the keydir is walked once; keys are neither
 * hashed nor compared. A record that is superseded while the merge runs is copied in vain,
 * and found out when its entry is to be moved.
 *
 * Threads: collecting is safe beside readers and writers; the rest belongs to one thread.
 */
#ifndef BITCASK_ENGINE_MOVES_H
#define BITCASK_ENGINE_MOVES_H

#include "store/keydir.h"

struct move {
  uint64_t hash;
  place from;
  place to; /* 0: not copied */
  uint64_t size;
};

struct moves {
  struct move *items; /* by slot and offset of `from` */
  size_t count;
  size_t capacity;
};

/* Those of one segment: [first, end). */
struct moves_range {
  size_t first;
  size_t end;
};

/* The entries that lead to segments whose slot is flagged; `slots` flags are there. */
enum bitcask_status moves_collect(struct moves *moves, struct keydir *keydir,
                                  const uint8_t *flags, uint32_t slots);
void moves_release(struct moves *moves);

struct moves_range moves_of_slot(const struct moves *moves, uint32_t slot);

#endif
