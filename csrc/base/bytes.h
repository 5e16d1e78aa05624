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

static inline bool bytes_equal(bitcask_bytes a, bitcask_bytes b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool bytes_begin_with(bitcask_bytes bytes, bitcask_bytes prefix) {
  return prefix.size == 0 ||
         (bytes.size >= prefix.size && memcmp(bytes.data, prefix.data, prefix.size) == 0);
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
