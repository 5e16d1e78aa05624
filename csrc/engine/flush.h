/*
 * Flushing: making durable what was appended, in the order in which it was.
 *
 * Full segments that are not sealed yet come first, then the active one: whatever is durable in
 * one segment, all those before it are durable. Whoever gets the flush lock first flushes for
 * all who have appended by then.
 */
#ifndef BITCASK_ENGINE_FLUSH_H
#define BITCASK_ENGINE_FLUSH_H

#include "engine/engine.h"

/* Everything appended so far is durable on OK. */
enum bitcask_status engine_flush(struct engine *engine) EXCLUDES(engine->flush_lock);

/* The same for a caller that holds the flush lock, or the write lock and not it. */
enum bitcask_status flush_all(struct engine *engine) REQUIRES(engine->flush_lock);

/* One segment alone; all those before it are durable. NULL is fine. */
enum bitcask_status flush_segment(struct engine *engine, struct segment *segment)
    REQUIRES(engine->flush_lock);

#endif
