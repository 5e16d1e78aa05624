#include "base/checksum.h"

#include "base/checksum_avx2.h"
#include "base/checksum_avx512.h"

/* The widest ones lower the clock of some processors: only for what they take a while for. */
enum { WIDEST_SIZE = 8 << 10 };

uint64_t checksum64_long(const void *data, size_t size, uint64_t seed) {
#if defined(__x86_64__)
  if (size >= WIDEST_SIZE && __builtin_cpu_supports("avx512f"))
    return checksum64_avx512(data, size, seed);
  if (__builtin_cpu_supports("avx2")) return checksum64_avx2(data, size, seed);
#endif
  return XXH3_64bits_withSeed(data, size, seed);
}

uint64_t bitcask_xxh3(bitcask_bytes bytes, uint64_t seed) {
  return checksum64(bytes.data, bytes.size, seed);
}

uint64_t bitcask_xxh64(bitcask_bytes bytes, uint64_t seed) {
  return XXH64(bytes.data, bytes.size, seed);
}

uint32_t bitcask_xxh32(bitcask_bytes bytes, uint32_t seed) {
  return XXH32(bytes.data, bytes.size, seed);
}

void bitcask_xxh128(bitcask_bytes bytes, uint64_t seed, uint64_t out[2]) {
  XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.size, seed);
  out[0] = hash.high64;
  out[1] = hash.low64;
}
