#include "store/keydir.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mutant.h"
#include "store/segment.h"

/* An entry whose `at` is 0 is an empty slot. Behind `homes` slots that a hash can have as
 * its home stand `tail` more, for those pushed past the last. */
struct shard {
  alignas(64) struct mutex lock;
  struct keydir_entry *slots; /* homes + tail of them; NULL at first, and asleep */
  uint32_t homes;
  uint32_t tail;
  uint32_t count;
  uint32_t used_end; /* no entry stands at this slot or behind it; may be too high */
  uint32_t old_count;
  uint32_t old_capacity;
  uint32_t stamp;
  bool is_asleep;   /* then homes is 0 */
  bool is_borrowed; /* the slots are the waker's */
  struct keydir_old *olds;
};

struct keydir {
  struct shard shards[KEYDIR_SHARDS];
  struct keydir_waker waker;
  alignas(64) atomic_uint_least64_t count;
  atomic_uint_least64_t old_count;
  atomic_uint_least64_t bytes;
};

enum { TAIL_MIN = 4 };

enum bitcask_status keydir_new(struct keydir **out) {
  /* Shards stand on cache lines of their own; calloc knows nothing of that. */
  struct keydir *keydir = memory_aligned(alignof(struct keydir), sizeof *keydir);
  if (keydir == NULL) return BITCASK_NOMEMORY;
  memset(keydir, 0, sizeof *keydir);
  for (int i = 0; i < KEYDIR_SHARDS; i++) mutex_init(&keydir->shards[i].lock);
  atomic_store(&keydir->bytes, sizeof *keydir);
  *out = keydir;
  return BITCASK_OK;
}

void keydir_free(struct keydir *keydir) {
  if (keydir == NULL) return;
  for (int i = 0; i < KEYDIR_SHARDS; i++) {
    struct shard *shard = &keydir->shards[i];
    for (uint32_t k = 0; k < shard->old_count; k++) segment_unref(shard->olds[k].segment);
    memory_free(shard->olds);
    if (!shard->is_borrowed) memory_free(shard->slots);
    mutex_destroy(&shard->lock);
  }
  if (keydir->waker.release != NULL) keydir->waker.release(keydir->waker.context);
  memory_free(keydir);
}

static struct shard *shard_of(struct keydir *keydir, uint64_t hash) {
  return &keydir->shards[keydir_shard_of(hash)];
}

static uint32_t home_of(const struct shard *shard, uint32_t hash) {
  return (uint32_t)(((uint64_t)hash * shard->homes) >> 32);
}

static uint32_t slot_count(const struct shard *shard) { return shard->homes + shard->tail; }

/* ---- Waking ---- */

void keydir_sleep(struct keydir *keydir, const struct keydir_waker *waker,
                  const uint32_t counts[KEYDIR_SHARDS]) {
  uint64_t total = 0;
  keydir->waker = *waker;
  for (int i = 0; i < KEYDIR_SHARDS; i++) {
    keydir->shards[i].is_asleep = true;
    keydir->shards[i].count = counts[i];
    total += counts[i];
  }
  atomic_store(&keydir->count, total);
}

void keydir_clear(struct keydir *keydir) {
  for (int i = 0; i < KEYDIR_SHARDS; i++) {
    struct shard *shard = &keydir->shards[i];
    mutex_lock(&shard->lock);
    if (!shard->is_borrowed) memory_free(shard->slots);
    shard->slots = NULL;
    shard->homes = shard->tail = shard->count = shard->used_end = 0;
    shard->is_asleep = shard->is_borrowed = false;
    mutex_unlock(&shard->lock);
  }
  keydir->waker = (struct keydir_waker){0};
  atomic_store(&keydir->count, 0);
  atomic_store(&keydir->bytes, sizeof *keydir);
}

static enum bitcask_status wake(struct keydir *keydir, struct shard *shard)
    REQUIRES(shard->lock) {
  struct keydir_table table = {0};
  bool is_given = false;
  unsigned number = (unsigned)(shard - keydir->shards);
  TRY(keydir->waker.wake(keydir->waker.context, number, &table, &is_given));
  shard->is_asleep = false;
  shard->is_borrowed = !is_given;
  __atomic_store_n(&shard->slots, table.slots, __ATOMIC_RELAXED); /* for keydir_prefetch */
  __atomic_store_n(&shard->homes, table.homes, __ATOMIC_RELAXED);
  shard->tail = table.tail;
  shard->used_end = table.used_end;
  atomic_fetch_add(&keydir->bytes, (uint64_t)slot_count(shard) * sizeof *table.slots);
  atomic_fetch_add(&keydir->count, (uint64_t)table.count - shard->count);
  shard->count = table.count;
  return BITCASK_OK;
}

/* Lock a shard that is awake then; on failure it is not locked. One that is asleep has no
 * homes, as an empty one, so that those in use are known without another look. */
static enum bitcask_status lock_awake(struct keydir *keydir, struct shard *shard) UNCHECKED {
  mutex_lock(&shard->lock);
  if (shard->homes > 0 || !shard->is_asleep) return BITCASK_OK;
  enum bitcask_status status = wake(keydir, shard);
  if (status != BITCASK_OK) mutex_unlock(&shard->lock);
  return status;
}

enum bitcask_status keydir_wake(struct keydir *keydir, unsigned number) UNCHECKED {
  TRY(lock_awake(keydir, &keydir->shards[number]));
  mutex_unlock(&keydir->shards[number].lock);
  return BITCASK_OK;
}

enum bitcask_status keydir_wake_all(struct keydir *keydir) {
  for (unsigned shard = 0; shard < KEYDIR_SHARDS; shard++) TRY(keydir_wake(keydir, shard));
  return BITCASK_OK;
}

/* Slots that are of no use any more. */
static void drop_slots(struct keydir *keydir, struct shard *shard) {
  if (shard->is_borrowed)
    keydir->waker.drop(keydir->waker.context, (unsigned)(shard - keydir->shards));
  else
    memory_free(shard->slots);
  shard->is_borrowed = false;
}

/* An entry stands at its home, or right behind another that is not before its own home and
 * has no larger hash; behind the last there is nothing but empty slots. */
bool keydir_table_is_sound(const struct keydir_table *table) {
  const struct shard shard = {.homes = table->homes, .tail = table->tail};
  uint32_t count = 0, hash = 0;
  uint64_t end = (uint64_t)table->homes + table->tail;
  bool is_after_entry = false;
  if (table->homes == 0) return table->tail == 0 && table->count == 0 && table->used_end == 0;
  if (end > UINT32_MAX || table->used_end > end) return false;
  for (uint32_t i = 0; i < end; i++) {
    const struct keydir_entry *entry = &table->slots[i];
    if (entry->at != 0) {
      uint32_t home = home_of(&shard, entry->hash);
      if (home > i || (home < i && !is_after_entry) || entry->hash < hash) return false;
      if (i >= table->used_end) return false;
      hash = entry->hash;
      count++;
    }
    is_after_entry = entry->at != 0;
  }
  return count == table->count;
}

enum bitcask_status keydir_copy_table(struct keydir *keydir, unsigned number,
                                      struct bitcask_buffer *slots,
                                      struct keydir_table *out) UNCHECKED {
  struct shard *shard = &keydir->shards[number];
  slots->size = 0;
  TRY(lock_awake(keydir, shard));
  size_t size = shard->homes > 0 ? slot_count(shard) * sizeof *shard->slots : 0;
  enum bitcask_status status = buffer_append(slots, bytes_of(shard->slots, size));
  *out = (struct keydir_table){.slots = slots->data,
                               .homes = shard->homes,
                               .tail = shard->tail,
                               .count = shard->count,
                               .used_end = shard->homes > 0 ? shard->used_end : 0};
  mutex_unlock(&shard->lock);
  return status;
}

void keydir_take_table(struct keydir *keydir, unsigned number, struct keydir_table *out) {
  struct shard *shard = &keydir->shards[number];
  mutex_lock(&shard->lock);
  *out = (struct keydir_table){.slots = shard->slots,
                               .homes = shard->homes,
                               .tail = shard->tail,
                               .count = shard->count,
                               .used_end = shard->used_end};
  atomic_fetch_sub(&keydir->count, shard->count);
  shard->slots = NULL;
  shard->homes = shard->tail = shard->count = shard->used_end = 0;
  shard->stamp++;
  mutex_unlock(&shard->lock);
}

void keydir_prefetch(const struct keydir *keydir, uint64_t hash) {
  const struct shard *shard = &keydir->shards[keydir_shard_of(hash)];
  /* Whatever these two are, nothing but a prefetch is done with them. */
  const struct keydir_entry *slots = __atomic_load_n(&shard->slots, __ATOMIC_RELAXED);
  uint32_t homes = __atomic_load_n(&shard->homes, __ATOMIC_RELAXED);
  uint64_t home = ((uint64_t)keydir_hash_in_shard(hash) * homes) >> 32;
  __builtin_prefetch((const void *)((uintptr_t)slots + home * sizeof *slots));
}

/* The first slot whose entry is not before `hash`: where it is, or would be inserted. */
static uint32_t first_not_before(const struct shard *shard, uint32_t hash) {
  uint32_t i = home_of(shard, hash);
  uint32_t end = slot_count(shard);
  while (i < end && shard->slots[i].at != 0 && shard->slots[i].hash < hash) i++;
  return i;
}

static void find(const struct shard *shard, uint32_t hash, unsigned first,
                 struct keydir_matches *out) {
  out->status = BITCASK_OK;
  out->count = 0;
  out->more = false;
  out->stamp = shard->stamp;
  if (shard->homes == 0) return;
  uint32_t end = slot_count(shard);
  uint32_t i = first_not_before(shard, hash) + first;
  for (; i < end && shard->slots[i].at != 0 && shard->slots[i].hash == hash; i++) {
    if (out->count == KEYDIR_MATCHES) {
      out->more = true;
      return;
    }
    out->entries[out->count++] = shard->slots[i];
  }
}

void keydir_find(struct keydir *keydir, uint64_t hash, unsigned first,
                 struct keydir_matches *out) UNCHECKED {
  struct shard *shard = shard_of(keydir, hash);
  out->count = 0;
  out->more = false;
  out->status = lock_awake(keydir, shard);
  if (out->status != BITCASK_OK) return;
  find(shard, keydir_hash_in_shard(hash), first, out);
  mutex_unlock(&shard->lock);
}

static bool is_alive_at(const struct keydir_old *old, uint64_t version) {
  return old->born <= version && version < old->died;
}

void keydir_find_old(struct keydir *keydir, uint64_t hash, uint64_t version, unsigned first,
                     struct keydir_matches *out, struct segment *segments[KEYDIR_MATCHES]) {
  struct shard *shard = shard_of(keydir, hash);
  uint32_t wanted = keydir_hash_in_shard(hash);
  out->count = 0;
  out->more = false;
  out->status = BITCASK_OK;
  mutex_lock(&shard->lock);
  out->stamp = shard->stamp;
  for (uint32_t i = 0; i < shard->old_count; i++) {
    const struct keydir_old *old = &shard->olds[i];
    if (old->entry.hash != wanted || !is_alive_at(old, version)) continue;
    if (first > 0) {
      first--;
      continue;
    }
    if (out->count == KEYDIR_MATCHES) {
      out->more = true;
      break;
    }
    segments[out->count] = MUTANT(REFERENCE_NOT_TAKEN) ? old->segment : segment_ref(old->segment);
    out->entries[out->count++] = old->entry;
  }
  mutex_unlock(&shard->lock);
}

/* ---- Growing ---- */

static uint32_t homes_for(uint64_t count) {
  uint64_t homes = count + count / 5 + 4; /* five sixths full at most */
  return homes > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)homes;
}

/* Place the entries of `from`, which come in the order of their hashes, into `to`. False
 * when they do not fit into its tail. */
static bool refill(const struct shard *from, struct shard *to) {
  uint32_t next = 0, end = slot_count(to);
  for (uint32_t i = 0; from->homes > 0 && i < slot_count(from); i++) {
    if (from->slots[i].at == 0) continue;
    uint32_t home = home_of(to, from->slots[i].hash);
    if (next < home) next = home;
    if (next >= end) return false;
    to->slots[next++] = from->slots[i];
  }
  to->used_end = next;
  return true;
}

static enum bitcask_status resize(struct keydir *keydir, struct shard *shard, uint32_t homes,
                                  uint32_t tail) {
  for (;; tail *= 2) { /* until what stands behind the last home fits */
    struct shard bigger = {.homes = homes, .tail = tail};
    bigger.slots = memory_zeroed((size_t)homes + tail, sizeof *bigger.slots);
    if (bigger.slots == NULL) return BITCASK_NOMEMORY;
    if (!refill(shard, &bigger)) {
      memory_free(bigger.slots);
      continue;
    }
    uint64_t before = shard->homes > 0 ? slot_count(shard) : 0;
    atomic_fetch_add(&keydir->bytes,
                     (slot_count(&bigger) - before) * sizeof(struct keydir_entry));
    drop_slots(keydir, shard);
    __atomic_store_n(&shard->slots, bigger.slots, __ATOMIC_RELAXED); /* for keydir_prefetch */
    __atomic_store_n(&shard->homes, homes, __ATOMIC_RELAXED);
    shard->tail = tail;
    shard->used_end = bigger.used_end;
    shard->stamp++;
    return BITCASK_OK;
  }
}

/* Whatever is inserted pushes entries at most `more` slots beyond the last that is used, or
 * beyond the last home if that is farther. The bound on the used ones is kept beside the lock,
 * because the end of the table is a cache line of its own. */
static bool tail_has_room(struct shard *shard, unsigned more) {
  uint32_t end = slot_count(shard);
  if (shard->tail < more) return false;
  if (end - shard->used_end >= more) return true;
  while (shard->used_end > 0 && shard->slots[shard->used_end - 1].at == 0) shard->used_end--;
  return end - shard->used_end >= more;
}

/* A tail for what is behind the last home now, some more of that, and `more` entries. */
static uint32_t tail_for(const struct shard *shard, unsigned more) {
  uint32_t behind = shard->used_end > shard->homes ? shard->used_end - shard->homes : 0;
  uint32_t tail = behind + behind / 4 + more;
  return tail > TAIL_MIN ? tail : TAIL_MIN;
}

static enum bitcask_status make_room(struct keydir *keydir, struct shard *shard, unsigned more) {
  uint64_t needed = (uint64_t)shard->count + more;
  if (shard->homes == 0 || needed + needed / 6 > shard->homes) {
    uint64_t ahead = needed + needed / 5;
    TRY(resize(keydir, shard, homes_for(ahead), tail_for(shard, more)));
  }
  while (!tail_has_room(shard, more))
    TRY(resize(keydir, shard, shard->homes, tail_for(shard, more)));
  return BITCASK_OK;
}

static enum bitcask_status make_old_room(struct keydir *keydir, struct shard *shard,
                                         unsigned more) {
  if (shard->old_capacity - shard->old_count >= more) return BITCASK_OK;
  uint32_t capacity = shard->old_count + shard->old_count / 2 + more;
  struct keydir_old *olds = memory_resize(shard->olds, capacity, sizeof *olds);
  if (olds == NULL) return BITCASK_NOMEMORY;
  atomic_fetch_add(&keydir->bytes, (capacity - shard->old_capacity) * sizeof *olds);
  shard->olds = olds;
  shard->old_capacity = capacity;
  return BITCASK_OK;
}

/* Only here, where the one who would need it says that he does not: pruning goes on beside
 * writers who count on room that they reserved. */
static void give_back_old_room(struct keydir *keydir, struct shard *shard) {
  if (shard->olds == NULL || shard->old_count > 0) return;
  atomic_fetch_sub(&keydir->bytes, shard->old_capacity * sizeof *shard->olds);
  memory_free(shard->olds);
  shard->olds = NULL;
  shard->old_capacity = 0;
}

static enum bitcask_status reserve(struct keydir *keydir, struct shard *shard, unsigned more,
                                   bool keeping) {
  TRY(make_room(keydir, shard, more));
  if (keeping) return make_old_room(keydir, shard, more);
  give_back_old_room(keydir, shard);
  return BITCASK_OK;
}

enum bitcask_status keydir_reserve(struct keydir *keydir, uint64_t hash, unsigned more,
                                   bool keeping) UNCHECKED {
  struct shard *shard = shard_of(keydir, hash);
  TRY(lock_awake(keydir, shard));
  enum bitcask_status status = reserve(keydir, shard, more, keeping);
  mutex_unlock(&shard->lock);
  return status;
}

enum bitcask_status keydir_reserve_and_find(struct keydir *keydir, uint64_t hash, unsigned more,
                                            bool keeping, struct keydir_matches *out) UNCHECKED {
  struct shard *shard = shard_of(keydir, hash);
  TRY(lock_awake(keydir, shard));
  enum bitcask_status status = reserve(keydir, shard, more, keeping);
  if (status == BITCASK_OK) find(shard, keydir_hash_in_shard(hash), 0, out);
  mutex_unlock(&shard->lock);
  return status;
}

/* ---- Changing ---- */

void keydir_insert(struct keydir *keydir, uint64_t hash, place at, uint64_t size) {
  struct shard *shard = shard_of(keydir, hash);
  uint32_t wanted = keydir_hash_in_shard(hash);
  mutex_lock(&shard->lock);
  struct keydir_entry *slots = shard->slots;
  uint32_t i = first_not_before(shard, wanted);
  while (slots[i].at != 0 && slots[i].hash == wanted) i++; /* behind its equals */
  uint32_t empty = i;
  while (slots[empty].at != 0) empty++;
  memmove(&slots[i + 1], &slots[i], (empty - i) * sizeof slots[0]);
  slots[i] = (struct keydir_entry){wanted, (uint32_t)(size / 8), at};
  if (empty >= shard->used_end) shard->used_end = empty + 1;
  shard->count++;
  shard->stamp++;
  mutex_unlock(&shard->lock);
  atomic_fetch_add_explicit(&keydir->count, 1, memory_order_relaxed);
}

static struct keydir_entry *entry_at(struct shard *shard, uint32_t hash, place at) {
  if (shard->homes == 0) return NULL;
  uint32_t end = slot_count(shard);
  uint32_t i = first_not_before(shard, hash);
  for (; i < end && shard->slots[i].at != 0 && shard->slots[i].hash == hash; i++)
    if (shard->slots[i].at == at) return &shard->slots[i];
  return NULL;
}

static void keep_old(struct keydir *keydir, struct shard *shard, const struct keydir_old *keep) {
  if (keep == NULL) return;
  shard->olds[shard->old_count++] = *keep;
  segment_ref(keep->segment);
  atomic_fetch_add_explicit(&keydir->old_count, 1, memory_order_relaxed);
}

bool keydir_replace(struct keydir *keydir, uint64_t hash, place from, place to, uint64_t size,
                    const struct keydir_old *keep) {
  struct shard *shard = shard_of(keydir, hash);
  mutex_lock(&shard->lock);
  struct keydir_entry *entry = entry_at(shard, keydir_hash_in_shard(hash), from);
  if (entry != NULL) {
    keep_old(keydir, shard, keep);
    entry->at = to;
    entry->units = (uint32_t)(size / 8);
    shard->stamp++;
  }
  mutex_unlock(&shard->lock);
  return entry != NULL;
}

/* Close the gap at slot i: what stands after it and away from home moves up. */
static void close_gap(struct shard *shard, uint32_t i) {
  uint32_t end = slot_count(shard), last = i;
  while (last + 1 < end && shard->slots[last + 1].at != 0 &&
         home_of(shard, shard->slots[last + 1].hash) <= last)
    last++;
  memmove(&shard->slots[i], &shard->slots[i + 1], (last - i) * sizeof shard->slots[0]);
  shard->slots[last] = (struct keydir_entry){0};
}

bool keydir_remove(struct keydir *keydir, uint64_t hash, place from,
                   const struct keydir_old *keep) {
  struct shard *shard = shard_of(keydir, hash);
  mutex_lock(&shard->lock);
  struct keydir_entry *entry = entry_at(shard, keydir_hash_in_shard(hash), from);
  if (entry != NULL) {
    keep_old(keydir, shard, keep);
    close_gap(shard, (uint32_t)(entry - shard->slots));
    shard->count--;
    shard->stamp++;
    atomic_fetch_sub_explicit(&keydir->count, 1, memory_order_relaxed);
  }
  mutex_unlock(&shard->lock);
  return entry != NULL;
}

uint64_t keydir_drop_tombstones(struct keydir *keydir, unsigned number) {
  struct shard *shard = &keydir->shards[number];
  uint64_t dropped = 0;
  mutex_lock(&shard->lock);
  for (uint32_t i = 0; shard->homes > 0 && i < slot_count(shard);) {
    if (shard->slots[i].at & PLACE_TOMBSTONE) {
      close_gap(shard, i);
      dropped++;
    } else {
      i++;
    }
  }
  shard->count -= (uint32_t)dropped;
  shard->stamp++;
  mutex_unlock(&shard->lock);
  atomic_fetch_sub(&keydir->count, dropped);
  return dropped;
}

/* ---- Snapshots ---- */

static enum bitcask_status copy_olds(const struct shard *shard, uint64_t version,
                                     struct bitcask_buffer *olds) {
  for (uint32_t i = 0; i < shard->old_count; i++) {
    const struct keydir_old *old = &shard->olds[i];
    if (!is_alive_at(old, version)) continue;
    TRY(buffer_append(olds, bytes_of(old, sizeof *old)));
    segment_ref(old->segment);
  }
  return BITCASK_OK;
}

/* There is room for them. */
static void copy_places(const struct shard *shard, struct bitcask_buffer *places) {
  if (shard->count == 0) return; /* then there may be no memory at all */
  place *to = (place *)((char *)places->data + places->size);
  for (uint32_t i = 0; shard->homes > 0 && i < slot_count(shard); i++)
    if (shard->slots[i].at != 0) *to++ = shard->slots[i].at;
  places->size += shard->count * sizeof *to;
}

enum bitcask_status keydir_copy_shard(struct keydir *keydir, unsigned number, uint64_t version,
                                      struct bitcask_buffer *places,
                                      struct bitcask_buffer *olds) UNCHECKED {
  struct shard *shard = &keydir->shards[number];
  TRY(lock_awake(keydir, shard));
  enum bitcask_status status = buffer_reserve(places, shard->count * sizeof(place));
  if (status == BITCASK_OK) copy_places(shard, places);
  if (status == BITCASK_OK) status = copy_olds(shard, version, olds);
  mutex_unlock(&shard->lock);
  return status;
}

enum bitcask_status keydir_visit_shard(
    struct keydir *keydir, unsigned number,
    void (*each)(void *context, uint64_t hash, struct keydir_entry *entry),
    void *context) UNCHECKED {
  struct shard *shard = &keydir->shards[number];
  TRY(lock_awake(keydir, shard));
  for (uint32_t i = 0; shard->homes > 0 && i < slot_count(shard); i++)
    if (shard->slots[i].at != 0)
      each(context, keydir_hash_of(number, shard->slots[i].hash), &shard->slots[i]);
  mutex_unlock(&shard->lock);
  return BITCASK_OK;
}

struct open_snapshots {
  const uint64_t *versions; /* rising */
  size_t count;
  uint64_t limit; /* later ones may have been opened since; they see nothing that died by then */
};

/* Can a snapshot see what was born and died then? */
static bool is_seen(const struct keydir_old *old, const struct open_snapshots *open) {
  const uint64_t *snapshots = open->versions;
  size_t count = open->count;
  if (old->died > open->limit) return true;
  size_t low = 0, high = count; /* the first snapshot that is not before its birth */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (snapshots[middle] < old->born)
      low = middle + 1;
    else
      high = middle;
  }
  return low < count && snapshots[low] < old->died;
}

enum { PRUNE_BATCH = 64 };

/* Take unseen old entries out of a shard; their segments are let go of outside the lock,
 * since the last to let go removes files. Returns how many were taken. */
static unsigned prune_some(struct keydir *keydir, struct shard *shard,
                           const struct open_snapshots *open,
                           struct segment *segments[PRUNE_BATCH]) {
  unsigned taken = 0;
  mutex_lock(&shard->lock);
  for (uint32_t i = 0; i < shard->old_count && taken < PRUNE_BATCH;) {
    if (is_seen(&shard->olds[i], open)) {
      i++;
      continue;
    }
    segments[taken++] = shard->olds[i].segment;
    shard->olds[i] = shard->olds[--shard->old_count];
  }
  if (taken > 0) shard->stamp++;
  mutex_unlock(&shard->lock);
  atomic_fetch_sub(&keydir->old_count, taken);
  return taken;
}

void keydir_prune(struct keydir *keydir, const uint64_t *snapshots, size_t count,
                  uint64_t limit) {
  const struct open_snapshots open = {snapshots, count, limit};
  if (keydir_old_count(keydir) == 0) return;
  for (int i = 0; i < KEYDIR_SHARDS; i++) {
    struct segment *segments[PRUNE_BATCH];
    unsigned taken;
    do {
      taken = prune_some(keydir, &keydir->shards[i], &open, segments);
      for (unsigned k = 0; k < taken; k++) segment_unref(segments[k]);
    } while (taken == PRUNE_BATCH);
  }
}

uint64_t keydir_count(const struct keydir *keydir) {
  return atomic_load_explicit(&((struct keydir *)keydir)->count, memory_order_relaxed);
}

uint64_t keydir_old_count(const struct keydir *keydir) {
  return atomic_load_explicit(&((struct keydir *)keydir)->old_count, memory_order_relaxed);
}

uint64_t keydir_bytes(const struct keydir *keydir) {
  return atomic_load_explicit(&((struct keydir *)keydir)->bytes, memory_order_relaxed);
}
