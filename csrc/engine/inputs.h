/*
 * Inputs: the sealed segments that a merge takes.
 *
 * They are chosen once, by a plan that is checked or for having anything to drop. One that is
 * damaged, and those for whose copies there is no room, are left out later. While a segment is an
 * input it is marked, so that the store's segments can be told apart in one pass.
 *
 * Threads: the marks are guarded by the engine's set_lock; all else belongs to the merge.
 */
#ifndef BITCASK_ENGINE_INPUTS_H
#define BITCASK_ENGINE_INPUTS_H

#include "engine/engine.h"
#include "engine/moves.h"

struct input {
  struct segment *segment; /* referenced */
  struct moves_range moves; /* of its live records, once they are known */
};

struct inputs {
  struct engine *engine;
  struct input *items;
  size_t count;
};

/* Those that the plan names, or, without one, all that have anything to drop; with a filter nobody
 * knows which those are. INVALID: the plan names what is no sealed segment, or one twice. */
enum bitcask_status inputs_choose(struct inputs *inputs, struct engine *engine,
                                  const struct bitcask_merge_options *options)
    EXCLUDES(engine->set_lock);

/* Bytes of their records. */
uint64_t inputs_bytes(const struct inputs *inputs);

/* References on the sealed segments that are no inputs (struct segment *), for *out. */
enum bitcask_status inputs_ref_others(struct inputs *inputs, struct bitcask_buffer *out);

/* Leave one out. */
void inputs_leave_out(struct inputs *inputs, size_t index);

/* Leave out that half of them that has the most to copy. */
void inputs_leave_out_half(struct inputs *inputs);

/* Take all of them out of the store, to which nothing leads there any more: their files go with
 * the last reader. */
void inputs_retire(struct inputs *inputs);

void inputs_release(struct inputs *inputs);

#endif
