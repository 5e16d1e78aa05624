#include "base/latch.h"

/* As long as it takes to go through a table, some ten microseconds: a nap takes longer. */
static bool is_soon_taken(struct latch *latch) UNCHECKED {
  enum { LOOKS = 400 };
  for (int i = 0; i < LOOKS; i++) {
    thread_breathe();
    bool is_held = atomic_load_explicit(&latch->is_held, memory_order_relaxed);
    if (!is_held && latch_try_lock(latch)) return true;
  }
  return false;
}

/* Longer than that it is held by a thread that has no processor, or waits for the disk. */
void latch_wait(struct latch *latch) UNCHECKED {
  if (is_soon_taken(latch)) return;
  while (!latch_try_lock(latch)) thread_pause();
}
