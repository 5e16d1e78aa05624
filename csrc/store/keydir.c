#include "store/keydir.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "base/latch.h"
#include "base/mutant.h"
#include "store/segment.h"

struct shard {
  alignas(64) struct latch lock;
  struct keydir_table table; /* empty at first, and asleep; of one asleep the count is known */
  uint32_t old_count;
  uint32_t old_capacity;
  uint32_t stamp;
  bool is_asleep;
  bool is_borrowed; /* the slots are the waker's */
  bool is_marked;   /* some entry may be marked PLACE_TOMBSTONE */
  struct keydir_old *olds;
};

struct keydir {
  struct shard shards[KEYDIR_SHARDS];
  struct keydir_waker waker;
  alignas(64) atomic_uint_least64_t count;
  atomic_uint_least64_t old_count;
  atomic_uint_least64_t bytes;
};

enum bitcask_status keydir_new(struct keydir **out) {
  /* Shards stand on cache lines of their own; calloc knows nothing of that. */
  struct keydir *keydir = memory_aligned(alignof(struct keydir), sizeof *keydir);
  if (keydir == NULL) return BITCASK_NOMEMORY;
  memset(keydir, 0, sizeof *keydir);
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
    if (!shard->is_borrowed) keydir_table_clear(&shard->table);
  }
  if (keydir->waker.release != NULL) keydir->waker.release(keydir->waker.context);
  memory_free(keydir);
}

static struct shard *shard_of(struct keydir *keydir, uint64_t hash) {
  return &keydir->shards[keydir_shard_of(hash)];
}

/* ---- Waking ---- */

void keydir_sleep(struct keydir *keydir, const struct keydir_waker *waker,
                  const uint32_t counts[KEYDIR_SHARDS]) {
  uint64_t total = 0;
  keydir->waker = *waker;
  for (int i = 0; i < KEYDIR_SHARDS; i++) {
    keydir->shards[i].is_asleep = true;
    keydir->shards[i].table.count = counts[i];
    total += counts[i];
  }
  atomic_store(&keydir->count, total);
}

void keydir_clear(struct keydir *keydir) {
  for (int i = 0; i < KEYDIR_SHARDS; i++) {
    struct shard *shard = &keydir->shards[i];
    latch_lock(&shard->lock);
    if (!shard->is_borrowed) keydir_table_clear(&shard->table);
    shard->table = (struct keydir_table){0};
    shard->is_asleep = shard->is_borrowed = shard->is_marked = false;
    latch_unlock(&shard->lock);
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
  atomic_fetch_add(&keydir->bytes, keydir_table_bytes(&table));
  atomic_fetch_add(&keydir->count, (uint64_t)table.count - shard->table.count);
  __atomic_store_n(&shard->table.slots, table.slots, __ATOMIC_RELAXED); /* for keydir_prefetch */
  __atomic_store_n(&shard->table.homes, table.homes, __ATOMIC_RELAXED);
  shard->table.tail = table.tail;
  shard->table.count = table.count;
  shard->table.used_end = table.used_end;
  return BITCASK_OK;
}

/* Lock a shard that is awake then; on failure it is not locked. One that is asleep has no
 * homes, as an empty one, so that those in use are known without another look. */
static enum bitcask_status lock_awake(struct keydir *keydir, struct shard *shard) UNCHECKED {
  latch_lock(&shard->lock);
  if (shard->table.homes > 0 || !shard->is_asleep) return BITCASK_OK;
  enum bitcask_status status = wake(keydir, shard);
  if (status != BITCASK_OK) latch_unlock(&shard->lock);
  return status;
}

enum bitcask_status keydir_wake(struct keydir *keydir, unsigned number) UNCHECKED {
  TRY(lock_awake(keydir, &keydir->shards[number]));
  latch_unlock(&keydir->shards[number].lock);
  return BITCASK_OK;
}

enum bitcask_status keydir_wake_all(struct keydir *keydir) {
  for (unsigned shard = 0; shard < KEYDIR_SHARDS; shard++) TRY(keydir_wake(keydir, shard));
  return BITCASK_OK;
}

enum bitcask_status keydir_copy_table(struct keydir *keydir, unsigned number,
                                      struct bitcask_buffer *slots,
                                      struct keydir_table *out) UNCHECKED {
  struct shard *shard = &keydir->shards[number];
  for (;;) {
    TRY(lock_awake(keydir, shard));
    size_t size = keydir_table_bytes(&shard->table);
    bool has_room = size <= slots->capacity;
    slots->size = 0;
    if (has_room) buffer_append(slots, bytes_of(shard->table.slots, size));
    *out = shard->table;
    out->slots = slots->data;
    latch_unlock(&shard->lock);
    if (has_room) return BITCASK_OK;
    TRY(buffer_reserve(slots, size));
    memset(slots->data, 0, slots->capacity); /* touched before the lock is held again */
  }
}

void keydir_take_table(struct keydir *keydir, unsigned number, struct keydir_table *out) {
  struct shard *shard = &keydir->shards[number];
  latch_lock(&shard->lock);
  *out = shard->table;
  shard->table = (struct keydir_table){0};
  atomic_fetch_sub(&keydir->count, out->count);
  atomic_fetch_sub(&keydir->bytes, keydir_table_bytes(out));
  shard->stamp++;
  latch_unlock(&shard->lock);
}

void keydir_prefetch(const struct keydir *keydir, uint64_t hash) {
  const struct shard *shard = &keydir->shards[keydir_shard_of(hash)];
  /* Whatever these two are, nothing but a prefetch is done with them. */
  const struct keydir_entry *slots = __atomic_load_n(&shard->table.slots, __ATOMIC_RELAXED);
  uint32_t homes = __atomic_load_n(&shard->table.homes, __ATOMIC_RELAXED);
  uint64_t home = keydir_table_home(homes, keydir_hash_in_shard(hash));
  uintptr_t at = (uintptr_t)slots + home * sizeof *slots;
  __builtin_prefetch((const void *)at);
  __builtin_prefetch((const void *)(at + 3 * sizeof *slots)); /* most stand no farther from home */
}

static inline void find(const struct shard *shard, uint32_t hash, unsigned first,
                        struct keydir_matches *out) {
  const struct keydir_table *table = &shard->table;
  out->status = BITCASK_OK;
  out->count = 0;
  out->more = false;
  out->stamp = shard->stamp;
  if (table->homes == 0) return;
  uint32_t i = keydir_table_seek(table, hash) + first;
  for (; keydir_table_is_at(table, i, hash); i++) {
    if (out->count == KEYDIR_MATCHES) {
      out->more = true;
      return;
    }
    out->entries[out->count++] = table->slots[i];
  }
}

static inline struct keydir_entry find_only(const struct keydir_table *table, uint32_t hash) {
  const struct keydir_entry *end = table->slots + keydir_table_end(table);
  const struct keydir_entry *slot = keydir_table_slot(table, end, hash);
  if (!keydir_table_is_of(slot, end, hash)) return (struct keydir_entry){0};
  if (keydir_table_is_of(slot + 1, end, hash))
    return (struct keydir_entry){.at = KEYDIR_UNSURE};
  return *slot;
}

static inline struct keydir_entry find_only_and_unlock(struct shard *shard, uint64_t hash)
    RELEASES(shard->lock) {
  struct keydir_entry entry = {0};
  /* One that is asleep has no homes, as an empty one. */
  if (shard->table.homes > 0)
    entry = find_only(&shard->table, keydir_hash_in_shard(hash));
  else if (shard->is_asleep)
    entry.at = KEYDIR_UNSURE;
  latch_unlock(&shard->lock);
  return entry;
}

/* Whoever calls this last has nothing to save meanwhile. */
static SELDOM struct keydir_entry wait_to_find_only(struct keydir *keydir,
                                                     uint64_t hash) UNCHECKED {
  latch_wait(&shard_of(keydir, hash)->lock);
  return find_only_and_unlock(shard_of(keydir, hash), hash);
}

struct keydir_entry keydir_find_only(struct keydir *keydir, uint64_t hash) UNCHECKED {
  struct shard *shard = shard_of(keydir, hash);
  if (!latch_try_lock(&shard->lock)) return wait_to_find_only(keydir, hash);
  return find_only_and_unlock(shard, hash);
}

void keydir_find(struct keydir *keydir, uint64_t hash, unsigned first,
                 struct keydir_matches *out) UNCHECKED {
  struct shard *shard = shard_of(keydir, hash);
  out->count = 0;
  out->more = false;
  out->status = lock_awake(keydir, shard);
  if (out->status != BITCASK_OK) return;
  find(shard, keydir_hash_in_shard(hash), first, out);
  latch_unlock(&shard->lock);
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
  latch_lock(&shard->lock);
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
  latch_unlock(&shard->lock);
}

/* ---- Growing ---- */

static enum bitcask_status own(struct keydir *keydir, struct shard *shard, unsigned more) {
  size_t before = keydir_table_bytes(&shard->table);
  TRY(keydir_table_own(&shard->table, more, (unsigned)(shard - keydir->shards)));
  atomic_fetch_add(&keydir->bytes, keydir_table_bytes(&shard->table) - before);
  shard->is_borrowed = false;
  shard->stamp++;
  return BITCASK_OK;
}

enum bitcask_status keydir_own(struct keydir *keydir, unsigned number, unsigned more) {
  struct shard *shard = &keydir->shards[number];
  latch_lock(&shard->lock);
  enum bitcask_status status = shard->is_borrowed ? own(keydir, shard, more) : BITCASK_OK;
  latch_unlock(&shard->lock);
  return status;
}

/* A table in its waker's memory cannot grow there. */
static enum bitcask_status take_over(struct keydir *keydir, struct shard *shard, unsigned more) {
  TRY(own(keydir, shard, more));
  keydir->waker.drop(keydir->waker.context, (unsigned)(shard - keydir->shards));
  return BITCASK_OK;
}

static enum bitcask_status make_room(struct keydir *keydir, struct shard *shard, unsigned more) {
  if (keydir_table_has_room(&shard->table, more)) return BITCASK_OK;
  if (shard->is_borrowed) TRY(take_over(keydir, shard, more));
  size_t before = keydir_table_bytes(&shard->table);
  unsigned number = (unsigned)(shard - keydir->shards);
  enum bitcask_status status = keydir_table_make_room(&shard->table, more, number);
  atomic_fetch_add(&keydir->bytes, keydir_table_bytes(&shard->table) - before);
  shard->stamp++;
  return status;
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
  latch_unlock(&shard->lock);
  return status;
}

enum bitcask_status keydir_reserve_and_find(struct keydir *keydir, uint64_t hash, unsigned more,
                                            bool keeping, struct keydir_entry *out) UNCHECKED {
  struct shard *shard = shard_of(keydir, hash);
  TRY(lock_awake(keydir, shard));
  enum bitcask_status status = reserve(keydir, shard, more, keeping);
  if (status == BITCASK_OK) *out = find_only(&shard->table, keydir_hash_in_shard(hash));
  latch_unlock(&shard->lock);
  return status;
}

/* ---- Changing ---- */

void keydir_insert(struct keydir *keydir, uint64_t hash, place at, uint64_t size) {
  struct shard *shard = shard_of(keydir, hash);
  uint32_t wanted = keydir_hash_in_shard(hash);
  latch_lock(&shard->lock);
  keydir_table_insert(&shard->table, &(struct keydir_entry){wanted, (uint32_t)(size / 8), at});
  if (at & PLACE_TOMBSTONE) shard->is_marked = true;
  shard->stamp++;
  latch_unlock(&shard->lock);
  atomic_fetch_add_explicit(&keydir->count, 1, memory_order_relaxed);
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
  latch_lock(&shard->lock);
  struct keydir_entry *entry = keydir_table_entry(&shard->table, keydir_hash_in_shard(hash), from);
  if (entry != NULL) {
    keep_old(keydir, shard, keep);
    entry->at = to;
    entry->units = (uint32_t)(size / 8);
    if (to & PLACE_TOMBSTONE) shard->is_marked = true;
    shard->stamp++;
  }
  latch_unlock(&shard->lock);
  return entry != NULL;
}

bool keydir_remove(struct keydir *keydir, uint64_t hash, place from,
                   const struct keydir_old *keep) {
  struct shard *shard = shard_of(keydir, hash);
  latch_lock(&shard->lock);
  struct keydir_entry *entry = keydir_table_entry(&shard->table, keydir_hash_in_shard(hash), from);
  if (entry != NULL) {
    keep_old(keydir, shard, keep);
    keydir_table_remove(&shard->table, (uint32_t)(entry - shard->table.slots));
    shard->stamp++;
    atomic_fetch_sub_explicit(&keydir->count, 1, memory_order_relaxed);
  }
  latch_unlock(&shard->lock);
  return entry != NULL;
}

static uint64_t drop_tombstones(struct keydir_table *table) {
  uint64_t dropped = 0;
  for (uint32_t i = 0; i < keydir_table_end(table);) {
    if (table->slots[i].at & PLACE_TOMBSTONE) {
      keydir_table_remove(table, i);
      dropped++;
    } else {
      i++;
    }
  }
  return dropped;
}

uint64_t keydir_drop_tombstones(struct keydir *keydir, unsigned number) {
  struct shard *shard = &keydir->shards[number];
  latch_lock(&shard->lock);
  uint64_t dropped = shard->is_marked ? drop_tombstones(&shard->table) : 0;
  shard->is_marked = false;
  shard->stamp++;
  latch_unlock(&shard->lock);
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
  const struct keydir_table *table = &shard->table;
  if (table->count == 0) return; /* then there may be no memory at all */
  place *to = (place *)((char *)places->data + places->size);
  for (uint32_t i = 0; i < keydir_table_end(table); i++)
    if (table->slots[i].at != 0) *to++ = table->slots[i].at;
  places->size += table->count * sizeof *to;
}

enum bitcask_status keydir_copy_shard(struct keydir *keydir, unsigned number, uint64_t version,
                                      struct bitcask_buffer *places,
                                      struct bitcask_buffer *olds) UNCHECKED {
  struct shard *shard = &keydir->shards[number];
  TRY(lock_awake(keydir, shard));
  enum bitcask_status status = buffer_reserve(places, shard->table.count * sizeof(place));
  if (status == BITCASK_OK) copy_places(shard, places);
  if (status == BITCASK_OK) status = copy_olds(shard, version, olds);
  latch_unlock(&shard->lock);
  return status;
}

/* Entries copied out of a table: whole runs of one hash, so that the next piece begins behind. */
struct piece {
  struct bitcask_buffer *entries;
  uint32_t next; /* hash of the first that is to be taken */
  bool is_last;
};

/* Room for twice as many as before, touched once. */
static enum bitcask_status grow_piece(struct piece *piece) {
  enum { FIRST_SIZE = 256 * sizeof(struct keydir_entry) };
  struct bitcask_buffer *entries = piece->entries;
  entries->size = 0;
  TRY(buffer_reserve(entries, entries->capacity == 0 ? FIRST_SIZE : 2 * entries->capacity));
  memset(entries->data, 0, entries->capacity);
  return BITCASK_OK;
}

/* Where the last run of one hash begins. */
static size_t last_run(const struct keydir_entry *entries, size_t count) {
  size_t first = count;
  while (first > 0 && entries[first - 1].hash == entries[count - 1].hash) first--;
  return first;
}

/* False: there is not even room for the first run. No branch depends on whether a slot is empty:
 * nobody could guess it. */
static bool take_piece(const struct keydir_table *table, struct piece *piece) {
  struct keydir_entry *taken = piece->entries->data;
  size_t count = 0, room = piece->entries->capacity / sizeof *taken;
  uint32_t at = keydir_table_seek(table, piece->next), end = keydir_table_end(table);
  for (; at < end && count < room; at++) {
    taken[count] = table->slots[at];
    count += table->slots[at].at != 0;
  }
  size_t whole = at == end ? count : last_run(taken, count);
  piece->entries->size = whole * sizeof *taken;
  piece->is_last = at == end || (whole > 0 && taken[whole - 1].hash == UINT32_MAX);
  if (!piece->is_last && whole > 0) piece->next = taken[whole - 1].hash + 1;
  return whole > 0 || piece->is_last;
}

enum bitcask_status keydir_read_shard(struct keydir *keydir, unsigned number,
                                      struct bitcask_buffer *scratch, keydir_reader each,
                                      void *context) UNCHECKED {
  struct shard *shard = &keydir->shards[number];
  struct piece piece = {.entries = scratch};
  if (scratch->capacity == 0) TRY(grow_piece(&piece));
  while (!piece.is_last) {
    TRY(lock_awake(keydir, shard));
    bool has_room = take_piece(&shard->table, &piece);
    latch_unlock(&shard->lock);
    if (!has_room) TRY(grow_piece(&piece));
    const struct keydir_entry *entries = scratch->data;
    for (size_t i = 0; i < scratch->size / sizeof *entries; i++)
      each(context, keydir_hash_of(number, entries[i].hash), &entries[i]);
  }
  return BITCASK_OK;
}

enum bitcask_status keydir_visit_shard(
    struct keydir *keydir, unsigned number,
    void (*each)(void *context, uint64_t hash, struct keydir_entry *entry),
    void *context) UNCHECKED {
  struct shard *shard = &keydir->shards[number];
  TRY(lock_awake(keydir, shard));
  const struct keydir_table *table = &shard->table;
  shard->is_marked = true; /* `each` may do that */
  for (uint32_t i = 0; i < keydir_table_end(table); i++)
    if (table->slots[i].at != 0)
      each(context, keydir_hash_of(number, table->slots[i].hash), &table->slots[i]);
  latch_unlock(&shard->lock);
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
  latch_lock(&shard->lock);
  for (uint32_t i = 0; i < shard->old_count && taken < PRUNE_BATCH;) {
    if (is_seen(&shard->olds[i], open)) {
      i++;
      continue;
    }
    segments[taken++] = shard->olds[i].segment;
    shard->olds[i] = shard->olds[--shard->old_count];
  }
  if (taken > 0) shard->stamp++;
  latch_unlock(&shard->lock);
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
