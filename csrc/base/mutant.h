/*
 * Deliberate defects. Only the trial build (make trial) has them, and at most one is switched
 * on: the scenarios have to notice each (make mutants), or they prove nothing. Elsewhere a
 * MUTANT() is the constant false, and nothing of it is left.
 *
 *   if (!MUTANT(SEAL_UNFLUSHED)) status = flush_segment(engine, segment);
 *
 * Threads: one is chosen before any store is opened.
 */
#ifndef BITCASK_BASE_MUTANT_H
#define BITCASK_BASE_MUTANT_H

#ifdef BITCASK_TRIAL

#include <stdbool.h>
#include <stddef.h>

/* Each with what it does wrong. */
#define MUTANTS(X)                                                                             \
  X(SEAL_UNFLUSHED, "a segment is sealed without a flush")                                     \
  X(FULL_UNFLUSHED, "a flush leaves out what is full and not sealed yet")                      \
  X(HOLE_IGNORED, "later segments count, though earlier writes were lost")                     \
  X(HEADER_UNFLUSHED, "a new segment is used before its header is durable")                    \
  X(SEGMENT_NAME_UNFLUSHED, "a new segment is named before its directory is flushed")          \
  X(ACKNOWLEDGED_UNFLUSHED, "a put that is to be durable returns before the flush")            \
  X(EDIT_UNFLUSHED, "an edit of the manifest is not flushed")                                  \
  X(MANIFEST_UNFLUSHED, "CURRENT leads to a manifest that is not flushed")                     \
  X(MANIFEST_NAME_UNFLUSHED, "CURRENT leads to a manifest whose name is not durable")          \
  X(CURRENT_UNFLUSHED, "CURRENT is renamed before its content is durable")                     \
  X(CURRENT_NAME_UNFLUSHED, "the old manifest goes before the new CURRENT is durable")         \
  X(OUTPUT_UNFLUSHED, "a merge is committed before its outputs are durable")                   \
  X(OUTPUT_NAME_UNFLUSHED, "a merge is committed before the names of its outputs are")         \
  X(ACTIVE_UNFLUSHED, "a merge is committed before what supersedes its inputs is durable")     \
  X(INPUTS_REMOVED_FIRST, "a merge removes its inputs before the edit")                        \
  X(TOMBSTONE_DROPPED, "a merge drops a tombstone that still hides something")                 \
  X(EXPIRED_DROPPED, "a merge drops an expired put that still hides something")                \
  X(LEAPT_OVER_FORGOTTEN, "a merge does not tell of dropped records that it did not read")     \
  X(SWITCHED_BLINDLY, "a merge stores its places, where it ought to compare and swap")         \
  X(SUPERSEDED_FORGOTTEN, "a write keeps nothing for the snapshots that see what was")         \
  X(REFERENCE_NOT_TAKEN, "a snapshot's read takes no reference to its segment")                \
  X(TAIL_KEPT, "a torn tail is not cut")                                                       \
  X(TAIL_UNFLUSHED, "what is recovered is not made durable")                                   \
  X(BATCH_TORN, "half a batch is recovered")                                                   \
  X(VERSIONS_REUSED, "versions of writes that were lost are given out again")                  \
  X(SWEPT_FIRST, "orphans are removed on the word of a manifest that may not be durable")      \
  X(CLOSE_BELIEVED, "a store that was closed and written to again passes for closed")          \
  X(FLUSH_FAILURE_IGNORED, "a failed flush is taken for done")                                 \
  X(EDIT_FAILURE_IGNORED, "after an edit whose flush failed the engine goes on")               \
  X(NO_WORD_LEFT, "the next session is not told of a failed flush")                            \
  X(UNFLUSHED_TRUSTED, "what a failed flush may have lost is not written again")               \
  X(WALKED_BLINDLY, "a walk takes all that stands in the segments for live")                   \
  X(VALUE_UNCHECKED, "a value is returned without its check")                                  \
  X(HIDDEN_FORGOTTEN, "with a checkpoint, a key comes back that was deleted amid a merge")

#define MUTANT_ENTRY(name, does) MUTANT_##name,
enum mutant { MUTANTS(MUTANT_ENTRY) MUTANT_COUNT };
#undef MUTANT_ENTRY

#define MUTANT(name) mutant_is_chosen(MUTANT_##name)

bool mutant_is_chosen(enum mutant mutant);

/* By its name; NULL: none. False: there is none of that name. */
bool mutant_choose(const char *name);

const char *mutant_name(enum mutant mutant);
const char *mutant_does(enum mutant mutant);

/* How often the chosen one was met. */
size_t mutant_met(void);

#else
#define MUTANT(name) false
#endif

#endif
