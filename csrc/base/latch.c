#include "base/latch.h"

void latch_lot_init(struct latch_lot *lot) {
  mutex_init(&lot->lock);
  condition_init(&lot->changed);
}

void latch_lot_destroy(struct latch_lot *lot) {
  condition_destroy(&lot->changed);
  mutex_destroy(&lot->lock);
}

/* As long as it takes to go through a table, some ten microseconds: to sleep and to be woken takes
 * longer. */
static bool is_soon_free(struct latch *latch) {
  enum { LOOKS = 400 };
  for (int i = 0; i < LOOKS; i++) {
    thread_breathe();
    unsigned state = atomic_load_explicit(&latch->state, memory_order_relaxed);
    if (state == LATCH_FREE &&
        atomic_compare_exchange_weak_explicit(&latch->state, &state, LATCH_HELD,
                                              memory_order_acquire, memory_order_relaxed))
      return true;
  }
  return false;
}

/* Who unlocks an awaited latch passes through the lot's lock, so it cannot be freed between the
 * last look and the sleep without waking us. Woken, one gets it, as awaited: others may still
 * wait, and it costs a look of theirs if not. */
void latch_wait(struct latch *latch, struct latch_lot *lot) {
  if (is_soon_free(latch)) return;
  mutex_lock(&lot->lock);
  while (atomic_exchange_explicit(&latch->state, LATCH_AWAITED, memory_order_acquire) !=
         LATCH_FREE)
    condition_wait(&lot->changed, &lot->lock);
  mutex_unlock(&lot->lock);
}

/* Behind the lock, which whoever wakes up wants first. */
void latch_wake(struct latch_lot *lot) {
  mutex_lock(&lot->lock);
  mutex_unlock(&lot->lock);
  condition_wake_all(&lot->changed);
}
