/*
 * Publishing: what makes an append visible, the moment its durability mode allows it.
 *
 * With sync "always" a write is pending until it is flushed, so that nobody reads a value
 * whose put will be reported as failed. Pending writes are published in the order of their
 * versions. The writes of a batch share a ticket: they become visible together, as far as a
 * snapshot can tell.
 *
 * Threads: all of it under the engine's write lock.
 */
#ifndef BITCASK_ENGINE_PUBLISH_H
#define BITCASK_ENGINE_PUBLISH_H

#include "engine/engine.h"

/* Room in the keydir, and among what waits to expire, so that publishing cannot fail. */
enum bitcask_status publish_reserve(struct engine *engine, const struct pending_write *writes,
                                    size_t count) REQUIRES(engine->write_lock);

/* The same for one write; *found gets what its key has in the keydir. */
enum bitcask_status publish_reserve_one(struct engine *engine, const struct pending_write *write,
                                        struct keydir_entry *found)
    REQUIRES(engine->write_lock);

/* Let readers see a write that was appended. `found`: as publish_reserve_one has left it, if no
 * write was published since; else NULL. */
void publish_now(struct engine *engine, const struct pending_write *write,
                 const struct keydir_entry *found) REQUIRES(engine->write_lock);

/* Let readers see it once it is durable; the memory stays the caller's. */
void publish_later(struct engine *engine, struct pending_write *write)
    REQUIRES(engine->write_lock);
void publish_never(struct engine *engine, const struct pending_write *write)
    REQUIRES(engine->write_lock);

/* Publish what has become durable. */
void publish_durable(struct engine *engine) REQUIRES(engine->write_lock);

/* Take what has expired by now out of the keydir. */
void publish_expired(struct engine *engine) REQUIRES(engine->write_lock);
void engine_expire(struct engine *engine) EXCLUDES(engine->write_lock);

#endif
