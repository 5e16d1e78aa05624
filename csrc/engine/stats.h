/*
 * What a store consists of, in numbers.
 */
#ifndef BITCASK_ENGINE_STATS_H
#define BITCASK_ENGINE_STATS_H

#include "engine/engine.h"

/* All segments, oldest first, the active one last; *out is to be freed with memory_free. */
enum bitcask_status stats_segments(struct engine *engine, struct bitcask_segment **out,
                                   size_t *count);
enum bitcask_status stats_of(struct engine *engine, struct bitcask_stats *out);

#endif
