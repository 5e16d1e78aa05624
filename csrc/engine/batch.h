/*
 * A batch: writes collected in memory, to be written as one.
 *
 * Threads: no locks here; a batch belongs to one thread at a time.
 */
#ifndef BITCASK_ENGINE_BATCH_H
#define BITCASK_ENGINE_BATCH_H

#include "engine/engine.h"

struct bitcask_batch;

enum bitcask_status batch_commit(struct engine *engine, const struct bitcask_batch *batch,
                                 uint64_t *version);

/* Are key and value within the limits? Else TOOLARGE. */
enum bitcask_status batch_check_sizes(bitcask_bytes key, bitcask_bytes value);

/* The condition and the time to live that options ask for; NULL asks for nothing. */
struct write_request batch_request(bitcask_bytes key, bitcask_bytes value, bool is_delete,
                                   const struct bitcask_write_options *options);

#endif
