#include "base/coding.h"

struct coding_reader coding_read(bitcask_bytes bytes) {
  return (struct coding_reader){bytes.data, bytes.size, false};
}

bitcask_bytes coding_bytes(struct coding_reader *reader, size_t size) {
  if (reader->failed || size > reader->left) {
    reader->failed = true;
    return bytes_of(NULL, 0);
  }
  bitcask_bytes bytes = bytes_of(reader->at, size);
  reader->at += size;
  reader->left -= size;
  return bytes;
}

uint8_t coding_u8(struct coding_reader *reader) {
  bitcask_bytes bytes = coding_bytes(reader, 1);
  return bytes.data == NULL ? 0 : *(const uint8_t *)bytes.data;
}

uint16_t coding_u16(struct coding_reader *reader) {
  bitcask_bytes bytes = coding_bytes(reader, 2);
  return bytes.data == NULL ? 0 : get_u16(bytes.data);
}

uint32_t coding_u32(struct coding_reader *reader) {
  bitcask_bytes bytes = coding_bytes(reader, 4);
  return bytes.data == NULL ? 0 : get_u32(bytes.data);
}

uint64_t coding_u64(struct coding_reader *reader) {
  bitcask_bytes bytes = coding_bytes(reader, 8);
  return bytes.data == NULL ? 0 : get_u64(bytes.data);
}

enum bitcask_status coding_append_u8(struct bitcask_buffer *buffer, uint8_t value) {
  return buffer_append(buffer, bytes_of(&value, 1));
}

enum bitcask_status coding_append_u32(struct bitcask_buffer *buffer, uint32_t value) {
  uint8_t bytes[4];
  put_u32(bytes, value);
  return buffer_append(buffer, bytes_of(bytes, sizeof bytes));
}

enum bitcask_status coding_append_u64(struct bitcask_buffer *buffer, uint64_t value) {
  uint8_t bytes[8];
  put_u64(bytes, value);
  return buffer_append(buffer, bytes_of(bytes, sizeof bytes));
}
