/*
 * Checkpointing: writing the keydir down, so that the next opening need not find it out again.
 *
 *   begun: what is covered is noted -> shard by shard is copied and written, while writes go on
 *   -> what entries lead to is flushed -> file flushed and renamed -> one edit names it
 *
 * It is taken at a clean close, and in the background whenever so much was written since the
 * last one that loading it would take long. Shards are copied one after the other, each under
 * its own lock; what is written meanwhile is in some of them and not in others. That does no
 * harm: whatever came after the beginning is loaded again at open, and versions decide.
 */
#ifndef BITCASK_ENGINE_CHECKPOINTING_H
#define BITCASK_ENGINE_CHECKPOINTING_H

#include "engine/engine.h"

/* Have the worker take a checkpoint if one is due; without a worker there are none but at
 * close. */
void checkpointing_consider(struct engine *engine);

/* The same for writers, who look now and then. */
static inline void checkpointing_look(struct engine *engine) {
  uint64_t written = atomic_load_explicit(&engine->counters.bytes_written, memory_order_relaxed);
  if (written >= atomic_load_explicit(&engine->checkpoint_look, memory_order_relaxed))
    checkpointing_consider(engine);
}

/* Take one now. ABSENT where there can be none; BUSY while a merge changes over. */
enum bitcask_status checkpointing_now(struct engine *engine);

/* After the clean end was noted, when nobody else uses the engine: take one, unless next to
 * nothing would have to be loaded without it. Fails only if the manifest's state is unknown
 * then. */
enum bitcask_status checkpointing_close(struct engine *engine);

#endif
