#include "engine/hash.h"

#include <string.h>

#include "base/checksum.h"

static uint64_t by_xxh3(bitcask_bytes key, uint64_t seed) {
  return checksum64(key.data, key.size, seed);
}

static uint64_t by_xxh64(bitcask_bytes key, uint64_t seed) {
  return XXH64(key.data, key.size, seed);
}

static uint64_t by_xxh32(bitcask_bytes key, uint64_t seed) {
  return checksum_mix(XXH32(key.data, key.size, (XXH32_hash_t)seed));
}

static const struct {
  const char *name;
  uint64_t (*function)(bitcask_bytes key, uint64_t seed);
} built_ins[] = {{"xxh3", by_xxh3}, {"xxh64", by_xxh64}, {"xxh32", by_xxh32}};

enum bitcask_status hash_init(struct hash *hash, const char *name, bitcask_hash_function function,
                              void *context, uint64_t seed) {
  *hash = (struct hash){.name = "function", .function = function, .context = context, .seed = seed};
  if (function != NULL) return BITCASK_OK;
  if (name == NULL) name = built_ins[0].name;
  for (size_t i = 0; i < sizeof built_ins / sizeof built_ins[0]; i++) {
    if (strcmp(name, built_ins[i].name) != 0) continue;
    hash->name = built_ins[i].name;
    hash->built_in = built_ins[i].function;
    hash->is_xxh3 = hash->built_in == by_xxh3;
    return BITCASK_OK;
  }
  return status_fail(BITCASK_INVALID, "no hash is named \"%s\"; there are xxh3, xxh64 and xxh32",
                     name);
}

enum bitcask_status hash_ask(const struct hash *hash, bitcask_bytes key, uint64_t *out) {
  uint64_t value = 0;
  if (hash->built_in != NULL) {
    *out = hash->built_in(key, hash->seed);
    return BITCASK_OK;
  }
  TRY(hash->function(hash->context, key, &value));
  /* Whatever the function is worth, its bits are spread over the shards. */
  *out = checksum_mix(value);
  return BITCASK_OK;
}
