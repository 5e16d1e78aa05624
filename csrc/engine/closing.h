/*
 * Closing segments that a merge has replaced, behind everybody's back.
 *
 * To give back the pages and the space of a large file takes a tenth of a second, for which
 * nobody has to wait: its name is removed at once, the rest is done in the background. Where the
 * disk is nearly full the space is wanted at once, and so it is all done at once.
 *
 * Threads: on the worker's, or where there is none, or no time, in the call.
 */
#ifndef BITCASK_ENGINE_CLOSING_H
#define BITCASK_ENGINE_CLOSING_H

#include "engine/engine.h"

/* Give back a reference, which may be the last on an obsolete segment. */
void engine_unref_later(struct engine *engine, struct segment *segment);

/* Close now what waits for it: for whoever would do without its space otherwise. Was there any? */
bool engine_finish_closing(struct engine *engine) EXCLUDES(engine->closing_lock);

#endif
