/*
 * XXH3 of long input by AVX-512: the same values, to be asked for only where the processor has it.
 */
#ifndef BITCASK_BASE_CHECKSUM_AVX512_H
#define BITCASK_BASE_CHECKSUM_AVX512_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
uint64_t checksum64_avx512(const void *data, size_t size, uint64_t seed);
#endif

#endif
