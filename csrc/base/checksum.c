#include "base/checksum.h"

uint64_t bitcask_xxh3(bitcask_bytes bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
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
