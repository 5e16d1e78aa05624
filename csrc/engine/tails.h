/*
 * Tails: the segments that were open when a store was not closed, and where their writes end.
 *
 * Writes went to one after the other, and nothing was flushed in a later one before all earlier
 * ones were durable. Their versions follow each other without a gap, from one segment to the
 * next, and from what is sealed to the first, so what is lost at the end of one shows in the next.
 *
 * Bad bytes, or missing writes, mean one of three things:
 *   - nothing valid stands behind them: a torn tail, dropped;
 *   - valid records stand behind them, and the machine was not started anew since, or one of
 *     them tells that the place was durable before: damage, reported, all else kept;
 *   - else the system wrote later pages before earlier ones when the power was cut: what
 *     stands behind the hole, in this segment and in all later ones, was never promised, and is
 *     dropped, so that what remains is what had been written up to some moment.
 *
 * Threads: during open only.
 */
#ifndef BITCASK_ENGINE_TAILS_H
#define BITCASK_ENGINE_TAILS_H

#include "engine/engine.h"
#include "engine/restore.h"

struct tail {
  struct segment *segment; /* for a reader, read as one that may grow; referenced */
  uint64_t end;            /* where its writes end; HEADER_SIZE where none counts */

  /* what reading to the end of it told */
  uint64_t good_end;   /* of the last whole write before the first bad bytes */
  uint64_t first_bad;  /* 0: none */
  uint64_t later_end;  /* of the last intact record behind them; 0: none */
  uint64_t later_records;
  uint64_t durable;    /* some record tells that this much was durable */
  uint64_t used_end;   /* behind it there is nothing but zeros */
  uint64_t records;    /* that could be read, but for those that a checkpoint tells of */
  uint64_t first_version;     /* of all; 0: there is none */
  uint64_t good_version;      /* of the last whole write before the first bad bytes */
  uint64_t later_version;     /* of the last intact record behind them */
  uint64_t newest_version;    /* of the last record that can be read */
  bool was_started_anew;      /* the machine, since the segment was made */
};

struct tails {
  struct tail items[MANIFEST_OPEN_MAX]; /* in the order of their writes */
  size_t count;
  uint64_t torn_bytes; /* that do not count */
  uint64_t newest_version; /* of any record that can be read, whether it counts or not */
};

/* Open the segment that was written to before all those that were added yet, and read it to its
 * end; `restore` tells what of it is known already, or NULL. The last one comes first, because in
 * another process a writer may go on: then all earlier ones hold whatever was written before.
 * CORRUPT: it cannot be opened. */
enum bitcask_status tails_add(struct tails *tails, struct engine *engine, uint64_t id,
                              const struct restore *restore);

/* Decide where each ends, and report what is damaged. */
void tails_decide(struct tails *tails, struct engine *engine);

/* Let go of all segments. */
void tails_release(struct tails *tails);

#endif
