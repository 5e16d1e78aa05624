/*
 * Iterators: a walk over the keys that a snapshot sees, group by group of the keydir's
 * shards (engine/stops). The entries of a group are copied, with a reference on every
 * segment they lead to; then they are read with no lock held. An iterator that was left
 * lying holds the segments of one group and the old entries that its snapshot sees, no more.
 *
 * Threads: one iterator belongs to one thread at a time.
 */
#ifndef BITCASK_ENGINE_ITERATOR_H
#define BITCASK_ENGINE_ITERATOR_H

#include "engine/engine.h"

struct bitcask_iterator;

/* Takes a snapshot of its own. Holds a reference on the engine. */
enum bitcask_status iterator_open(struct engine *engine,
                                  const struct bitcask_iterator_options *options,
                                  struct bitcask_iterator **out);

/* The same over what a snapshot of that version sees, which is open meanwhile. */
enum bitcask_status iterator_open_at(struct engine *engine, uint64_t version,
                                     const struct bitcask_iterator_options *options,
                                     struct bitcask_iterator **out);

#endif
