/*
 * XXH3 from the xxhash library, compiled in; by wider instructions where the processor has them.
 */
#ifndef BITCASK_BASE_CHECKSUM_H
#define BITCASK_BASE_CHECKSUM_H

#include "base/checksum_short.h"
#include "base/status.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* From here on the widest instructions that the processor has are worth a call. */
enum { CHECKSUM_LONG_SIZE = 512 };
uint64_t checksum64_long(const void *data, size_t size, uint64_t seed);

static inline uint64_t checksum64(const void *data, size_t size, uint64_t seed) {
  if (size >= CHECKSUM_LONG_SIZE) return checksum64_long(data, size, seed);
  /* Without a seed the secret is a constant, which the compiler can work with. */
  if (__builtin_constant_p(seed) && seed == 0) return XXH3_64bits(data, size);
  return XXH3_64bits_withSeed(data, size, seed);
}

/* The low halves of two: of `first` with the seed, and above it of `second` without one. */
static inline uint64_t checksum32_two(const void *first, size_t first_size, uint64_t seed,
                                      const void *second, size_t second_size) {
#if defined(__x86_64__)
  if (checksum_short_is_here && checksum_is_short(first_size) && checksum_is_short(second_size))
    return checksum32_short_two(first, first_size, seed, second, second_size);
#endif
  return (uint32_t)checksum64(first, first_size, seed) |
         (uint64_t)(uint32_t)checksum64(second, second_size, 0) << 32;
}

/* The same of bytes that come piece by piece. */
typedef XXH3_state_t checksum_stream;

static inline void checksum_begin(checksum_stream *stream, uint64_t seed) {
  XXH3_INITSTATE(stream);
  XXH3_64bits_reset_withSeed(stream, seed);
}
static inline void checksum_add(checksum_stream *stream, const void *data, size_t size) {
  XXH3_64bits_update(stream, data, size);
}
static inline uint64_t checksum_end(const checksum_stream *stream) {
  return XXH3_64bits_digest(stream);
}

/* Spread every bit of `value` over the result (the finaliser of MurmurHash3). */
static inline uint64_t checksum_mix(uint64_t value) {
  value ^= value >> 33;
  value *= UINT64_C(0xff51afd7ed558ccd);
  value ^= value >> 33;
  value *= UINT64_C(0xc4ceb9fe1a85ec53);
  return value ^ (value >> 33);
}

#endif
