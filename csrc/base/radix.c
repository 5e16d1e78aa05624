#include "base/radix.h"

#include "base/status.h"

#include <string.h>

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, INSERTION_COUNT = 32 };

/* The sizes that are used are known where these are compiled, so that an item is moved by a few
 * instructions. */
INLINE uint64_t key_of(const void *item, uint64_t mask) {
  uint64_t number;
  memcpy(&number, item, sizeof number);
  return number & mask;
}

INLINE char *item_at(const void *items, size_t index, size_t size) {
  return (char *)(uintptr_t)items + index * size;
}

INLINE void sort_by_insertion(void *items, void *spare, size_t count, size_t size,
                              uint64_t mask) {
  for (size_t i = 1; i < count; i++) {
    size_t at = i;
    memcpy(spare, item_at(items, i, size), size);
    uint64_t key = key_of(spare, mask);
    for (; at > 0 && key_of(item_at(items, at - 1, size), mask) > key; at--)
      memcpy(item_at(items, at, size), item_at(items, at - 1, size), size);
    memcpy(item_at(items, at, size), spare, size);
  }
}

INLINE void sort_by_digit(const void *from, void *to, size_t count, size_t size, uint64_t mask,
                          unsigned shift) {
  size_t starts[DIGITS] = {0}, sum = 0;
  for (size_t i = 0; i < count; i++)
    starts[(key_of(item_at(from, i, size), mask) >> shift) % DIGITS]++;
  for (unsigned digit = 0; digit < DIGITS; digit++) {
    size_t here = starts[digit];
    starts[digit] = sum;
    sum += here;
  }
  for (size_t i = 0; i < count; i++) {
    const char *item = item_at(from, i, size);
    memcpy(item_at(to, starts[(key_of(item, mask) >> shift) % DIGITS]++, size), item, size);
  }
}

INLINE uint64_t differing_bits(const void *items, size_t count, size_t size, uint64_t mask) {
  uint64_t differing = 0, first = key_of(items, mask);
  for (size_t i = 1; i < count; i++) differing |= key_of(item_at(items, i, size), mask) ^ first;
  return differing;
}

INLINE void sort(void *items, void *spare, size_t count, size_t size, uint64_t mask) {
  if (count <= INSERTION_COUNT) {
    if (count > 1) sort_by_insertion(items, spare, count, size, mask);
    return;
  }
  void *from = items, *to = spare;
  uint64_t left = differing_bits(items, count, size, mask);
  for (unsigned shift = 0; left != 0; left >>= DIGIT_BITS, shift += DIGIT_BITS) {
    unsigned same = (unsigned)__builtin_ctzll(left); /* bits that tell nothing */
    left >>= same;
    shift += same;
    sort_by_digit(from, to, count, size, mask, shift);
    void *sorted = to;
    to = from;
    from = sorted;
  }
  if (from != items) memcpy(items, from, count * size);
}

void radix_sort(void *items, void *spare, size_t count, size_t size, uint64_t mask) {
  switch (size) {
    case 8: sort(items, spare, count, 8, mask); break;
    case 24: sort(items, spare, count, 24, mask); break;
    default: sort(items, spare, count, size, mask); break;
  }
}
