#include "engine/moves.h"

#include <stdlib.h>

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
    keydir_visit_shard(keydir, shard, collect_move, collecting);
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

static int compare_moves(const void *left, const void *right) {
  const struct move *a = left, *b = right;
  uint32_t slot_a = place_slot(a->from), slot_b = place_slot(b->from);
  if (slot_a != slot_b) return slot_a < slot_b ? -1 : 1;
  uint64_t offset_a = place_offset(a->from), offset_b = place_offset(b->from);
  return (offset_a > offset_b) - (offset_a < offset_b);
}

enum bitcask_status moves_collect(struct moves *moves, struct keydir *keydir,
                                  const uint8_t *flags, uint32_t slots) {
  struct collecting collecting = {.moves = moves, .flags = flags, .slots = slots};
  moves->count = 0;
  for (unsigned shard = 0; shard < KEYDIR_SHARDS; shard++)
    TRY(collect_shard(&collecting, keydir, shard));
  if (moves->count > 0)
    qsort(moves->items, moves->count, sizeof *moves->items, compare_moves);
  return BITCASK_OK;
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
