/*
 * The reserves: files of nothing but allocated space that a store with sealed segments keeps
 * for the day when the disk is full. One, about a segment's size, is given up for deletes and
 * for the outputs of merges; the other for edits of the manifest alone, since without an edit
 * no merge can free anything. They are made again when there is room.
 *
 * Threads: safe.
 */
#ifndef BITCASK_ENGINE_RESERVE_H
#define BITCASK_ENGINE_RESERVE_H

#include "engine/engine.h"

/* Have both, as far as there is room. */
void reserve_make(struct engine *engine);

/* Give one up: true if it was there, and there may be room now. */
bool reserve_spend(struct engine *engine, enum reserve_kind kind);

/* Have none, while there are no sealed segments. */
void reserve_drop(struct engine *engine);

/* Commit an edit, giving up the reserve for edits if there is no room: for what frees space,
 * or must not fail for want of it. */
enum bitcask_status reserve_commit(struct engine *engine, bitcask_bytes items);

#endif
