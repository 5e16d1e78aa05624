/*
 * One record of a segment. Input: salt (8), unit of the offset (4), the bytes of the record.
 *
 * What can be parsed lies within the bytes, passes its checks exactly where its header is as
 * this module would write it, and comes back the same once it is sealed.
 */
#include "format/record.h"

#include <stdlib.h>

#include "fuzz.h"
#include "reseal.h"

static void check_within(const struct record *record, bitcask_bytes bytes) {
  const uint8_t *begin = bytes.data, *key = record->key.data, *value = record->value.data;
  MUST(key >= begin + RECORD_FIXED_SIZE && key + record->key.size == value);
  MUST(value + record->value.size <= begin + bytes.size);
  MUST(record_size_of(record) <= bytes.size && record_size_of(record) % RECORD_UNIT == 0);
  MUST((record->flags & ~RECORD_FLAGS) == 0);
  MUST(!(record->flags & RECORD_TOMBSTONE) || record->value.size == 0);
}

static void check_round_trip(const struct record *record, const uint8_t *bytes, uint64_t salt,
                             uint64_t offset) {
  uint8_t header[RECORD_HEADER_SIZE_MAX];
  struct record again = *record;
  size_t size = record_encode_header(&again, salt, offset, header);
  bool is_same = memcmp(header, bytes, size) == 0;
  MUST(record_header_is_intact(record, bytes, salt, offset) == (is_same && record->version != 0));
}

static void check_sealed(bitcask_bytes bytes, uint64_t salt, uint64_t offset) {
  uint8_t *copy = malloc(bytes.size);
  struct record record;
  MUST(copy != NULL);
  memcpy(copy, bytes.data, bytes.size);
  reseal_records(copy, bytes.size, salt, offset);
  MUST(record_parse(copy, bytes.size, &record));
  MUST(record_header_is_intact(&record, copy, salt, offset) == (record.version != 0));
  MUST(record_value_is_intact(&record));
  free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct coding_reader input = coding_read(bytes_of(data, size));
  uint64_t salt = fuzz_number(&input, 8);
  uint64_t offset = fuzz_number(&input, 4) * RECORD_UNIT;
  bitcask_bytes bytes = fuzz_bytes(&input, input.left);
  struct record record;
  uint64_t claimed = 0;
  fuzz_memory_begin();
  bool is_record = record_parse(bytes.data, bytes.size, &record);
  fuzz_memory_end(size, 0, 0);
  bool is_peeked = record_peek(bytes.data, bytes.size, &claimed);
  MUST(is_record == (is_peeked && claimed <= bytes.size));
  if (!is_record) return 0;
  check_within(&record, bytes);
  check_round_trip(&record, bytes.data, salt, offset);
  check_sealed(bytes, salt, offset);
  return 0;
}
