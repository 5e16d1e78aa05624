#include "store/guard.h"

#include "base/thread.h"

static uint64_t readers_in(struct guard *guard, unsigned set) {
  uint64_t sum = 0;
  for (int i = 0; i < GUARD_STRIPES; i++)
    sum += atomic_load_explicit(&guard->stripes[i].words[set], memory_order_seq_cst) &
           GUARD_READERS;
  return sum;
}

uint64_t guard_count(const struct guard *guard) {
  uint64_t sum = 0;
  for (int i = 0; i < GUARD_STRIPES; i++)
    for (int set = 0; set < 2; set++)
      sum += atomic_load_explicit(&guard->stripes[i].words[set], memory_order_relaxed) /
             (GUARD_READERS + 1);
  return sum;
}

void guard_wait(struct guard *guard) {
  while (atomic_exchange(&guard->is_waiting, true)) thread_pause();
  for (int flip = 0; flip < 2; flip++) {
    unsigned before = atomic_fetch_add(&guard->epoch, 1) & 1;
    while (readers_in(guard, before) > 0) thread_pause();
  }
  atomic_thread_fence(memory_order_seq_cst);
  atomic_store(&guard->is_waiting, false);
}
