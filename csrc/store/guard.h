/*
 * Short reads and the end of segments: a reader enters a guard, may then use any segment
 * that the keydir leads it to, and leaves. Whoever takes a segment out of the store waits
 * in guard_wait until every reader that might still see it has left.
 *
 * Readers count themselves in one of two sets of counters, spread over cache lines so that
 * threads seldom share one; they never wait. The waiter flips which set newcomers use and
 * waits for the other to drain, twice, because a reader may have chosen its set just
 * before the flip and counted itself just after (as in Linux's sleepable RCU).
 *
 * What readers do inside can be counted in the word that they change anyway:
 *
 *   | visits that were counted, 44 bits | readers, 20 bits |
 *
 * Threads: any. Of several who wait, one waits for the readers, and the others for him.
 */
#ifndef BITCASK_STORE_GUARD_H
#define BITCASK_STORE_GUARD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { GUARD_STRIPES = 16 };

#define GUARD_READERS ((UINT64_C(1) << 20) - 1) /* the bits for them */

struct guard_stripe {
  alignas(64) atomic_uint_least64_t words[2];
};

struct guard {
  struct guard_stripe stripes[GUARD_STRIPES];
  alignas(64) atomic_uint epoch;
  atomic_bool is_waiting; /* somebody is */
};

typedef atomic_uint_least64_t *guard_token;

/* Threads have their stacks far apart; which stripe is taken decides speed alone. */
static inline guard_token guard_enter(struct guard *guard) {
  uintptr_t stack = (uintptr_t)__builtin_frame_address(0) >> 16;
  unsigned stripe = (unsigned)((stack * UINT64_C(0x9E3779B97F4A7C15)) >> 60);
  unsigned set = atomic_load_explicit(&guard->epoch, memory_order_relaxed) & 1;
  guard_token token = &guard->stripes[stripe].words[set];
  atomic_fetch_add_explicit(token, 1, memory_order_seq_cst);
  return token;
}

static inline void guard_leave(guard_token token) {
  atomic_fetch_sub_explicit(token, 1, memory_order_release);
}

/* The same, and count the visit: it costs nothing. */
static inline void guard_leave_counted(guard_token token) {
  atomic_fetch_add_explicit(token, GUARD_READERS, memory_order_release); /* one more, one less */
}

/* How many visits were counted. */
uint64_t guard_count(const struct guard *guard);

/* Wait until every reader that entered before this call has left. */
void guard_wait(struct guard *guard);

#endif
