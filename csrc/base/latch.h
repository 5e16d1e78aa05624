/*
 * A latch: a mutex of one byte, for what is held for some dozens of nanoseconds most of the
 * time. Taken by one locked instruction while nobody else wants it, and given back by a plain
 * store: with nobody to tell, since who meets it held looks again for a moment, and then again
 * after each of many short naps. A mutex that wakes its waiters has to find out whether there are
 * any, by a second locked instruction, which a look into a table cannot hide behind anything.
 *
 * Zeros make a free one. The annotations are those of base/thread.
 */
#ifndef BITCASK_BASE_LATCH_H
#define BITCASK_BASE_LATCH_H

#include <stdatomic.h>

#include "base/thread.h"

struct THREAD_ANNOTATION(capability("mutex")) latch {
  atomic_bool is_held;
};

/* For whoever has just tried in vain: wait until it is taken. */
void latch_wait(struct latch *latch) ACQUIRES(*latch);

static inline bool latch_try_lock(struct latch *latch)
    TRY_ACQUIRES(true, *latch) UNCHECKED {
  bool was_held = false;
  return atomic_compare_exchange_strong_explicit(&latch->is_held, &was_held, true,
                                                 memory_order_acquire, memory_order_relaxed);
}

static inline void latch_lock(struct latch *latch) ACQUIRES(*latch) UNCHECKED {
  if (!latch_try_lock(latch)) latch_wait(latch);
}

static inline void latch_unlock(struct latch *latch) RELEASES(*latch) UNCHECKED {
  atomic_store_explicit(&latch->is_held, false, memory_order_release);
}

#endif
