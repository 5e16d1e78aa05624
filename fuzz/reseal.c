#include "reseal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/checksum.h"
#include "format/checkpoint.h"
#include "format/edit.h"
#include "format/header.h"
#include "format/hint.h"
#include "format/record.h"

void reseal_header(uint8_t *bytes) { put_u64(bytes + 56, checksum64(bytes, 56, 0)); }

void reseal_records(uint8_t *bytes, size_t size, uint64_t salt, uint64_t offset) {
  size_t at = 0;
  while (at + RECORD_FIXED_SIZE <= size) {
    struct record record;
    uint8_t header[RECORD_HEADER_SIZE_MAX];
    if (!record_parse(bytes + at, size - at, &record)) {
      at += RECORD_UNIT;
      continue;
    }
    record.value_check = record_value_check(record.value);
    memcpy(bytes + at, header, record_encode_header(&record, salt, offset + at, header));
    at += (size_t)record_size_of(&record);
  }
}

void reseal_segment(uint8_t *bytes, size_t size) {
  if (size < HEADER_SIZE) return;
  reseal_header(bytes);
  reseal_records(bytes + HEADER_SIZE, size - HEADER_SIZE, get_u64(bytes + 40), HEADER_SIZE);
}

void reseal_hint(uint8_t *bytes, size_t size) {
  if (size < HINT_PREFIX_SIZE) return;
  uint64_t salt = get_u64(bytes + 40);
  reseal_header(bytes);
  put_u64(bytes + 88, size - HINT_PREFIX_SIZE);
  put_u64(bytes + 96, checksum64(bytes + HINT_PREFIX_SIZE, size - HINT_PREFIX_SIZE, salt));
  put_u64(bytes + 104, checksum64(bytes + 64, 40, salt));
}

/* The check of a part of the file, if it lies in it. */
static void put_check(uint8_t *at, const uint8_t *bytes, size_t size, uint64_t offset,
                      uint64_t part, uint64_t salt) {
  if (offset <= size && part <= size - offset) put_u64(at, checksum64(bytes + offset, part, salt));
}

/* Its size at the end says where the index begins; where it is wrong, it is left so. */
void reseal_checkpoint(uint8_t *bytes, size_t size) {
  enum { FIXED = 64, ROW = 32, ROWS_END = FIXED + CHECKPOINT_SHARDS * ROW };
  if (size < HEADER_SIZE + ROWS_END + CHECKPOINT_TRAILER_SIZE) return;
  uint64_t salt = get_u64(bytes + 40);
  reseal_header(bytes);
  uint64_t length = get_u64(bytes + size - CHECKPOINT_TRAILER_SIZE);
  if (length < ROWS_END || length > size - HEADER_SIZE - CHECKPOINT_TRAILER_SIZE) return;
  uint8_t *index = bytes + size - CHECKPOINT_TRAILER_SIZE - length;
  uint64_t items = get_u64(index + 24), items_offset = get_u64(index + 32);
  if (items <= size) put_check(index + 40, bytes, size, items_offset, items * CHECKPOINT_ITEM_SIZE, salt);
  for (uint8_t *row = index + FIXED; row < index + ROWS_END; row += ROW) {
    uint64_t slots = (uint64_t)get_u32(row + 8) + get_u32(row + 12);
    put_check(row + 24, bytes, size, get_u64(row), slots * CHECKPOINT_SLOT_SIZE, salt);
  }
  put_u64(bytes + size - 8, checksum64(index, (size_t)length + 8, salt));
}

void reseal_manifest(uint8_t *bytes, size_t size) {
  if (size < HEADER_SIZE) return;
  reseal_header(bytes);
  uint64_t salt = get_u64(bytes + 40), number = 1;
  size_t at = HEADER_SIZE;
  while (at + EDIT_FRAME_SIZE <= size) {
    size_t payload = get_u32(bytes + at), left = size - at - EDIT_FRAME_SIZE;
    if (payload > left) payload = left;
    bitcask_bytes inner = bytes_of(bytes + at + EDIT_FRAME_SIZE, payload);
    edit_encode_frame(inner, number++, salt, bytes + at);
    at += EDIT_FRAME_SIZE + payload;
  }
}

void reseal_current(uint8_t *bytes, size_t size) {
  char check[32];
  if (size < 18) return;
  size_t covered = size - 18; /* " <16 hex>\n", and the space behind what is covered */
  snprintf(check, sizeof check, " %016" PRIx64 "\n", checksum64(bytes, covered, 0));
  memcpy(bytes + covered, check, 18);
}
