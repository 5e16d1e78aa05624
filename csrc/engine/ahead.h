/*
 * The active segment is made ready for what will be appended to it, on a thread of its own: a
 * put then neither takes page faults nor waits for the journal of the file system.
 *
 *   +----------------+- - - - - - - - -+
 *   | appended       | ready           |      when a quarter is used, more is made ready
 *   +----------------+- - - - - - - - -+
 *                    ^ length          ^ at most AHEAD_SIZE later, and half of what was written
 *
 * Large appends need no pages, but space: the next segment has some before it takes them, where
 * there is room to spare.
 *
 * What is ready is written down as zeros if the system does so before it is used. So a store in
 * which little was written has little of it, and one whose puts are flushed one by one has none.
 *
 * Threads: looked after under the write lock; made ready on the helper's.
 */
#ifndef BITCASK_ENGINE_AHEAD_H
#define BITCASK_ENGINE_AHEAD_H

#include "engine/engine.h"

/* Larger appends are written to the file itself: they take no faults, and to make their space ready
 * would be to write it twice, while they wait. */
enum { AHEAD_APPEND_MAX = 16 << 10 };

/* After an append of so many bytes: have more of the active segment made ready, if little of it
 * is. */
void ahead_ask(struct engine *engine) REQUIRES(engine->write_lock);
static inline void ahead_look(struct engine *engine, uint64_t appended)
    REQUIRES(engine->write_lock) {
  if (engine->active->facts.length >= engine->active->ahead_length && appended < AHEAD_APPEND_MAX)
    ahead_ask(engine);
}

/* How far a segment that will be the active one is to be prepared; 0: not at all. */
struct ahead_plan {
  uint64_t ready;
  uint64_t allocated; /* where appends are large, and no further than half of what was written */
};

/* The segment takes note of the plan: nobody else has it yet. */
struct ahead_plan ahead_plan(const struct engine *engine, struct segment *segment);

/* Allocate what is planned, before anybody appends: a system lets nobody write to a file for
 * which it looks for space, and may have to read where there is some. */
void ahead_allocate(struct segment *segment, const struct ahead_plan *plan);

/* Make it ready as planned, on this thread, whoever has it by now. */
void ahead_prepare(struct segment *segment, const struct ahead_plan *plan);

#endif
