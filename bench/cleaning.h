/*
 * The default policy of lua/bitcask/policy/default.lua, for programs without Lua: the worst
 * segments first, until the store takes no more than half as much again as what lives; in
 * merges that copy a sixteenth of that each, of segments no larger.
 */
#ifndef BENCH_CLEANING_H
#define BENCH_CLEANING_H

#include "bitcask.h"

/* Merge what is due, on the thread that calls. `*worked`: there was something. */
enum bitcask_status cleaning_run(struct bitcask *db, bool *worked);

/* Merge these segments; all that are worth it, where `ids` is NULL. */
enum bitcask_status cleaning_merge(struct bitcask *db, const uint64_t *ids, size_t count);

#endif
