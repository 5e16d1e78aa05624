/*
 * Copying: what is needed of a merge's inputs goes into its outputs, with its version.
 *
 *   input    . d d L d L L d d d d L T d      L live, T tombstone, d dead
 *   scan     -------------------------->      where tombstones, or what has expired, may be needed
 *   leap          >  > >         >            where nothing but the live records is
 *   unread                                    where not even those are
 *
 * Every record that is copied is checked: header, key and value. What is dropped is not looked
 * at where one can do without; so damage among dead records may go unnoticed, and with them. An
 * input in which damage is met, or whose records somebody found unreadable, leaves the merge: it
 * stays in the store as it is, is reported, and the merge begins again without it.
 *
 * Threads: none of its own; belongs to the merge, whose progress others may read.
 */
#ifndef BITCASK_ENGINE_COPYING_H
#define BITCASK_ENGINE_COPYING_H

#include "engine/read_ahead.h"
#include "engine/inputs.h"
#include "engine/needed.h"
#include "engine/outputs.h"
#include "engine/verdicts.h"

enum copying_state {
  COPYING,
  COPYING_ASKS,   /* what is to become of the record that it stands at */
  COPYING_SPOILT, /* an input was left out: all has to begin again */
  COPYING_ENDED
};

/* What was dropped from an input that is leapt through, judged by what was not. */
struct leap {
  uint64_t next_version; /* every version below it was seen, or is missing */
  uint64_t missing;      /* the highest that is, 0: none */
  bool is_rising;        /* the records seen so far come in the order of their versions */
};

struct copying {
  struct engine *engine;
  struct inputs *inputs;
  const struct needed *needed;
  struct outputs outputs;
  struct verdicts verdicts;
  bool asks; /* somebody is to say what becomes of each live record */
  enum copying_state state;

  size_t current; /* input */
  size_t next_move;
  bool is_reading; /* the current one, by `scan` */
  bool is_leaping;
  struct segment_scan scan;
  struct leap leap;
  struct read_ahead ahead;

  uint64_t dropped_version; /* of a record that is not copied: none has a higher one */
  uint64_t records_kept, records_dropped, tombstones_kept, tombstones_dropped;
  uint64_t segments_damaged; /* left out, all in all */
  uint64_t bytes_read;
  atomic_uint_least64_t bytes_done, bytes_total;
};

/* Begin, or begin again when the inputs, or what is needed of them, have changed. */
void copying_begin(struct copying *copying);

/* One record more, or one input. */
enum bitcask_status copying_step(struct copying *copying);

/* In COPYING_ASKS: the record in question is scan.record. It stays; or it is deleted, or gets this
 * value, before the merge is committed. */
enum bitcask_status copying_answer(struct copying *copying, enum bitcask_verdict verdict,
                                   bitcask_bytes value);

/* Undo what was done, and forget what was said: it will be said again. */
void copying_undo(struct copying *copying);

#endif
