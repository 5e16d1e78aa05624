/*
 * A latch: a mutex of four bytes that is taken and given back by one instruction each while
 * nobody else wants it. For what is held for some dozens of nanoseconds most of the time: who
 * meets it held looks again for a moment, and then sleeps in a lot that many latches share.
 *
 *   FREE ──lock──> HELD ──unlock──> FREE
 *                   │ another has gone to the lot
 *                AWAITED ──unlock──> FREE, and all in the lot look again
 *
 * Zeros make a free one. The annotations are those of base/thread.
 */
#ifndef BITCASK_BASE_LATCH_H
#define BITCASK_BASE_LATCH_H

#include <stdatomic.h>

#include "base/thread.h"

enum latch_state { LATCH_FREE, LATCH_HELD, LATCH_AWAITED };

struct THREAD_ANNOTATION(capability("mutex")) latch {
  atomic_uint state;
};

/* Where those wait who find one of its latches held for long. */
struct latch_lot {
  struct mutex lock;
  struct condition changed;
};

void latch_lot_init(struct latch_lot *lot);
void latch_lot_destroy(struct latch_lot *lot);

void latch_wait(struct latch *latch, struct latch_lot *lot); /* for latch_lock alone */
void latch_wake(struct latch_lot *lot);                      /* for latch_unlock alone */

static inline void latch_lock(struct latch *latch, struct latch_lot *lot)
    ACQUIRES(*latch) UNCHECKED {
  unsigned state = LATCH_FREE;
  if (!atomic_compare_exchange_strong_explicit(&latch->state, &state, LATCH_HELD,
                                               memory_order_acquire, memory_order_relaxed))
    latch_wait(latch, lot);
}

static inline void latch_unlock(struct latch *latch, struct latch_lot *lot)
    RELEASES(*latch) UNCHECKED {
  if (atomic_exchange_explicit(&latch->state, LATCH_FREE, memory_order_release) == LATCH_AWAITED)
    latch_wake(lot);
}

#endif
