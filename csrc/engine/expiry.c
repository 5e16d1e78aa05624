#include "engine/expiry.h"

#include "base/memory.h"

void expiry_init(struct expiry *expiry) {
  *expiry = (struct expiry){0};
  mutex_init(&expiry->lock);
  atomic_store(&expiry->next, UINT64_MAX);
}

void expiry_release(struct expiry *expiry) {
  memory_free(expiry->items);
  mutex_destroy(&expiry->lock);
}

static enum bitcask_status make_room(struct expiry *expiry, size_t more) REQUIRES(expiry->lock) {
  if (expiry->capacity - expiry->count >= more) return BITCASK_OK;
  size_t capacity = expiry->count + expiry->count / 2 + more;
  struct expiry_item *items = memory_resize(expiry->items, capacity, sizeof *items);
  if (items == NULL) return BITCASK_NOMEMORY;
  expiry->items = items;
  expiry->capacity = capacity;
  return BITCASK_OK;
}

enum bitcask_status expiry_reserve(struct expiry *expiry, size_t more) {
  mutex_lock(&expiry->lock);
  enum bitcask_status status = make_room(expiry, more);
  mutex_unlock(&expiry->lock);
  return status;
}

static void publish_next(struct expiry *expiry) REQUIRES(expiry->lock) {
  uint64_t next = expiry->count > 0 ? expiry->items[0].expires : UINT64_MAX;
  atomic_store_explicit(&expiry->next, next, memory_order_relaxed);
}

static void add(struct expiry *expiry, uint64_t expires, uint64_t hash) REQUIRES(expiry->lock) {
  struct expiry_item *items = expiry->items;
  size_t at = expiry->count++;
  while (at > 0 && items[(at - 1) / 2].expires > expires) {
    items[at] = items[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  items[at] = (struct expiry_item){expires, hash};
  publish_next(expiry);
}

void expiry_add(struct expiry *expiry, uint64_t expires, uint64_t hash) {
  mutex_lock(&expiry->lock);
  add(expiry, expires, hash);
  mutex_unlock(&expiry->lock);
}

enum bitcask_status expiry_put(struct expiry *expiry, uint64_t expires, uint64_t hash) {
  mutex_lock(&expiry->lock);
  enum bitcask_status status = make_room(expiry, 1);
  if (status == BITCASK_OK) add(expiry, expires, hash);
  mutex_unlock(&expiry->lock);
  return status;
}

enum bitcask_status expiry_copy(struct expiry *expiry, struct bitcask_buffer *out) {
  mutex_lock(&expiry->lock);
  enum bitcask_status status =
      buffer_append(out, bytes_of(expiry->items, expiry->count * sizeof *expiry->items));
  mutex_unlock(&expiry->lock);
  return status;
}

static bool is_heap(const struct expiry_item *items, size_t count) {
  for (size_t i = 1; i < count; i++)
    if (items[(i - 1) / 2].expires > items[i].expires) return false;
  return true;
}

void expiry_clear(struct expiry *expiry) {
  mutex_lock(&expiry->lock);
  expiry->count = 0;
  publish_next(expiry);
  mutex_unlock(&expiry->lock);
}

enum bitcask_status expiry_restore(struct expiry *expiry, bitcask_bytes items) {
  size_t count = items.size / sizeof(struct expiry_item);
  if (!is_heap(items.data, count)) return status_fail(BITCASK_CORRUPT, "what expires has no order");
  mutex_lock(&expiry->lock);
  enum bitcask_status status = make_room(expiry, count);
  if (status == BITCASK_OK && count > 0) {
    memcpy(expiry->items, items.data, items.size);
    expiry->count = count;
    publish_next(expiry);
  }
  mutex_unlock(&expiry->lock);
  return status;
}

/* Take the first away; the last fills its place and sinks to where it belongs. */
static void pop(struct expiry *expiry) REQUIRES(expiry->lock) {
  struct expiry_item *items = expiry->items;
  struct expiry_item last = items[--expiry->count];
  size_t at = 0, count = expiry->count;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && items[child + 1].expires < items[child].expires) child++;
    if (items[child].expires >= last.expires) break;
    items[at] = items[child];
    at = child;
  }
  if (count > 0) items[at] = last;
}

bool expiry_take_due(struct expiry *expiry, uint64_t now, struct expiry_item *out) {
  if (!expiry_is_due(expiry, now)) return false;
  mutex_lock(&expiry->lock);
  bool is_due = expiry->count > 0 && expiry->items[0].expires <= now;
  if (is_due) {
    *out = expiry->items[0];
    pop(expiry);
    publish_next(expiry);
  }
  mutex_unlock(&expiry->lock);
  return is_due;
}

size_t expiry_count(struct expiry *expiry) {
  mutex_lock(&expiry->lock);
  size_t count = expiry->count;
  mutex_unlock(&expiry->lock);
  return count;
}
