/*
 * Short reads and the end of segments: a reader enters a guard, may then use any segment
 * that the keydir leads it to, and leaves. Whoever takes a segment out of the store waits
 * in guard_wait until every reader that might still see it has left.
 *
 * Readers count themselves in one of two sets of counters; they never wait. The waiter flips which
 * set newcomers use and waits for the other to drain, twice, because a reader may have chosen its
 * set just before the flip and counted itself just after (as in Linux's sleepable RCU).
 *
 * A counter that no other thread changes is changed by a plain store: a locked instruction would
 * wait for all that was stored before, and a reader stores what it has read. The waiter makes up for
 * it: it lets every thread of the process pass a barrier before it looks (as liburcu does by
 * membarrier). So whoever counted himself before that is seen, and whoever does so later finds
 * nothing of what was taken away. Counters are spread over stripes by thread; the first thread of a
 * stripe owns it as long as there is a guard, and others of the same stripe, or all where the
 * system has no such barrier, count themselves in shared words by locked instructions. A thread that
 * takes the identity of one that has ended takes over its stripe, whose counters are zero.
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

#include "base/thread.h"

enum { GUARD_STRIPE_BITS = 6, GUARD_STRIPES = 1 << GUARD_STRIPE_BITS };

#define GUARD_READERS ((UINT64_C(1) << 20) - 1) /* the bits for them */

struct guard_stripe {
  alignas(64) atomic_uintptr_t owner; /* a thread_identity; 0: nobody's */
  atomic_uint_least64_t own[2];       /* changed by the owner alone */
  alignas(64) atomic_uint_least64_t shared[2];
};

struct guard {
  struct guard_stripe stripes[GUARD_STRIPES];
  alignas(64) atomic_uint epoch;
  bool has_owners;        /* the system has the barrier that they need */
  atomic_bool is_waiting; /* somebody is */
};

void guard_init(struct guard *guard);

typedef struct guard_token {
  atomic_uint_least64_t *word;
  bool is_own;
} guard_token;

/* For the next function alone: of a thread that does not own its stripe, or not yet. */
guard_token guard_enter_shared(struct guard *guard, struct guard_stripe *stripe,
                               uintptr_t identity);

INLINE void guard_add_to_own(atomic_uint_least64_t *word, uint64_t number) {
  uint64_t before = atomic_load_explicit(word, memory_order_relaxed);
  atomic_store_explicit(word, before + number, memory_order_release);
}

INLINE guard_token guard_enter(struct guard *guard) {
  uintptr_t identity = thread_identity();
  unsigned at = (unsigned)((identity * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - GUARD_STRIPE_BITS));
  struct guard_stripe *stripe = &guard->stripes[at];
  if (atomic_load_explicit(&stripe->owner, memory_order_relaxed) != identity)
    return guard_enter_shared(guard, stripe, identity);
  unsigned set = atomic_load_explicit(&guard->epoch, memory_order_relaxed) & 1;
  guard_add_to_own(&stripe->own[set], 1);
  atomic_signal_fence(memory_order_seq_cst); /* the other half is thread_fence_all's */
  return (guard_token){&stripe->own[set], true};
}

/* For the next two alone. */
INLINE void guard_add(guard_token token, uint64_t number) {
  if (token.is_own)
    guard_add_to_own(token.word, number);
  else
    atomic_fetch_add_explicit(token.word, number, memory_order_release);
}

INLINE void guard_leave(guard_token token) { guard_add(token, UINT64_MAX); }

/* The same, and count the visit: it costs nothing. */
INLINE void guard_leave_counted(guard_token token) {
  guard_add(token, GUARD_READERS); /* one more, one less */
}

/* How many visits were counted. */
uint64_t guard_count(const struct guard *guard);

/* Wait until every reader that entered before this call has left. */
void guard_wait(struct guard *guard);

#endif
