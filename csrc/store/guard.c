#include "store/guard.h"

void guard_init(struct guard *guard) { guard->has_owners = thread_fence_all_is_here(); }

/* The first one to come owns the stripe from now on. */
static bool is_to_own(const struct guard *guard, struct guard_stripe *stripe, uintptr_t identity) {
  uintptr_t nobody = 0;
  return guard->has_owners &&
         atomic_load_explicit(&stripe->owner, memory_order_relaxed) == nobody &&
         atomic_compare_exchange_strong(&stripe->owner, &nobody, identity);
}

SELDOM guard_token guard_enter_shared(struct guard *guard, struct guard_stripe *stripe,
                                      uintptr_t identity) {
  bool is_own = is_to_own(guard, stripe, identity);
  unsigned set = atomic_load_explicit(&guard->epoch, memory_order_relaxed) & 1;
  atomic_uint_least64_t *word = is_own ? &stripe->own[set] : &stripe->shared[set];
  atomic_fetch_add_explicit(word, 1, memory_order_seq_cst);
  if (!guard->has_owners) atomic_thread_fence(memory_order_seq_cst); /* nobody fences for us */
  return (guard_token){word, is_own};
}

static uint64_t readers_in(struct guard *guard, unsigned set) {
  uint64_t sum = 0;
  for (int i = 0; i < GUARD_STRIPES; i++) {
    sum += atomic_load_explicit(&guard->stripes[i].own[set], memory_order_seq_cst) & GUARD_READERS;
    sum +=
        atomic_load_explicit(&guard->stripes[i].shared[set], memory_order_seq_cst) & GUARD_READERS;
  }
  return sum;
}

static uint64_t visits_in(const atomic_uint_least64_t words[2]) {
  return atomic_load_explicit(&words[0], memory_order_relaxed) / (GUARD_READERS + 1) +
         atomic_load_explicit(&words[1], memory_order_relaxed) / (GUARD_READERS + 1);
}

uint64_t guard_count(const struct guard *guard) {
  uint64_t sum = 0;
  for (int i = 0; i < GUARD_STRIPES; i++)
    sum += visits_in(guard->stripes[i].own) + visits_in(guard->stripes[i].shared);
  return sum;
}

/* From here on is seen what owners have counted. Where the system has come to refuse the barrier, a
 * while has to do: no processor keeps a store to itself for a thousandth of that. */
static void see_owners(void) {
  enum { NAPS = 200 }; /* of 50 microseconds */
  if (thread_fence_all()) return;
  for (int i = 0; i < NAPS; i++) thread_pause();
}

void guard_wait(struct guard *guard) {
  while (atomic_exchange(&guard->is_waiting, true)) thread_pause();
  for (int flip = 0; flip < 2; flip++) {
    unsigned before = atomic_fetch_add(&guard->epoch, 1) & 1;
    if (guard->has_owners) see_owners();
    while (readers_in(guard, before) > 0) thread_pause();
  }
  atomic_thread_fence(memory_order_seq_cst);
  atomic_store(&guard->is_waiting, false);
}
