/*
 * The active segment: flushing it, sealing it, and beginning the next.
 *
 *   seal     flush the last byte -> edit: sealed -> out of the writers' hands
 *   rotate   new file, its header flushed -> directory flushed -> old one flushed
 *            -> one edit: old sealed, new active
 *
 * A writer waits for the last two alone: the new file is made ahead (engine/successor), and the
 * flusher leaves less and less to flush as the end of the segment comes near.
 *
 * Whoever gets the flush lock first flushes for all who have appended by then.
 */
#ifndef BITCASK_ENGINE_ROTATION_H
#define BITCASK_ENGINE_ROTATION_H

#include "engine/engine.h"

/* Everything appended so far is durable on OK. */
enum bitcask_status engine_flush(struct engine *engine) EXCLUDES(engine->flush_lock);

/* The same for a caller that holds the flush lock, or the write lock and not it. */
enum bitcask_status rotation_flush(struct engine *engine) REQUIRES(engine->flush_lock);

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

/* Seal the active segment: its id, or 0 when it holds no records or there is none. */
enum bitcask_status engine_seal(struct engine *engine, uint64_t *id)
    EXCLUDES(engine->write_lock);

/* Flush, and record that the store was closed cleanly. */
enum bitcask_status engine_close_cleanly(struct engine *engine) EXCLUDES(engine->write_lock);

/* Write the hint file of a sealed segment, in the background where there is one. */
void engine_write_hint_later(struct engine *engine, struct segment *segment);

#endif
