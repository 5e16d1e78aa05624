/*
 * Merging: the live records of chosen sealed segments are copied into new ones, and one
 * edit of the manifest puts the new in the place of the old. Reads and writes go on.
 *
 *   plan     which records of the inputs are live, from the keydir; which tombstones are
 *            still needed, from the hint files of the segments outside
 *   copy     inputs read from end to end, what is needed copied with its version; one in which
 *            nothing is needed is not read at all
 *   commit   outputs flushed -> directory flushed -> active segment flushed -> everything that
 *            could fail is done -> edit committed
 *   switch   each copied entry of the keydir moved, if it still leads to what was copied;
 *            inputs marked obsolete, their files removed when the last reader lets go
 *
 * A record is dropped because of a newer one, which must not be lost where the dropped one
 * was durable: hence the flush of the active segment before the edit.
 *
 * A tombstone is dropped when no segment outside the merge can hold an older put of its
 * key. Whether one does is looked up exactly, key by key (by a 64-bit hash, whose rare
 * collisions err on the side of keeping).
 *
 * A damaged record makes its whole segment leave the merge: it stays in the store as it is,
 * is reported, and the merge begins again without it.
 *
 * On a full disk the merge goes on with fewer inputs, those with the least to copy: segments
 * whose records are all dead need no room at all.
 *
 * Threads: one merge at a time in an engine; its steps belong to one thread at a time.
 */
#ifndef BITCASK_ENGINE_MERGE_H
#define BITCASK_ENGINE_MERGE_H

#include "engine/engine.h"

/* Holds a reference on the engine until it is closed. */
enum bitcask_status merge_open(struct engine *engine, const struct bitcask_merge_options *options,
                               struct bitcask_merge **out);

#endif
