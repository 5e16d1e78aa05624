#include "engine/throttle.h"

void throttle_init(struct throttle *throttle, uint64_t rate, uint64_t now_us) {
  mutex_init(&throttle->lock);
  condition_init(&throttle->changed);
  throttle->rate = rate;
  throttle->ready_us = (double)now_us;
  atomic_store(&throttle->is_paused, false);
  atomic_store(&throttle->is_cancelled, false);
}

void throttle_release(struct throttle *throttle) {
  mutex_destroy(&throttle->lock);
  condition_destroy(&throttle->changed);
}

void throttle_spend(struct throttle *throttle, uint64_t bytes, uint64_t now_us) {
  if (throttle->rate == 0) return;
  mutex_lock(&throttle->lock);
  double earliest = (double)now_us - THROTTLE_CREDIT_US;
  if (throttle->ready_us < earliest) throttle->ready_us = earliest;
  throttle->ready_us += (double)bytes * 1e6 / (double)throttle->rate;
  mutex_unlock(&throttle->lock);
}

static uint64_t delay_of(const struct throttle *throttle, uint64_t now_us)
    REQUIRES(throttle->lock) {
  double left = throttle->ready_us - (double)now_us;
  return left > 0 ? (uint64_t)left + 1 : 0;
}

uint64_t throttle_delay(struct throttle *throttle, uint64_t now_us) {
  if (throttle->rate == 0) return 0;
  mutex_lock(&throttle->lock);
  uint64_t delay = delay_of(throttle, now_us);
  mutex_unlock(&throttle->lock);
  return delay;
}

/* Wait for a while, or for a change. False: there is nothing to wait for. */
static bool wait_once(struct throttle *throttle, struct disk *disk) REQUIRES(throttle->lock) {
  if (throttle_is_cancelled(throttle)) return false;
  if (throttle_is_paused(throttle)) {
    condition_wait(&throttle->changed, &throttle->lock);
    return true;
  }
  uint64_t delay =
      throttle->rate == 0 ? 0 : delay_of(throttle, disk->ops->monotonic_us(disk));
  if (delay == 0) return false;
  condition_wait_seconds(&throttle->changed, &throttle->lock, (double)delay / 1e6);
  return true;
}

void throttle_wait(struct throttle *throttle, struct disk *disk) {
  if (throttle->rate == 0 && !throttle_is_paused(throttle)) return;
  mutex_lock(&throttle->lock);
  while (wait_once(throttle, disk)) continue;
  mutex_unlock(&throttle->lock);
}

static void change(struct throttle *throttle, atomic_bool *what, bool to) {
  mutex_lock(&throttle->lock);
  atomic_store(what, to);
  condition_wake_all(&throttle->changed);
  mutex_unlock(&throttle->lock);
}

void throttle_pause(struct throttle *throttle, bool is_paused) {
  change(throttle, &throttle->is_paused, is_paused);
}

void throttle_cancel(struct throttle *throttle) {
  change(throttle, &throttle->is_cancelled, true);
}
