/*
 * Little-endian integers to bytes and back, and a reader that cannot run past the end.
 */
#ifndef BITCASK_BASE_CODING_H
#define BITCASK_BASE_CODING_H

#include "base/bytes.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CODING_LE16(x) (x)
#define CODING_LE32(x) (x)
#define CODING_LE64(x) (x)
#else
#define CODING_LE16(x) __builtin_bswap16(x)
#define CODING_LE32(x) __builtin_bswap32(x)
#define CODING_LE64(x) __builtin_bswap64(x)
#endif

static inline void put_u16(void *to, uint16_t value) {
  value = CODING_LE16(value);
  memcpy(to, &value, sizeof value);
}

static inline void put_u32(void *to, uint32_t value) {
  value = CODING_LE32(value);
  memcpy(to, &value, sizeof value);
}

static inline void put_u64(void *to, uint64_t value) {
  value = CODING_LE64(value);
  memcpy(to, &value, sizeof value);
}

static inline uint16_t get_u16(const void *from) {
  uint16_t value;
  memcpy(&value, from, sizeof value);
  return CODING_LE16(value);
}

static inline uint32_t get_u32(const void *from) {
  uint32_t value;
  memcpy(&value, from, sizeof value);
  return CODING_LE32(value);
}

static inline uint64_t get_u64(const void *from) {
  uint64_t value;
  memcpy(&value, from, sizeof value);
  return CODING_LE64(value);
}

/* Reads fields one after the other. Once one did not fit, `failed` stays set and every
 * further field reads as zero, so that a parser checks once, at the end. */
struct coding_reader {
  const uint8_t *at;
  size_t left;
  bool failed;
};

struct coding_reader coding_read(bitcask_bytes bytes);
uint8_t coding_u8(struct coding_reader *reader);
uint16_t coding_u16(struct coding_reader *reader);
uint32_t coding_u32(struct coding_reader *reader);
uint64_t coding_u64(struct coding_reader *reader);
bitcask_bytes coding_bytes(struct coding_reader *reader, size_t size);

/* Append one integer to a buffer. */
enum bitcask_status coding_append_u8(struct bitcask_buffer *buffer, uint8_t value);
enum bitcask_status coding_append_u32(struct bitcask_buffer *buffer, uint32_t value);
enum bitcask_status coding_append_u64(struct bitcask_buffer *buffer, uint64_t value);

#endif
