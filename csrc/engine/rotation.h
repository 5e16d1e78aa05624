/*
 * The active segment: when it is full, sealing it, and beginning the next.
 *
 *   rotate   the next one, durable and open in the manifest -> writes go there; the old one is
 *            full, and settled behind the writer's back (engine/settle)
 *   seal     what is full settled -> flush the last byte -> edit: sealed
 *
 * A writer that rotates waits for no disk: the next segment is made ahead (engine/successor).
 */
#ifndef BITCASK_ENGINE_ROTATION_H
#define BITCASK_ENGINE_ROTATION_H

#include "engine/engine.h"

/* Flush and publish what was appended and is not published yet. */
enum bitcask_status rotation_publish_pending(struct engine *engine) REQUIRES(engine->write_lock);

/* Let the flusher flush, when much was appended since the last time. */
void rotation_flush_ahead(struct engine *engine) REQUIRES(engine->write_lock);

/* Leave a note for the policy, when the active segment has grown much since the last time. */
void rotation_note_growth(struct engine *engine) REQUIRES(engine->write_lock);

/* The active segment is sealed at so many bytes from now on, if that is less than a segment may
 * have; 0: at that. */
void rotation_seal_at(struct engine *engine, uint64_t size);

/* Have an active segment with room for `size` bytes more, in one piece. A delete may go into
 * the space that puts leave free, when there is no room for another segment. */
enum bitcask_status rotation_make_room(struct engine *engine, uint64_t size, bool is_delete)
    REQUIRES(engine->write_lock);

/* Have all that is full sealed in the manifest, also on a full disk if that can be. */
enum bitcask_status rotation_settle(struct engine *engine) REQUIRES(engine->write_lock);

/* Most of that, before the lock is taken that writers wait for. */
enum bitcask_status rotation_settle_ahead(struct engine *engine) EXCLUDES(engine->write_lock);

/* Give back what was allocated ahead for the next segment. False: none is made. */
bool rotation_give_back_next(struct engine *engine) REQUIRES(engine->write_lock);

/* Seal the active segment: its id, or 0 when it holds no records or there is none. */
enum bitcask_status engine_seal(struct engine *engine, uint64_t *id)
    EXCLUDES(engine->write_lock);

/* Flush, and record that the store was closed cleanly. */
enum bitcask_status engine_close_cleanly(struct engine *engine) EXCLUDES(engine->write_lock);

#endif
