/*
 * The only callers of malloc and free, so that a test can refuse the n-th allocation.
 * Every function that returns memory returns NULL, with the error text set, on failure.
 *
 * Threads: safe.
 */
#ifndef BITCASK_BASE_MEMORY_H
#define BITCASK_BASE_MEMORY_H

#include "base/status.h"

void *memory_new(size_t size);                        /* contents undefined */
void *memory_zeroed(size_t count, size_t size);       /* count * size, checked; zeros */
void *memory_resize(void *old, size_t count, size_t size); /* old stays valid on failure */
void *memory_aligned(size_t alignment, size_t size);   /* contents undefined */
void memory_free(void *pointer);                      /* NULL is fine */

/* Zeros, of which pages take memory only once they are touched: for large tables that stay
 * mostly empty. Given back with the same size. */
void *memory_sparse(size_t count, size_t size);
void memory_sparse_free(void *pointer, size_t count, size_t size); /* NULL is fine */

/* Memory for a table that grows, in bytes. A small one comes from malloc; a large one has pages
 * of its own, in the midst of addresses kept for it, so that it grows where it stands and nothing
 * of it is left behind in anybody's heap. What a growing one gets anew holds anything. Its size
 * is told each time, never becomes less, and is best what memory_table_size makes of it: as much
 * as would be taken anyway. On failure the old one stays as it is. */
size_t memory_table_size(size_t size);
void *memory_table_resize(void *old, size_t old_size, size_t size); /* NULL, 0: a new one */
void memory_table_free(void *table, size_t size);                   /* NULL is fine */

/* A copy of a string, or NULL. */
char *memory_string(const char *text);

/* For tests: refuse the n-th allocation from now on (1: the next), and all after it when
 * `forever`. 0 refuses none. */
void memory_refuse(uint64_t n, bool forever);

/* For tests: allocations until one is refused; 0: it was, or none is to be. */
uint64_t memory_refuses_after(void);

/* For tests: this thread's allocations are not refused from `on` to off; these may be nested. */
void memory_exempt(bool on);

/* For tests: allocations not yet freed, over all threads. */
int64_t memory_balance(void);

#endif
