#include "base/checksum_short.h"

bool checksum_short_is_here = false;

#if defined(__x86_64__)

#include <immintrin.h>

#define INSTRUCTIONS __attribute__((target("avx512f,avx512dq,avx512vl,avx512ifma")))
#define INLINED static inline __attribute__((always_inline)) INSTRUCTIONS

/* With VBMI2 came the processors that do not lower their clock for these (Ice Lake, Zen 4). */
__attribute__((constructor)) static void look_at_processor(void) {
  __builtin_cpu_init();
  checksum_short_is_here = __builtin_cpu_supports("avx512f") &&
                           __builtin_cpu_supports("avx512dq") &&
                           __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512ifma") &&
                           __builtin_cpu_supports("avx512vbmi2");
}

/*
 * XXH3, version 0.8 of xxHash, takes input of 17 to 128 bytes as blocks of 16: one from the
 * beginning and one from the end for each 32 bytes or part of them; they may overlap.
 *
 *   sum = size * PRIME + the sum over all blocks of fold((low ^ secret) * (high ^ other secret))
 *
 * low and high are the halves of a block, a product has 128 bits, and to fold it is to xor its
 * halves. The seed is added to the secret of the low half and taken from that of the high one. A
 * vector holds the blocks from the beginning, another one those from the end, the last at its top;
 * both are regrouped into the low halves of all blocks and the high ones.
 */

#define PRIME UINT64_C(0x9E3779B185EBCA87)
#define PRIME_OF_THE_END UINT64_C(0x165667919E3779F9)

#define WORD(number) ((long long)UINT64_C(number))
static const long long secret_of_front[8] = {
    WORD(0xbe4ba423396cfeb8), WORD(0x1cad21f72c81017c), WORD(0x78e5c0cc4ee679cb),
    WORD(0x2172ffcc7dd05a82), WORD(0xcb00c391bb52283c), WORD(0xa32e531b8b65d088),
    WORD(0x3f349ce33f76faa8), WORD(0x1d4f0bc7c7bbdcf9)};
static const long long secret_of_back[8] = {
    WORD(0x3159b4cd4be0518a), WORD(0x647378d9c97e9fc8), WORD(0x4ef90da297486471),
    WORD(0xd8acdea946ef1938), WORD(0x8e2443f7744608b8), WORD(0x4c263a81e69035e0),
    WORD(0xdb979083e96dd4de), WORD(0x1f67b3b7a4a44072)};

/* Eight products of 128 bits, each folded: from those of pieces of 52 bits, of which there are
 * instructions for the low and for the high half. With a = a1 * 2^52 + a0 and so on:
 *
 *   a * b = a0 b0 + (a0 b1 + a1 b0) * 2^52 + a1 b1 * 2^104
 *
 * where the instructions look at nothing above the lowest 52 bits of what they are given. */
INLINED __m512i multiply_and_fold(__m512i a, __m512i b) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i a1 = _mm512_srli_epi64(a, 52), b1 = _mm512_srli_epi64(b, 52);
  __m512i first = _mm512_madd52lo_epu64(zero, a, b);
  __m512i second = _mm512_madd52lo_epu64(_mm512_madd52hi_epu64(zero, a, b), a, b1);
  second = _mm512_add_epi64(second, _mm512_madd52lo_epu64(zero, a1, b));
  __m512i third = _mm512_madd52lo_epu64(_mm512_madd52hi_epu64(zero, a, b1), a1, b1);
  third = _mm512_madd52hi_epu64(third, a1, b);
  __m512i high = _mm512_add_epi64(_mm512_srli_epi64(second, 12), _mm512_slli_epi64(third, 40));
  return _mm512_ternarylogic_epi64(first, _mm512_slli_epi64(second, 52), high, 0x96); /* xor */
}

/* Which words of the two vectors are blocks of so many bytes. Branches, since most sizes are the
 * same: so nothing waits for a size that is still on its way from memory. */
INLINED void choose_words(size_t size, __mmask8 *front, __mmask8 *back) {
  if (size > 96)
    *front = 0xFF, *back = 0xFF;
  else if (size > 64)
    *front = 0x3F, *back = 0xFC;
  else if (size > 32)
    *front = 0x0F, *back = 0xF0;
  else
    *front = 0x03, *back = 0xC0;
}

/* What each block adds to the sum. Words that are not chosen are not read. */
INLINED __m512i mix(const void *data, size_t size, __m512i seeds) {
  const void *top = (const void *)((uintptr_t)data + size - sizeof(__m512i));
  __m512i front_secret = _mm512_add_epi64(_mm512_loadu_si512(secret_of_front), seeds);
  __m512i back_secret = _mm512_add_epi64(_mm512_loadu_si512(secret_of_back), seeds);
  __mmask8 front, back;
  choose_words(size, &front, &back);
  __m512i a = _mm512_maskz_xor_epi64(front, _mm512_maskz_loadu_epi64(front, data), front_secret);
  __m512i b = _mm512_maskz_xor_epi64(back, _mm512_maskz_loadu_epi64(back, top), back_secret);
  return multiply_and_fold(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

INLINED __m512i spread_seed(uint64_t seed) {
  __m512i seeds = _mm512_set1_epi64((long long)seed);
  return _mm512_mask_sub_epi64(seeds, 0xAA, _mm512_setzero_si512(), seeds);
}

/* Two sums, the words of the first in `one`: at the places of the result. */
INLINED __m128i add_up_two(__m512i one, size_t one_size, __m512i other, size_t other_size) {
  __m512i pairs = _mm512_add_epi64(_mm512_unpacklo_epi64(one, other),
                                   _mm512_unpackhi_epi64(one, other));
  __m256i half = _mm256_add_epi64(_mm512_castsi512_si256(pairs),
                                  _mm512_extracti64x4_epi64(pairs, 1));
  __m128i sums = _mm_add_epi64(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  return _mm_add_epi64(sums, _mm_set_epi64x((long long)(other_size * PRIME),
                                            (long long)(one_size * PRIME)));
}

/* The last step of both. */
INLINED __m128i finish_two(__m128i sums) {
  sums = _mm_xor_si128(sums, _mm_srli_epi64(sums, 37));
  sums = _mm_mullo_epi64(sums, _mm_set1_epi64x((long long)PRIME_OF_THE_END));
  return _mm_xor_si128(sums, _mm_srli_epi64(sums, 32));
}

INSTRUCTIONS uint64_t checksum32_short_two(const void *first, size_t first_size, uint64_t seed,
                                           const void *second, size_t second_size) {
  __m512i one = mix(first, first_size, spread_seed(seed));
  __m512i other = mix(second, second_size, _mm512_setzero_si512());
  __m128i both = finish_two(add_up_two(one, first_size, other, second_size));
  return (uint64_t)_mm_cvtsi128_si64(_mm_shuffle_epi32(both, _MM_SHUFFLE(3, 1, 2, 0)));
}

#endif
