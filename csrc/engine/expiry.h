/*
 * Which keys expire when: a heap by the time at which they are due, so that what has expired
 * is taken out of the keydir, and counted as dead, the moment anybody looks.
 *
 * An item tells the hash of a key and its time. It may be out of date, when the key was
 * written again since: whoever takes it looks at the record. So nothing has to be removed
 * from the middle, and merges may move records.
 *
 * Threads: a leaf lock of its own. What is due is taken under the engine's write lock.
 */
#ifndef BITCASK_ENGINE_EXPIRY_H
#define BITCASK_ENGINE_EXPIRY_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/thread.h"

struct expiry_item {
  uint64_t expires; /* milliseconds since 1970 */
  uint64_t hash;
};

struct expiry {
  struct mutex lock;
  struct expiry_item *items GUARDED_BY(lock);
  size_t count GUARDED_BY(lock);
  size_t capacity GUARDED_BY(lock);
  atomic_uint_least64_t next; /* when the first is due; UINT64_MAX: none waits */
};

void expiry_init(struct expiry *expiry);
void expiry_release(struct expiry *expiry);

/* Room for `more` items, so that adding them cannot fail. */
enum bitcask_status expiry_reserve(struct expiry *expiry, size_t more);
void expiry_add(struct expiry *expiry, uint64_t expires, uint64_t hash);

/* Both at once, for several threads that load. */
enum bitcask_status expiry_put(struct expiry *expiry, uint64_t expires, uint64_t hash);

/* All that waits, in its order, after what is in *out; and the same the other way, into an
 * expiry without items. Fails with CORRUPT where that is no heap. */
enum bitcask_status expiry_copy(struct expiry *expiry, struct bitcask_buffer *out);
void expiry_clear(struct expiry *expiry);
enum bitcask_status expiry_restore(struct expiry *expiry, bitcask_bytes items);

/* Does anything wait to expire? Then the clock is worth reading. */
static inline bool expiry_is_used(const struct expiry *expiry) {
  return atomic_load_explicit(&expiry->next, memory_order_relaxed) != UINT64_MAX;
}

static inline bool expiry_is_due(const struct expiry *expiry, uint64_t now) {
  return atomic_load_explicit(&expiry->next, memory_order_relaxed) <= now;
}

/* Take an item that is due at `now`; false: none is. */
bool expiry_take_due(struct expiry *expiry, uint64_t now, struct expiry_item *out);

size_t expiry_count(struct expiry *expiry);

#endif
