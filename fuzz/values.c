#include "values.h"

#include <stdio.h>

size_t value_make(bitcask_bytes key, unsigned number, char out[VALUE_SIZE_MAX]) {
  if (key.size > 0) memcpy(out, key.data, key.size);
  size_t size = key.size;
  size += (size_t)snprintf(out + size, VALUE_SIZE_MAX - size, "|%u|", number);
  memset(out + size, 'a' + (int)(number % 26), number % 100);
  return size + number % 100;
}

bool value_is_of(bitcask_bytes key, bitcask_bytes value) {
  const char *text = value.data;
  char expected[VALUE_SIZE_MAX];
  unsigned number = 0;
  if (key.size > 100 || value.size <= key.size) return false;
  for (size_t at = key.size + 1; at < value.size && text[at] >= '0' && text[at] <= '9'; at++)
    number = number * 10 + (unsigned)(text[at] - '0');
  size_t size = value_make(key, number, expected);
  return size == value.size && memcmp(expected, text, size) == 0;
}
