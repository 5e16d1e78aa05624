#include "format/record.h"

static uint32_t header_check(const uint8_t *header, size_t header_size, bitcask_bytes key,
                             uint64_t seed) {
  /* Short keys, that is nearly all, are checked in one go without streaming state. */
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

size_t record_encode_header(struct record *record, uint64_t salt, uint64_t offset,
                            uint8_t out[RECORD_HEADER_SIZE_MAX]) {
  size_t size = record_header_size(record->flags);
  put_u32(out + 4, record->value_check);
  put_u64(out + 8, record->version);
  put_u32(out + 16, (uint32_t)record->value.size);
  put_u16(out + 20, (uint16_t)record->key.size);
  out[22] = record->flags;
  out[23] = RECORD_MARK;
  put_u32(out + 24, record->synced);
  if (record->flags & RECORD_EXPIRES) put_u64(out + 28, record->expires);
  record->header_check = header_check(out, size, record->key, salt + offset);
  put_u32(out, record->header_check);
  return size;
}
