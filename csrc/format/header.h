/*
 * The 64 bytes at the beginning of every segment, hint file, manifest and keydir checkpoint.
 *
 *    0  8  magic: which kind of file
 *    8  4  format version (1)
 *   12  4  boot: the same as long as the writing machine was not started anew; 0: unknown
 *   16 16  identity of the store, random, the same in all its files
 *   32  8  number: of the segment or of the manifest; of a checkpoint 0
 *   40  8  salt: random; seeds the checks of what follows, so that bytes copied from
 *          another file or place never pass
 *   48  8  created, milliseconds since 1970
 *   56  8  check: XXH3-64 of bytes 0 to 55
 */
#ifndef BITCASK_FORMAT_HEADER_H
#define BITCASK_FORMAT_HEADER_H

#include "base/status.h"

#define HEADER_SIZE 64
#define HEADER_FORMAT_VERSION 1

enum header_kind { HEADER_SEGMENT, HEADER_HINT, HEADER_MANIFEST, HEADER_CHECKPOINT };

typedef struct store_identity {
  uint8_t bytes[16];
} store_identity;

struct header {
  enum header_kind kind;
  store_identity store;
  uint64_t number;
  uint64_t salt;
  uint64_t created_ms;
  uint32_t boot;
};

void header_encode(const struct header *header, uint8_t out[HEADER_SIZE]);

/* CORRUPT: not such a header, or damaged. INCOMPATIBLE: a later format version. `name` is
 * the file's, for the text. */
enum bitcask_status header_decode(const uint8_t *bytes, size_t size, enum header_kind kind,
                                  const char *name, struct header *out);

bool store_identity_equal(store_identity a, store_identity b);

#endif
