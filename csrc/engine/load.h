/*
 * Loading: from the records of a segment, or its hint file, to entries of the keydir, where
 * of two records of a key the one with the higher version wins, in whatever order they are
 * met. Tombstones, and records that have expired, are entries too until all segments are loaded.
 *
 * Large segments are gone through by several threads at once. Each reads all of it and keeps to
 * shards of its own, so that nothing is shared and every key is one thread's. Entries wait in a
 * ring while the cache line that they need is on its way.
 *
 * Threads: during open only, when nobody else knows the engine; load_shard at any time.
 */
#ifndef BITCASK_ENGINE_LOAD_H
#define BITCASK_ENGINE_LOAD_H

#include "engine/engine.h"

/* Load what stands behind `before` (the facts of its beginning, which is loaded already) of a
 * sealed segment: from its hint file if that is sound, else by reading it. Damage is reported,
 * and what is intact loaded. */
enum bitcask_status load_segment(struct engine *engine, struct segment *segment,
                                 const struct segment_facts *before, bool *used_hint);

/* Load what stands between `before` and the byte `end` of a segment by reading it; *facts gets
 * what was found, together with `before`. */
enum bitcask_status load_records(struct engine *engine, struct segment *segment,
                                 const struct segment_facts *before, uint64_t end,
                                 struct segment_facts *facts);

/* Load only what hides older records, up to the end that `known` tells: tombstones, and records
 * that have expired. Nothing is counted. For a keydir that knows all that part tells, but not
 * what is absent for a reason, before older records are loaded. What had expired at `taken_ms`
 * has expired, even if the clock was set back. */
enum bitcask_status load_hiding(struct engine *engine, struct segment *segment,
                                const struct segment_facts *known, uint64_t taken_ms);

/* After the last segment: take the tombstones out of the keydir. */
void load_finish(struct engine *engine);

/* Find out from the segments alone what one shard held at `now`. No statistics are kept. The
 * slots are the caller's. */
enum bitcask_status load_shard(struct engine *engine, unsigned shard, uint64_t now,
                               struct keydir_table *out);

#endif
