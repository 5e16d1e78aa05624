/*
 * A throttle: keeps work to so many bytes per second, and lets others pause and cancel it.
 *
 * Bytes are paid for after they were worked on: what is spent puts off the moment at which
 * work may go on. A moment that is missed is made up for, up to THROTTLE_CREDIT_US; so the
 * rate holds over any long time, and no long rest is followed by a burst.
 *
 * Threads: safe. A leaf lock of its own.
 */
#ifndef BITCASK_ENGINE_THROTTLE_H
#define BITCASK_ENGINE_THROTTLE_H

#include <stdatomic.h>

#include "base/thread.h"
#include "disk/disk.h"

enum { THROTTLE_CREDIT_US = 250000 };

struct throttle {
  struct mutex lock;
  struct condition changed;
  uint64_t rate;                       /* bytes per second; 0: no limit */
  double ready_us GUARDED_BY(lock);    /* when work may go on, by the disk's clock */
  atomic_bool is_paused, is_cancelled; /* changed under the lock, looked at without it */
};

void throttle_init(struct throttle *throttle, uint64_t rate, uint64_t now_us);
void throttle_release(struct throttle *throttle);

/* So many bytes were worked on, by now. */
void throttle_spend(struct throttle *throttle, uint64_t bytes, uint64_t now_us);

/* How long work has to rest from now on, microseconds; 0: not at all. */
uint64_t throttle_delay(struct throttle *throttle, uint64_t now_us);

/* Wait until work may go on: as long as the rate asks for, and while it is paused. Cancelling
 * ends every wait at once. */
void throttle_wait(struct throttle *throttle, struct disk *disk);

void throttle_pause(struct throttle *throttle, bool is_paused);
void throttle_cancel(struct throttle *throttle);

static inline bool throttle_is_paused(const struct throttle *throttle) {
  return atomic_load_explicit(&throttle->is_paused, memory_order_relaxed);
}

static inline bool throttle_is_cancelled(const struct throttle *throttle) {
  return atomic_load_explicit(&throttle->is_cancelled, memory_order_acquire);
}

#endif
