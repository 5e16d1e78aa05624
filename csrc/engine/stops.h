/*
 * The stops of a walk over what a snapshot sees: where its records stand, group by group of
 * the keydir's shards, each group in the order of the files. So a walk goes through the
 * files as they lie, now and then anew, and each time meets a large part of what is in them.
 *
 * The first group is one shard, so that a walk that is soon left costs little; each has 32
 * times as many shards as the one before, and ends with the shard that brings it to a million
 * stops.
 *
 * Threads: whoever owns the stops; gathering goes on beside writers and merges.
 */
#ifndef BITCASK_ENGINE_STOPS_H
#define BITCASK_ENGINE_STOPS_H

#include "engine/read_ahead.h"
#include "engine/engine.h"

struct stops {
  struct bitcask_buffer places;  /* place, the number of a pin in it instead of a slot */
  struct bitcask_buffer spare;   /* to sort with */
  struct bitcask_buffer olds;    /* struct keydir_old, of one shard */
  struct bitcask_buffer pins;    /* struct segment *, referenced */
  struct bitcask_buffer numbers; /* uint32_t: by slot, the number of its pin and one more */
  size_t next;
  struct read_ahead ahead;
  unsigned next_shard;
  unsigned group_shards; /* how many the last group was to have */
};

/* All zeros is a walk that has not begun. `unpin`: let go of the segments, too; not in a forked
 * child, whose parent they belong to. */
void stops_release(struct stops *stops, bool unpin);

/* The next stop of what `version`, a snapshot that is open, sees; its segment is held until the
 * stop after the last of its group is asked for. ABSENT: that was the last. */
enum bitcask_status stops_next(struct stops *stops, struct engine *engine, uint64_t version,
                               struct stop *out);

#endif
