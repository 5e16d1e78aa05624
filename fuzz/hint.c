/*
 * A hint file. Input: its bytes.
 *
 * Entries lie within the file, and written again they are the same bytes; so whole files that
 * are believed are just those that would be written.
 */
#include "base/checksum.h"
#include "format/hint.h"

#include <stdlib.h>

#include "fuzz.h"
#include "reseal.h"

static void check_entries(bitcask_bytes body) {
  struct coding_reader reader = coding_read(body);
  struct bitcask_buffer again = {0};
  struct hint_entry entry;
  uint64_t count = 0;
  while (hint_next_entry(&reader, &entry)) {
    MUST(hint_append_entry(&again, &entry) == BITCASK_OK);
    count++;
  }
  MUST(again.size <= body.size && count <= body.size / HINT_ENTRY_FIXED_SIZE);
  MUST(again.size == 0 || memcmp(again.data, body.data, again.size) == 0);
  MUST(reader.failed || again.size == body.size);
  bitcask_buffer_release(&again);
}

static void try(bitcask_bytes file) {
  struct header header;
  struct hint_binding binding;
  bitcask_bytes body = {0};
  uint8_t again[HINT_PREFIX_SIZE];
  fuzz_memory_begin();
  enum bitcask_status status = hint_decode(file, "name", &header, &binding, &body);
  fuzz_memory_end(file.size, 0, 0);
  MUST(status == BITCASK_OK || status == BITCASK_CORRUPT || status == BITCASK_INCOMPATIBLE);
  if (status != BITCASK_OK) return;
  MUST(body.size == file.size - HINT_PREFIX_SIZE);
  const struct hint_body told = {body.size, checksum64(body.data, body.size, header.salt)};
  hint_encode_prefix(&header, &binding, &told, again);
  MUST(memcmp(again, file.data, sizeof again) == 0);
  check_entries(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  try(bytes_of(data, size));
  check_entries(bytes_of(data, size));
  uint8_t *sealed = malloc(size + 1);
  MUST(sealed != NULL);
  memcpy(sealed, data, size);
  reseal_hint(sealed, size);
  try(bytes_of(sealed, size));
  free(sealed);
  return 0;
}
