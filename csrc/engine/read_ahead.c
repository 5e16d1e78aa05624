#include "engine/read_ahead.h"

enum {
  ANNOUNCED_GAP = 32 << 10,     /* records so near each other are announced together, */
  ANNOUNCED_SIZE_MAX = 2 << 20, /* up to so many bytes */
};

/* Announce the first stop that was not yet, with those that stand near it. */
static void announce(struct read_ahead *ahead, const struct read_ahead_walk *walk) {
  size_t next = ahead->announced;
  struct stop first = walk->stop_of(walk->context, next);
  uint64_t end = first.offset;
  for (; next < walk->end && end - first.offset < ANNOUNCED_SIZE_MAX; next++) {
    struct stop stop = walk->stop_of(walk->context, next);
    if (stop.segment != first.segment || stop.offset - end > ANNOUNCED_GAP) break;
    end = stop.offset;
  }
  first.segment->file->ops->will_read(first.segment->file, first.offset,
                                      end - first.offset + ANNOUNCED_GAP);
  ahead->last = ahead->announced;
  ahead->announced = next;
}

void read_ahead_announce(struct read_ahead *ahead, const struct read_ahead_walk *walk) {
  while (read_ahead_is_due(ahead, walk)) announce(ahead, walk);
}
