#include "engine/moves.h"

#include <string.h>

#include "base/memory.h"
#include "base/radix.h"
#include "base/thread.h"

/* One walk over the keydir. */
struct walk {
  struct moves *moves;
  const uint32_t *numbers; /* by slot: that of its segment and one more; 0: not asked for */
  uint32_t slots;
  size_t *ends; /* up to where there is room for the moves of each segment */
  bool is_overfull;
};

static struct moves_range *range_of(const struct walk *walk, place at, size_t *number) {
  uint32_t slot = place_slot(at);
  if (slot >= walk->slots || walk->numbers[slot] == 0) return NULL;
  *number = walk->numbers[slot] - 1;
  return &walk->moves->ranges[*number];
}

static void count_move(void *context, uint64_t hash, const struct keydir_entry *entry) {
  size_t number;
  struct moves_range *range = range_of(context, entry->at, &number);
  (void)hash;
  if (range != NULL) range->end++;
}

static void put_move(void *context, uint64_t hash, const struct keydir_entry *entry) {
  struct walk *walk = context;
  size_t number;
  struct moves_range *range = range_of(walk, entry->at, &number);
  if (range == NULL) return;
  if (range->end == walk->ends[number]) {
    walk->is_overfull = true;
    return;
  }
  walk->moves->items[range->end++] =
      (struct move){.from = place_make(keydir_shard_of(hash), place_offset(entry->at),
                                       entry->at & PLACE_EXPIRES),
                    .hash = entry->hash,
                    .units = entry->units};
}

static enum bitcask_status walk_keydir(struct walk *walk, struct keydir *keydir,
                                       keydir_reader each) {
  struct bitcask_buffer scratch = {0};
  enum bitcask_status status = BITCASK_OK;
  for (unsigned shard = 0; status == BITCASK_OK && shard < KEYDIR_SHARDS; shard++) {
    status = keydir_read_shard(keydir, shard, &scratch, each, walk);
    thread_step_aside();
  }
  bitcask_buffer_release(&scratch);
  return status;
}

/* Ranges one behind the other, as long as they are to be, and empty yet. */
static enum bitcask_status lay_out(struct walk *walk, size_t count) {
  struct moves *moves = walk->moves;
  size_t sum = 0;
  memory_free(moves->items);
  walk->is_overfull = false;
  for (size_t i = 0; i < count; i++) {
    size_t found = moves->ranges[i].end;
    moves->ranges[i] = (struct moves_range){sum, sum};
    walk->ends[i] = sum += found;
  }
  moves->items = memory_new(sum * sizeof *moves->items);
  return moves->items != NULL ? BITCASK_OK : BITCASK_NOMEMORY;
}

static size_t longest(const struct moves *moves, size_t count) {
  size_t most = 0;
  for (size_t i = 0; i < count; i++) {
    size_t length = moves->ranges[i].end - moves->ranges[i].first;
    if (length > most) most = length;
  }
  return most;
}

/* Each range by offset. No record is shorter than 32 bytes, or 4 units of a place. */
static enum bitcask_status sort(struct moves *moves, size_t count) {
  const uint64_t offset_bits = ((UINT64_C(1) << PLACE_OFFSET_BITS) - 1) & ~UINT64_C(3);
  struct move *spare = memory_new(longest(moves, count) * sizeof *spare);
  if (spare == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < count; i++) {
    struct moves_range range = moves->ranges[i];
    radix_sort(moves->items + range.first, spare, range.end - range.first, sizeof *spare,
               offset_bits);
  }
  memory_free(spare);
  return BITCASK_OK;
}

static void expect(struct moves *moves, const struct moves_source *sources, size_t count) {
  for (size_t i = 0; i < count; i++)
    moves->ranges[i] = (struct moves_range){0, sources[i].expected};
}

/* Entries of these segments can only become fewer. Should there be more than expected all the same,
 * one that is missing would be a live record that is dropped: then they are counted before. */
static enum bitcask_status collect(struct walk *walk, struct keydir *keydir,
                                   const struct moves_source *sources, size_t count) {
  struct moves *moves = walk->moves;
  expect(moves, sources, count);
  TRY(lay_out(walk, count));
  TRY(walk_keydir(walk, keydir, put_move));
  while (walk->is_overfull) {
    memset(moves->ranges, 0, count * sizeof *moves->ranges);
    TRY(walk_keydir(walk, keydir, count_move));
    TRY(lay_out(walk, count));
    TRY(walk_keydir(walk, keydir, put_move));
  }
  return sort(moves, count);
}

enum bitcask_status moves_collect(struct moves *moves, struct keydir *keydir,
                                  const struct moves_source *sources, size_t count) {
  struct walk walk = {.moves = moves};
  moves_release(moves);
  for (size_t i = 0; i < count; i++)
    if (sources[i].slot >= walk.slots) walk.slots = sources[i].slot + 1;
  uint32_t *numbers = memory_zeroed(walk.slots + 1, sizeof *numbers);
  walk.ends = memory_zeroed(count + 1, sizeof *walk.ends);
  moves->ranges = memory_zeroed(count + 1, sizeof *moves->ranges);
  enum bitcask_status status = BITCASK_NOMEMORY;
  if (numbers != NULL && walk.ends != NULL && moves->ranges != NULL) {
    for (size_t i = 0; i < count; i++) numbers[sources[i].slot] = (uint32_t)i + 1;
    walk.numbers = numbers;
    status = collect(&walk, keydir, sources, count);
  }
  memory_free(numbers);
  memory_free(walk.ends);
  return status;
}

void moves_release(struct moves *moves) {
  memory_free(moves->items);
  memory_free(moves->ranges);
  *moves = (struct moves){0};
}
