#include "base/checksum_avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* Everything below is for these instructions; what stands above is not. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif

#define XXH_INLINE_ALL
#define XXH_VECTOR XXH_AVX2
#include <xxhash.h>

uint64_t checksum64_avx2(const void *data, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(data, size, seed);
}

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
