#include "base/bytes.h"

void bytes_copy_any(void *to, const void *from, size_t size) { memcpy(to, from, size); }

enum bitcask_status buffer_reserve(struct bitcask_buffer *buffer, size_t more) {
  if (buffer->capacity - buffer->size >= more) return BITCASK_OK;
  size_t needed = 0;
  if (__builtin_add_overflow(buffer->size, more, &needed))
    return status_fail(BITCASK_NOMEMORY, "out of memory: a buffer of more than %zu bytes",
                       SIZE_MAX);
  size_t capacity = buffer->capacity + buffer->capacity / 2;
  if (capacity < needed) capacity = needed;
  if (capacity < 64) capacity = 64;
  void *data = memory_resize(buffer->data, capacity, 1);
  if (data == NULL) return BITCASK_NOMEMORY;
  buffer->data = data;
  buffer->capacity = capacity;
  return BITCASK_OK;
}

enum bitcask_status buffer_assign(struct bitcask_buffer *buffer, bitcask_bytes bytes) {
  buffer->size = 0;
  return buffer_append(buffer, bytes);
}

void bitcask_buffer_release(struct bitcask_buffer *buffer) {
  memory_free(buffer->data);
  *buffer = (struct bitcask_buffer){0};
}
