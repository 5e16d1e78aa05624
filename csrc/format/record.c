#include "format/record.h"

static uint32_t header_check(const uint8_t *header, size_t header_size, bitcask_bytes key,
                             uint64_t seed) {
  /* With a short key it is checked in one go without streaming state. */
  uint8_t together[256];
  if (header_size - 4 + key.size <= sizeof together) {
    memcpy(together, header + 4, header_size - 4);
    if (key.size > 0) memcpy(together + header_size - 4, key.data, key.size);
    return (uint32_t)checksum64(together, header_size - 4 + key.size, seed);
  }
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset_withSeed(&state, seed);
  XXH3_64bits_update(&state, header + 4, header_size - 4);
  XXH3_64bits_update(&state, key.data, key.size);
  return (uint32_t)XXH3_64bits_digest(&state);
}

/* All but the check; returns the header's size. */
static size_t put_fields(const struct record *record, uint8_t *out) {
  put_u32(out + 4, record->value_check);
  put_u64(out + 8, record->version);
  put_u32(out + 16, (uint32_t)record->value.size);
  put_u16(out + 20, (uint16_t)record->key.size);
  out[22] = record->flags;
  out[23] = RECORD_MARK;
  put_u32(out + 24, record->synced);
  if (record->flags & RECORD_EXPIRES) put_u64(out + 28, record->expires);
  return record_header_size(record->flags);
}

size_t record_encode_header(struct record *record, uint64_t salt, uint64_t offset,
                            uint8_t out[RECORD_HEADER_SIZE_MAX]) {
  size_t size = put_fields(record, out);
  record->header_check = header_check(out, size, record->key, salt + offset);
  put_u32(out, record->header_check);
  return size;
}

size_t record_encode(struct record *record, uint64_t salt, uint64_t offset, uint8_t *out) {
  size_t at = put_fields(record, out);
  if (record->key.size > 0) memcpy(out + at, record->key.data, record->key.size);
  at += record->key.size;
  record->header_check = (uint32_t)checksum64(out + 4, at - 4, salt + offset);
  put_u32(out, record->header_check);
  if (record->value.size > 0) memcpy(out + at, record->value.data, record->value.size);
  at += record->value.size;
  size_t end = (size_t)record_padded(at);
  memset(out + at, 0, end - at);
  return end;
}
