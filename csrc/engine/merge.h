/*
 * Merging: the live records of chosen sealed segments are copied into new ones, and one
 * edit of the manifest puts the new in the place of the old. Reads and writes go on.
 *
 *   plan       which segments (engine/inputs), and what of them is live, or needed as a
 *              tombstone (engine/needed)
 *   copy       that, with its version, into new segments (engine/copying)
 *   carry out  what a filter said of live records (engine/verdicts)
 *   commit     one edit, once all that it tells of is durable, and
 *   switch     the keydir led to the copies (engine/switching)
 *
 * Here are the steps from one to the next, and what a caller can do: pause, cancel, answer.
 *
 * A tombstone is dropped when no segment outside the merge can hold an older put of its
 * key. Whether one does is looked up exactly, key by key (by a 64-bit hash, whose rare
 * collisions err on the side of keeping).
 *
 * On a full disk the merge goes on with fewer inputs, those with the least to copy: segments
 * whose records are all dead need no room at all.
 *
 * Threads: one merge at a time in an engine; its steps belong to one thread at a time. Of one
 * without a thread of its own the closing of the engine is such a step.
 */
#ifndef BITCASK_ENGINE_MERGE_H
#define BITCASK_ENGINE_MERGE_H

#include "engine/engine.h"

/* Holds a reference on the engine until it is closed. */
enum bitcask_status merge_open(struct engine *engine, const struct bitcask_merge_options *options,
                               struct bitcask_merge **out);

/* Before the engine is closed: cancel the merge that there is and wait for its end. What is
 * committed is completed, all else undone. Its handle stays, until it is closed, too. */
void merge_end(struct engine *engine);

#endif
