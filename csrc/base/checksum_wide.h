/*
 * XXH3 of long input by the wide instructions that some processors have: the same values.
 *
 * Each is compiled for its instructions and to be called only where the processor has them.
 */
#ifndef BITCASK_BASE_CHECKSUM_WIDE_H
#define BITCASK_BASE_CHECKSUM_WIDE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define CHECKSUM_HAS_WIDE 1
uint64_t checksum64_avx2(const void *data, size_t size, uint64_t seed);
uint64_t checksum64_avx512(const void *data, size_t size, uint64_t seed);
#endif

#endif
