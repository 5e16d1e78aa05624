/*
 * XXH3 of 17 to 128 bytes by AVX-512, two at once: the same values, to be asked for only where the
 * processor has it. While a processor waits for a record that is in no cache it begins the next
 * look-up, as far as what waits for that record leaves it room; with these instructions that is
 * little.
 */
#ifndef BITCASK_BASE_CHECKSUM_SHORT_H
#define BITCASK_BASE_CHECKSUM_SHORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does the processor have what these take, and is of a generation whose clock it does not lower?
 * Set when the library is loaded. */
extern bool checksum_short_is_here;

/* Is it one of so many bytes? */
static inline bool checksum_is_short(size_t size) {
  enum { LEAST = 17, MOST = 128 };
  return size - LEAST <= MOST - LEAST;
}

/* The low halves of two: of `first` with the seed, and above it of `second` without one. */
uint64_t checksum32_short_two(const void *first, size_t first_size, uint64_t seed,
                              const void *second, size_t second_size);

#endif
