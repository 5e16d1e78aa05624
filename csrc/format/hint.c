#include "format/hint.h"

enum bitcask_status hint_append_entry(struct bitcask_buffer *body,
                                      const struct hint_entry *entry) {
  uint8_t fixed[HINT_ENTRY_FIXED_SIZE + 8];
  size_t size = HINT_ENTRY_FIXED_SIZE;
  put_u64(fixed, entry->version);
  put_u32(fixed + 8, (uint32_t)(entry->offset / RECORD_UNIT));
  put_u32(fixed + 12, (uint32_t)(entry->size / RECORD_UNIT));
  put_u16(fixed + 16, (uint16_t)entry->key.size);
  fixed[18] = entry->flags;
  if (entry->flags & RECORD_EXPIRES) {
    put_u64(fixed + size, entry->expires);
    size += 8;
  }
  TRY(buffer_append(body, bytes_of(fixed, size)));
  return buffer_append(body, entry->key);
}

bool hint_next_entry(struct coding_reader *reader, struct hint_entry *out) {
  if (reader->left == 0 || reader->failed) return false;
  out->version = coding_u64(reader);
  out->offset = (uint64_t)coding_u32(reader) * RECORD_UNIT;
  out->size = (uint64_t)coding_u32(reader) * RECORD_UNIT;
  size_t key_size = coding_u16(reader);
  out->flags = coding_u8(reader);
  out->expires = out->flags & RECORD_EXPIRES ? coding_u64(reader) : 0;
  out->key = coding_bytes(reader, key_size);
  if (out->version == 0 || (out->flags & ~RECORD_FLAGS) != 0) reader->failed = true;
  return !reader->failed;
}

void hint_encode_prefix(const struct header *header, const struct hint_binding *binding,
                        const struct hint_body *body, uint8_t out[HINT_PREFIX_SIZE]) {
  header_encode(header, out);
  put_u64(out + 64, binding->segment_length);
  put_u64(out + 72, binding->segment_digest);
  put_u64(out + 80, binding->entries);
  put_u64(out + 88, body->size);
  put_u64(out + 96, body->check);
  put_u64(out + 104, checksum64(out + 64, 40, header->salt));
}

enum bitcask_status hint_decode(bitcask_bytes file, const char *name, struct header *header,
                                struct hint_binding *binding, bitcask_bytes *body) {
  const uint8_t *bytes = file.data;
  TRY(header_decode(bytes, file.size, HEADER_HINT, name, header));
  if (file.size < HINT_PREFIX_SIZE)
    return status_fail(BITCASK_CORRUPT, "%s: cut short after %zu bytes", name, file.size);
  if (get_u64(bytes + 104) != checksum64(bytes + 64, 40, header->salt))
    return status_fail(BITCASK_CORRUPT, "%s: the facts fail their check", name);
  if (get_u64(bytes + 88) != file.size - HINT_PREFIX_SIZE)
    return status_fail(BITCASK_CORRUPT, "%s: %zu bytes of entries, where %llu were written", name,
                       file.size - HINT_PREFIX_SIZE, (unsigned long long)get_u64(bytes + 88));
  *body = bytes_of(bytes + HINT_PREFIX_SIZE, file.size - HINT_PREFIX_SIZE);
  if (get_u64(bytes + 96) != checksum64(body->data, body->size, header->salt))
    return status_fail(BITCASK_CORRUPT, "%s: the entries fail their check", name);
  binding->segment_length = get_u64(bytes + 64);
  binding->segment_digest = get_u64(bytes + 72);
  binding->entries = get_u64(bytes + 80);
  return BITCASK_OK;
}
