/*
 * Borrowed bytes (bitcask_bytes) and owned ones (struct bitcask_buffer).
 */
#ifndef BITCASK_BASE_BYTES_H
#define BITCASK_BASE_BYTES_H

#include <string.h>

#include "base/memory.h"

static inline bitcask_bytes bytes_of(const void *data, size_t size) {
  return (bitcask_bytes){data, size};
}

/* As two words that may overlap: most keys are so short, and a call costs more. */
static inline bool bytes_equal_short(const char *a, const char *b, size_t size) {
  uint64_t first[2], last[2];
  memcpy(&first[0], a, 8);
  memcpy(&first[1], b, 8);
  memcpy(&last[0], a + size - 8, 8);
  memcpy(&last[1], b + size - 8, 8);
  return ((first[0] ^ first[1]) | (last[0] ^ last[1])) == 0;
}

static inline bool bytes_equal(bitcask_bytes a, bitcask_bytes b) {
  if (a.size != b.size) return false;
  if (a.size - 8 <= 8) return bytes_equal_short(a.data, b.data, a.size);
  return a.size == 0 || memcmp(a.data, b.data, a.size) == 0;
}

static inline bool bytes_begin_with(bitcask_bytes bytes, bitcask_bytes prefix) {
  return prefix.size == 0 ||
         (bytes.size >= prefix.size && memcmp(bytes.data, prefix.data, prefix.size) == 0);
}

void bytes_copy_any(void *to, const void *from, size_t size); /* for the next function alone */

/* memcpy, for what is some words long most of the time. Where a compiler knows that it is not
 * much, it uses an instruction that takes long to begin. */
INLINE void bytes_copy(void *to, const void *from, size_t size) {
  enum { WORDS = 16, MOST = 256 };
  if (size < WORDS || size > MOST) {
    bytes_copy_any(to, from, size);
    return;
  }
  for (size_t at = 0; at < size - WORDS; at += WORDS)
    memcpy((char *)to + at, (const char *)from + at, WORDS);
  memcpy((char *)to + size - WORDS, (const char *)from + size - WORDS, WORDS);
}

/* Make room for `more` bytes beyond those in use. */
enum bitcask_status buffer_reserve(struct bitcask_buffer *buffer, size_t more);

/* Append a copy of `bytes`. */
static inline enum bitcask_status buffer_append(struct bitcask_buffer *buffer,
                                                bitcask_bytes bytes) {
  if (buffer->capacity - buffer->size < bytes.size) TRY(buffer_reserve(buffer, bytes.size));
  if (bytes.size > 0) memcpy((char *)buffer->data + buffer->size, bytes.data, bytes.size);
  buffer->size += bytes.size;
  return BITCASK_OK;
}

/* The same as bitcask_buffer_release, for one that is empty most of the time. */
static inline void buffer_release(struct bitcask_buffer *buffer) {
  if (buffer->data != NULL) bitcask_buffer_release(buffer);
}

/* Replace the contents by a copy of `bytes`. */
enum bitcask_status buffer_assign(struct bitcask_buffer *buffer, bitcask_bytes bytes);

#endif
