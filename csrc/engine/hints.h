/*
 * Hint files of sealed segments, written behind everybody's back.
 *
 * Threads: on the hinter's, which waits for a processor that nobody else wants, and takes a lock
 * that others want only to look the segment up; or where there is none in the call.
 */
#ifndef BITCASK_ENGINE_HINTS_H
#define BITCASK_ENGINE_HINTS_H

#include "engine/engine.h"

/* Write the hint file of a segment that is in the list of sealed ones, in the background where
 * there is one. */
void engine_write_hint_later(struct engine *engine, struct segment *segment);

#endif
