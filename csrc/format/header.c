#include "format/header.h"

#include "base/checksum.h"
#include "base/coding.h"

static const char *const magics[] = {
    [HEADER_SEGMENT] = "BCASKSEG",
    [HEADER_HINT] = "BCASKHNT",
    [HEADER_MANIFEST] = "BCASKMAN",
    [HEADER_CHECKPOINT] = "BCASKKEY",
};

void header_encode(const struct header *header, uint8_t out[HEADER_SIZE]) {
  memcpy(out, magics[header->kind], 8);
  put_u32(out + 8, HEADER_FORMAT_VERSION);
  put_u32(out + 12, header->boot);
  memcpy(out + 16, header->store.bytes, sizeof header->store.bytes);
  put_u64(out + 32, header->number);
  put_u64(out + 40, header->salt);
  put_u64(out + 48, header->created_ms);
  put_u64(out + 56, checksum64(out, 56, 0));
}

enum bitcask_status header_decode(const uint8_t *bytes, size_t size, enum header_kind kind,
                                  const char *name, struct header *out) {
  if (size < HEADER_SIZE)
    return status_fail(BITCASK_CORRUPT, "%s: %zu bytes are too short for a header", name, size);
  if (memcmp(bytes, magics[kind], 8) != 0)
    return status_fail(BITCASK_CORRUPT, "%s: does not begin with %s", name, magics[kind]);
  if (get_u64(bytes + 56) != checksum64(bytes, 56, 0))
    return status_fail(BITCASK_CORRUPT, "%s: the header fails its check", name);
  if (get_u32(bytes + 8) != HEADER_FORMAT_VERSION)
    return status_fail(BITCASK_INCOMPATIBLE, "%s: format version %u; this library knows %u", name,
                       (unsigned)get_u32(bytes + 8), (unsigned)HEADER_FORMAT_VERSION);
  out->kind = kind;
  memcpy(out->store.bytes, bytes + 16, sizeof out->store.bytes);
  out->number = get_u64(bytes + 32);
  out->salt = get_u64(bytes + 40);
  out->created_ms = get_u64(bytes + 48);
  out->boot = get_u32(bytes + 12);
  return BITCASK_OK;
}

bool store_identity_equal(store_identity a, store_identity b) {
  return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}
