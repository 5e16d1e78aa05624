/*
 * Outputs: the segments that a merge writes. They are the merge's own until it is committed:
 * then they are adopted, before that they can be dropped without a trace.
 *
 * Threads: none of its own; belongs to the merge.
 */
#ifndef BITCASK_ENGINE_OUTPUTS_H
#define BITCASK_ENGINE_OUTPUTS_H

#include "engine/engine.h"

struct outputs {
  struct engine *engine;
  struct segment **segments;
  size_t count;
  struct bitcask_buffer buffer; /* the last records of the last one, to be appended at once */
  uint64_t bytes; /* of records written */
};

/* Append a copy of the record, in a new segment when it does not fit; where it stands. */
enum bitcask_status outputs_append(struct outputs *outputs, const struct record *record,
                                   struct segment **into, uint64_t *offset);

/* Make them durable, names and all. */
enum bitcask_status outputs_finish(struct outputs *outputs);

/* They belong to the store from now on; their places in its list were promised. Their hint files
 * are written in the background, where there is one. */
void outputs_adopt(struct outputs *outputs);

/* Undo them. */
void outputs_drop(struct outputs *outputs);

#endif
