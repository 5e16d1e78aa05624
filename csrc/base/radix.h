/*
 * A radix sort: a few passes over the items, whatever their order, where a sort by comparing
 * takes twenty comparisons of each of a million, every other one a cache miss.
 *
 * Threads: safe.
 */
#ifndef BITCASK_BASE_RADIX_H
#define BITCASK_BASE_RADIX_H

#include <stddef.h>
#include <stdint.h>

/* Sort items of `size` bytes each, rising, by those bits of the 64-bit number that each begins
 * with which `mask` has. Equal ones keep their order. `spare` has room for as many; both are
 * aligned for such numbers. */
void radix_sort(void *items, void *spare, size_t count, size_t size, uint64_t mask);

#endif
