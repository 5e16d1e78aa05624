/*
 * A walk straight through the segments, from one end to the other, where all that stands in them
 * is live: then a snapshot sees just those of their records that are not newer than it, and
 * nothing has to be gathered from the keydir and put in order.
 *
 *   as many entries as records   every entry leads to a record of its own, so every record is one's
 *   no old entry                 nothing that was replaced or deleted since is seen by a snapshot
 *
 * Both are true at one moment, at which the segments are taken hold of; what is written, deleted
 * or merged later changes nothing in them.
 *
 * Threads: whoever owns the walk; writers and merges go on beside it.
 */
#ifndef BITCASK_ENGINE_STRAIGHT_H
#define BITCASK_ENGINE_STRAIGHT_H

#include "engine/engine.h"
#include "engine/read_ahead.h"

struct straight {
  struct bitcask_buffer parts; /* struct straight_part, in the order of the walk */
  size_t next;                 /* part: the one that is gone through is before it */
  struct segment_scan scan;
  bool is_scanning;
  bool keys_only;
};

/* Begin one over what a snapshot sees that was open before. ABSENT: there are dead records, or it
 * cannot be known that there are none; or only keys are wanted, of records so large that most of
 * what stands there would be read in vain. All zeros is none that has begun. */
enum bitcask_status straight_begin(struct straight *straight, struct engine *engine,
                                   bool keys_only) EXCLUDES(engine->write_lock);

/* The next record, newer ones than the snapshot sees included, and where it stands; it can be read
 * until the one after it is asked for. *record NULL: there are bytes that are none. ABSENT: that
 * was all. */
enum bitcask_status straight_next(struct straight *straight, struct stop *stop,
                                  const struct record **record);

/* `unpin`: let go of the segments, too; not in a forked child, whose parent they belong to. */
void straight_release(struct straight *straight, bool unpin);

#endif
