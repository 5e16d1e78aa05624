/*
 * Loading: from the records of a segment, or its hint file, to entries of the keydir, where
 * of two records of a key the one with the higher version wins, in whatever order they are
 * met. Tombstones, and records that have expired, are entries too until all segments are loaded.
 *
 * Threads: during open only, when nobody else knows the engine.
 */
#ifndef BITCASK_ENGINE_LOAD_H
#define BITCASK_ENGINE_LOAD_H

#include "engine/engine.h"

/* Load a sealed segment: from its hint file if that is sound, else by reading it. Damage is
 * reported, and what is intact loaded. */
enum bitcask_status load_segment(struct engine *engine, struct segment *segment,
                                 bool *used_hint);

/* Load the first `end` bytes of a segment by reading it; *facts gets what was found. */
enum bitcask_status load_records(struct engine *engine, struct segment *segment, uint64_t end,
                                 struct segment_facts *facts);

/* After the last segment: take the tombstones out of the keydir. */
void load_finish(struct engine *engine);

#endif
