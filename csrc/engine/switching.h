/*
 * Switching: from the inputs of a merge to its outputs, by one edit of the manifest.
 *
 *   commit   outputs flushed -> directory flushed -> active segment flushed -> everything that
 *            could fail is done -> edit committed
 *   switch   each copied entry of the keydir moved, if it still leads to what was copied;
 *            inputs marked obsolete, their files removed when the last reader lets go
 *
 * A record is dropped because of a newer one, which must not be lost where the dropped one
 * was durable: hence the flush of the active segment before the edit.
 *
 * Threads: none of its own; belongs to the merge. Reads and writes go on.
 */
#ifndef BITCASK_ENGINE_SWITCHING_H
#define BITCASK_ENGINE_SWITCHING_H

#include "engine/inputs.h"
#include "engine/moves.h"
#include "engine/outputs.h"

struct switching {
  struct engine *engine;
  struct inputs *inputs;
  struct outputs *outputs;
  const struct moves *moves;
  size_t current; /* input whose entries are moved */
  size_t next_move;
};

/* Make the outputs durable, and what their records are newer than. */
enum bitcask_status switching_prepare(struct switching *switching);

/* Commit the edit. `dropped_version`: no record that was not copied has a higher one. From OK on
 * nothing can fail, and the switch has to be done to its end. */
enum bitcask_status switching_commit(struct switching *switching, uint64_t dropped_version);

/* Move some more entries, about `budget` bytes of records. True: that was the last, and the inputs
 * are no longer the store's. */
bool switching_step(struct switching *switching, uint64_t budget);

#endif
