/*
 * Restoring: from a keydir checkpoint to a keydir, while opening.
 *
 *   manifest names it -> its index is checked -> segments take the slots they had
 *   -> the keydir is put to sleep -> only what was written since is loaded
 *
 * Where nothing was written since, shards stay asleep, and each is checked when it is first
 * needed; one that fails its check is found out from the segments anew. Where something is to
 * be loaded, all of them are checked first, and the checkpoint is done without if one fails; and
 * where that is much, all of them move into memory of their own, with room for it.
 * Entries of segments that a merge has replaced since are dropped: what they led to is found
 * in the segments that took their place, and what these hide is found out from the tombstones.
 *
 * Threads: during open only, but for the waking.
 */
#ifndef BITCASK_ENGINE_RESTORE_H
#define BITCASK_ENGINE_RESTORE_H

#include "engine/engine.h"

struct restore;

/* The checkpoint that the manifest names, if it is of use to this engine; NULL: there is none.
 * Nothing but its index was looked at. */
struct restore *restore_open(struct engine *engine);

/* Give the segment the slot that it had, or any. */
enum bitcask_status restore_take_slot(struct restore *restore, struct engine *engine,
                                      struct segment *segment);

/* The facts of that part of a segment which need not be loaded: those of an empty one where
 * there is no such part, or no checkpoint. */
struct segment_facts restore_known(const struct restore *restore, const struct segment *segment);

/* Use it: the engine has all sealed segments, and these were open and have their ends found;
 * about `expected` records will be loaded. False: it is of no use after all, and the keydir is
 * empty; it is to be closed. Else it is the keydir's. */
bool restore_adopt(struct restore *restore, struct segment *const *open, size_t count,
                   uint64_t expected);

/* Have segments gone that it tells of? Then what took their place may hold records that were dead
 * when it was begun, hidden by tombstones which it does not know. */
bool restore_has_gone(const struct restore *restore);

/* The time that the checkpoint was taken, milliseconds since 1970: what had expired by then is
 * gone, wherever the clock stands now. */
uint64_t restore_taken_ms(const struct restore *restore);

/* NULL is fine. */
void restore_close(struct restore *restore);

#endif
