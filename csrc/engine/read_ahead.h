/*
 * Reading ahead of a walk that goes through files as they lie, but not by every byte: where
 * its stops stand near each other the disk is told of all that lies there, two mebibytes and
 * more at a time, and else of each stop by itself, some of them ahead.
 *
 * Threads: whoever owns the walk.
 */
#ifndef BITCASK_ENGINE_READ_AHEAD_H
#define BITCASK_ENGINE_READ_AHEAD_H

#include "store/segment.h"

/* Where a record is to be read. */
struct stop {
  struct segment *segment;
  uint64_t offset;
};

/* A walk over stops that have numbers, in the order of the files. */
struct read_ahead_walk {
  struct stop (*stop_of)(const void *context, size_t number);
  const void *context;
  size_t next; /* the stop that comes next, */
  size_t end;  /* and the one behind the last */
};

/* Both are `next` at first. */
struct read_ahead {
  size_t announced; /* the first stop that the disk was not told of yet, */
  size_t last;      /* and the first of those that it was told of last */
};

/* Tell the disk of the stops that it was not told of yet and that are due. */
void read_ahead_announce(struct read_ahead *ahead, const struct read_ahead_walk *walk);

enum {
  READ_AHEAD_CACHED_STOPS = 8,     /* so many records are on their way into the processor's cache */
  READ_AHEAD_ANNOUNCED_STOPS = 16, /* so many records are announced to the disk, or more */
  READ_AHEAD_CACHE_LINE = 64
};

/* A few stops ahead where they stand far apart, and else what is as good as a window. */
static inline bool read_ahead_is_due(const struct read_ahead *ahead,
                                     const struct read_ahead_walk *walk) {
  return ahead->announced < walk->end &&
         (walk->next >= ahead->last || walk->next + READ_AHEAD_ANNOUNCED_STOPS >= ahead->announced);
}

/* Before each step: tell the disk what is due, and begin to load what will soon be looked at into
 * the processor's cache. Where a record begins a line, the processor reads on by itself. */
static inline void read_ahead_step(struct read_ahead *ahead, const struct read_ahead_walk *walk) {
  if (read_ahead_is_due(ahead, walk)) read_ahead_announce(ahead, walk);
  if (walk->end - walk->next <= READ_AHEAD_CACHED_STOPS) return;
  struct stop soon = walk->stop_of(walk->context, walk->next + READ_AHEAD_CACHED_STOPS);
  if (soon.segment->file->map == NULL) return;
  const uint8_t *record = soon.segment->file->map + soon.offset;
  __builtin_prefetch(record);
  __builtin_prefetch(record + READ_AHEAD_CACHE_LINE);
}

#endif
