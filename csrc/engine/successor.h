/*
 * The segment that will be the active one next: made, flushed, named in the directory and open
 * in the manifest before it is needed, so that no writer waits for that. It holds nothing until
 * it is taken; after a crash, and at a clean close, it is dropped.
 *
 * Threads: prepared on the helper's, taken under the write lock.
 */
#ifndef BITCASK_ENGINE_SUCCESSOR_H
#define BITCASK_ENGINE_SUCCESSOR_H

#include "engine/engine.h"

/* Have one prepared in the background, when the active segment is a quarter full; small segments
 * are made when they are needed. */
void successor_prepare(struct engine *engine) REQUIRES(engine->write_lock);

/* Is it being made? Then it will be there in a moment. */
bool successor_is_under_way(struct engine *engine) REQUIRES(engine->write_lock);

/* The one that is made already, or NULL. */
struct segment *successor_prepared(struct engine *engine) REQUIRES(engine->write_lock);

/* Does the manifest have it as open, behind all others? One that was passed over by another, for a
 * record that it had no room for, or because it came a moment too late, stands before that one:
 * misplaced. */
enum naming { NAMING_DONE, NAMING_DUE, NAMING_MISPLACED };

struct successor {
  struct segment *segment;
  enum naming naming;
};

/* A segment to become the active one, that takes a record of `record_size` bytes: durable, name
 * and all; its naming, unless it is done, is left to the caller. */
enum bitcask_status successor_take(struct engine *engine, uint64_t record_size,
                                   struct successor *out) REQUIRES(engine->write_lock);

/* Add what is left of its naming to an edit. */
enum bitcask_status successor_name(const struct successor *successor,
                                   struct bitcask_buffer *items);

/* It did not come to be the active one after all. */
void successor_give_back(struct engine *engine, const struct successor *successor)
    REQUIRES(engine->write_lock);

/* Let go of the one that was prepared, if there is one, and remove its file: the manifest does
 * not name it any more. */
void successor_drop_prepared(struct engine *engine) REQUIRES(engine->write_lock);

#endif
