#include "base/checksum_avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* Everything below is for these instructions; what stands above is not. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#else
#pragma GCC target("avx512f")
#endif

#define XXH_INLINE_ALL
#define XXH_VECTOR XXH_AVX512
#include <xxhash.h>

uint64_t checksum64_avx512(const void *data, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(data, size, seed);
}

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
