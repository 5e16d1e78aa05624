/*
 * The reserve: a file of nothing but allocated space, no more than a segment's, that a store
 * with sealed segments keeps for the day when the disk is full. It is given up for what frees
 * space, deletes and merges, and made again when there is room.
 *
 * Threads: safe.
 */
#ifndef BITCASK_ENGINE_RESERVE_H
#define BITCASK_ENGINE_RESERVE_H

#include "engine/engine.h"

/* Have a reserve, if there is room and there is not one already. */
void reserve_make(struct engine *engine);

/* Give it up: true if there was one, and there may be room now. */
bool reserve_spend(struct engine *engine);

#endif
