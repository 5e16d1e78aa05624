/*
 * A group of processes that may use only so much memory, the page cache of the files they
 * touch included: a control group of Linux, version 1 or 2.
 */
#ifndef BENCH_MEMORY_LIMIT_H
#define BENCH_MEMORY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* False where this is not permitted, or there is no such thing. */
bool memory_limit_make(uint64_t bytes);

/* This process goes into the group. */
void memory_limit_enter(void);

/* Every process that was in it must have ended. */
void memory_limit_remove(void);

#endif
