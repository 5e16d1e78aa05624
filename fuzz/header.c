/*
 * The 64 bytes at the beginning of a file. Input: those bytes.
 *
 * What is believed would be written the same again; and what would be refused for its check
 * alone is believed once that is right.
 */
#include "format/header.h"

#include "fuzz.h"
#include "reseal.h"

static enum bitcask_status try(const uint8_t *bytes, size_t size, enum header_kind kind) {
  struct header header;
  uint8_t again[HEADER_SIZE];
  enum bitcask_status status = header_decode(bytes, size, kind, "name", &header);
  MUST(status == BITCASK_OK || status == BITCASK_CORRUPT || status == BITCASK_INCOMPATIBLE);
  if (status != BITCASK_OK) return status;
  MUST(size >= HEADER_SIZE && header.kind == kind);
  header_encode(&header, again);
  MUST(memcmp(again, bytes, HEADER_SIZE) == 0);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t sealed[HEADER_SIZE];
  int believed = 0;
  for (int kind = HEADER_SEGMENT; kind <= HEADER_MANIFEST; kind++)
    believed += try(data, size, (enum header_kind)kind) == BITCASK_OK;
  MUST(believed <= 1);
  if (size < HEADER_SIZE) return 0;
  memcpy(sealed, data, HEADER_SIZE);
  reseal_header(sealed);
  for (int kind = HEADER_SEGMENT; kind <= HEADER_MANIFEST; kind++)
    believed += try(sealed, HEADER_SIZE, (enum header_kind)kind) == BITCASK_OK;
  return 0;
}
