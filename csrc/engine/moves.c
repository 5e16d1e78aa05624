#include "engine/moves.h"

#include "base/memory.h"

struct collecting {
  struct moves *moves;
  const uint8_t *flags;
  uint32_t slots;
  size_t found; /* in this shard, also those that did not fit */
};

static void collect_move(void *context, uint64_t hash, struct keydir_entry *entry) {
  struct collecting *collecting = context;
  struct moves *moves = collecting->moves;
  uint32_t slot = place_slot(entry->at);
  if (slot >= collecting->slots || !collecting->flags[slot]) return;
  if (moves->count + collecting->found < moves->capacity)
    moves->items[moves->count + collecting->found] =
        (struct move){.hash = hash, .from = entry->at, .size = keydir_entry_size(entry)};
  collecting->found++;
}

/* Memory is taken outside the shard's lock, so a shard that has more than fit is looked at
 * again. */
static enum bitcask_status collect_shard(struct collecting *collecting, struct keydir *keydir,
                                         unsigned shard) {
  struct moves *moves = collecting->moves;
  for (;;) {
    collecting->found = 0;
    TRY(keydir_visit_shard(keydir, shard, collect_move, collecting));
    size_t needed = moves->count + collecting->found;
    if (needed <= moves->capacity) {
      moves->count = needed;
      return BITCASK_OK;
    }
    size_t capacity = needed + needed / 2 + 1024;
    struct move *items = memory_resize(moves->items, capacity, sizeof *items);
    if (items == NULL) return BITCASK_NOMEMORY;
    moves->items = items;
    moves->capacity = capacity;
  }
}

/* ---- Sorting ---- */

/* Slot and offset, without the marks. */
static uint64_t key_of(const struct move *move) {
  return place_make(place_slot(move->from), place_offset(move->from), 0);
}

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

static void sort_by_digit(const struct move *from, struct move *to, size_t count,
                          unsigned shift) {
  size_t starts[DIGITS] = {0}, sum = 0;
  for (size_t i = 0; i < count; i++) starts[(key_of(&from[i]) >> shift) % DIGITS]++;
  for (unsigned digit = 0; digit < DIGITS; digit++) {
    size_t here = starts[digit];
    starts[digit] = sum;
    sum += here;
  }
  for (size_t i = 0; i < count; i++)
    to[starts[(key_of(&from[i]) >> shift) % DIGITS]++] = from[i];
}

/* By place: a radix sort, three passes or four instead of twenty comparisons a move, each of
 * them a cache miss. The sorted ones may come to stand in the other of the two arrays. */
static enum bitcask_status sort(struct moves *moves) {
  uint64_t differing = 0;
  for (size_t i = 1; i < moves->count; i++)
    differing |= key_of(&moves->items[i]) ^ key_of(&moves->items[0]);
  if (differing == 0) return BITCASK_OK;
  struct move *spare = memory_new(moves->count * sizeof *spare);
  if (spare == NULL) return BITCASK_NOMEMORY;
  size_t capacity = moves->count; /* of the spare array */
  for (unsigned shift = 0; differing != 0; differing >>= DIGIT_BITS, shift += DIGIT_BITS) {
    unsigned same = (unsigned)__builtin_ctzll(differing); /* bits that tell nothing */
    differing >>= same;
    shift += same;
    sort_by_digit(moves->items, spare, moves->count, shift);
    struct move *sorted = spare;
    size_t sorted_capacity = capacity;
    spare = moves->items;
    capacity = moves->capacity;
    moves->items = sorted;
    moves->capacity = sorted_capacity;
  }
  memory_free(spare);
  return BITCASK_OK;
}

enum bitcask_status moves_collect(struct moves *moves, struct keydir *keydir,
                                  const uint8_t *flags, uint32_t slots) {
  struct collecting collecting = {.moves = moves, .flags = flags, .slots = slots};
  moves->count = 0;
  for (unsigned shard = 0; shard < KEYDIR_SHARDS; shard++)
    TRY(collect_shard(&collecting, keydir, shard));
  return sort(moves);
}

void moves_release(struct moves *moves) {
  memory_free(moves->items);
  *moves = (struct moves){0};
}

/* The first move of a slot that is not before `slot`. */
static size_t first_of(const struct moves *moves, uint64_t slot) {
  size_t low = 0, high = moves->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (place_slot(moves->items[middle].from) < slot)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

struct moves_range moves_of_slot(const struct moves *moves, uint32_t slot) {
  return (struct moves_range){first_of(moves, slot), first_of(moves, (uint64_t)slot + 1)};
}
