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

bool record_peek(const uint8_t *bytes, size_t size, uint64_t *record_bytes) {
  if (size < RECORD_FIXED_SIZE || bytes[23] != RECORD_MARK) return false;
  uint8_t flags = bytes[22];
  if ((flags & ~RECORD_FLAGS) != 0) return false;
  uint32_t value_size = get_u32(bytes + 16);
  if ((flags & RECORD_TOMBSTONE) && value_size != 0) return false;
  *record_bytes = record_size(get_u16(bytes + 20), value_size, flags);
  return true;
}

bool record_parse(const uint8_t *bytes, size_t size, struct record *out) {
  uint64_t needed = 0;
  if (!record_peek(bytes, size, &needed) || needed > size) return false;
  uint8_t flags = bytes[22];
  size_t header_size = record_header_size(flags);
  size_t key_size = get_u16(bytes + 20);
  out->header_check = get_u32(bytes);
  out->value_check = get_u32(bytes + 4);
  out->version = get_u64(bytes + 8);
  out->flags = flags;
  out->synced = get_u32(bytes + 24);
  out->expires = flags & RECORD_EXPIRES ? get_u64(bytes + 28) : 0;
  out->key = bytes_of(bytes + header_size, key_size);
  out->value = bytes_of(bytes + header_size + key_size, get_u32(bytes + 16));
  return true;
}

bool record_header_is_intact(const struct record *record, const uint8_t *bytes, uint64_t salt,
                             uint64_t offset) {
  /* Header and key stand side by side here: no copy, no stream. */
  size_t size = record_header_size(record->flags) + record->key.size;
  return record->header_check == (uint32_t)checksum64(bytes + 4, size - 4, salt + offset) &&
         record->version != 0;
}
