/*
 * The hash that places keys in the keydir: one of xxHash's by name, or the caller's own.
 */
#ifndef BITCASK_ENGINE_HASH_H
#define BITCASK_ENGINE_HASH_H

#include "base/checksum.h"

struct hash {
  const char *name;               /* "function" for a caller's own */
  bitcask_hash_function function; /* NULL for the built-in ones */
  void *context;
  uint64_t (*built_in)(bitcask_bytes key, uint64_t seed);
  bool is_xxh3; /* the built-in one that nearly everybody has: it is compiled in */
  uint64_t seed; /* random, so that nobody can choose keys that collide */
};

/* INVALID: there is no hash of that name. */
enum bitcask_status hash_init(struct hash *hash, const char *name, bitcask_hash_function function,
                              void *context, uint64_t seed);

/* One of the others asked; for the next function alone. */
enum bitcask_status hash_ask(const struct hash *hash, bitcask_bytes key, uint64_t *out);

/* Fails only when a caller's own function does. */
static inline enum bitcask_status hash_of(const struct hash *hash, bitcask_bytes key,
                                          uint64_t *out) {
  if (!hash->is_xxh3) return hash_ask(hash, key, out);
  *out = checksum64(key.data, key.size, hash->seed);
  return BITCASK_OK;
}

#endif
