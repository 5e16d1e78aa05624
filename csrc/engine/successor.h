/*
 * The segment that will be the active one next: made, flushed and named in the directory
 * before it is needed, so that no writer waits for that. It holds nothing, and no manifest
 * names it before it is taken; after a crash it is an orphan.
 *
 * Threads: prepared on the flusher's, taken under the write lock.
 */
#ifndef BITCASK_ENGINE_SUCCESSOR_H
#define BITCASK_ENGINE_SUCCESSOR_H

#include "engine/engine.h"

/* Have one prepared in the background, when the active segment is nearly full; small segments
 * are made when they are needed. */
void successor_prepare(struct engine *engine) REQUIRES(engine->write_lock);

/* A segment to become the active one, that takes a record of `record_size` bytes: durable, name
 * and all, before the manifest names it. */
enum bitcask_status successor_take(struct engine *engine, uint64_t record_size,
                                   struct segment **out) REQUIRES(engine->write_lock);

/* Let go of a segment that no manifest came to name, and remove its file. NULL is fine. */
void successor_drop(struct engine *engine, struct segment *segment);

/* The same for the one that was prepared, if there is one. */
void successor_drop_prepared(struct engine *engine) EXCLUDES(engine->write_lock);

/* Bytes that may still be appended until a segment of this length is full. */
uint64_t successor_distance(const struct engine *engine, uint64_t length);

#endif
