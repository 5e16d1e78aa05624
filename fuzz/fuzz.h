/*
 * What the fuzzers share: failing, an input read piece by piece, and an account of the memory
 * that is asked for.
 */
#ifndef BITCASK_FUZZ_H
#define BITCASK_FUZZ_H

#include "base/coding.h"

/* What must hold, or the input is kept as one that shows a fault. */
#define MUST(condition)                                                                       \
  do {                                                                                        \
    if (!(condition)) fuzz_fail(__FILE__, __LINE__, #condition);                              \
  } while (0)

_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* Begin to count the memory that is allocated in this thread. */
void fuzz_memory_begin(void);

/* No allocation since then was out of proportion to the input: each is at most `base` bytes and
 * `factor` times the size of the input. */
void fuzz_memory_end(size_t input_size, size_t base, size_t factor);

/* Reading inputs: where they end, everything reads as zero. */
static inline uint64_t fuzz_number(struct coding_reader *input, size_t bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes; i++) {
    uint8_t byte = input->left > 0 ? coding_u8(input) : 0;
    number |= (uint64_t)byte << 8 * i;
  }
  return number;
}

/* The next `size` bytes, or as many as there are. */
static inline bitcask_bytes fuzz_bytes(struct coding_reader *input, size_t size) {
  return coding_bytes(input, size < input->left ? size : input->left);
}

/* What a fuzzer is: tries one input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
