/*
 * Reading: one key, many keys, and what is known of a key without its value.
 */
#ifndef BITCASK_ENGINE_READ_H
#define BITCASK_ENGINE_READ_H

#include "engine/engine.h"

enum bitcask_status engine_get(struct engine *engine, bitcask_bytes key,
                               struct bitcask_buffer *into, uint64_t *version);
/* As a snapshot of that version sees it, which is open meanwhile. */
enum bitcask_status engine_get_at(struct engine *engine, uint64_t version, bitcask_bytes key,
                                  struct bitcask_buffer *into, uint64_t *found_version);
enum bitcask_status engine_stat_at(struct engine *engine, uint64_t version, bitcask_bytes key,
                                   struct bitcask_stat *out);
enum bitcask_status engine_stat(struct engine *engine, bitcask_bytes key,
                                struct bitcask_stat *out);
enum bitcask_status engine_get_many(struct engine *engine, const bitcask_bytes *keys, size_t count,
                                    struct bitcask_buffer *arena, struct bitcask_found *out);

#endif
