/*
 * What of its inputs a merge has to keep: the records that are live, and the tombstones that
 * hide something outside.
 *
 * Threads: none of its own; belongs to the merge.
 */
#ifndef BITCASK_ENGINE_NEEDED_H
#define BITCASK_ENGINE_NEEDED_H

#include "engine/inputs.h"
#include "engine/moves.h"
#include "engine/tombstones.h"

struct needed {
  struct moves moves;
  struct tombstones tombstones;
  uint64_t oldest_put_outside;
};

/* Find out; each input gets the range of its moves. NOSPACE: there is no room for copies of what
 * is live. May be called again when the inputs have changed. */
enum bitcask_status needed_find(struct needed *needed, struct inputs *inputs);

/* Must this record, a tombstone or one that has expired, be kept as a tombstone? */
bool needed_as_tombstone(const struct needed *needed, const struct record *record);

/* Is nothing in the input needed but its live records? Then nobody has to look at the others.
 * Never so where damage was met: nobody knows all that it holds. */
bool needed_is_live_alone(const struct needed *needed, const struct input *input);

void needed_release(struct needed *needed);

#endif
