/*
 * Writing: appending records to the active segment, sealing it, flushing it, and making
 * what was written visible.
 *
 * The order of one write: room in the keydir -> room in the segment -> append -> (flush) ->
 * publish. What can fail harmlessly comes first; once bytes are appended there are two ends
 * only: the keydir learns of them, or the engine stops.
 *
 * With sync "always" a write is published after the flush, so that nobody reads a value
 * whose put will be reported as failed. Whoever gets the flush lock first flushes for all
 * who have appended by then.
 */
#ifndef BITCASK_ENGINE_WRITE_H
#define BITCASK_ENGINE_WRITE_H

#include "engine/engine.h"

/* Write a put, or a tombstone (record->flags), of which key, value and flags are set.
 * ABSENT: a tombstone for a key that is not there; nothing was written. */
enum bitcask_status engine_write(struct engine *engine, struct record *record,
                                 uint64_t *version);

/* Everything appended so far is durable on OK. */
enum bitcask_status engine_flush(struct engine *engine);

/* Seal the active segment: its id, or 0 when it holds no records or there is none. */
enum bitcask_status engine_seal(struct engine *engine, uint64_t *id);

/* Flush, and record that the store was closed cleanly. */
enum bitcask_status engine_close_cleanly(struct engine *engine);

/* Write the hint file of a sealed segment, in the background where there is one. */
void engine_write_hint_later(struct engine *engine, struct segment *segment);

/* The space that puts leave free behind them. */
size_t engine_headroom(const struct engine *engine);

#endif
