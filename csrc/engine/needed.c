#include "engine/needed.h"

#include <inttypes.h>

#include "base/mutant.h"
#include "engine/closing.h"

/* ---- What is live ---- */

/* Counted before it gets an entry, and after it has lost one: hardly ever too few. Where a file has
 * told the count it may be anything; more than fit into the segment there cannot be. */
static struct moves_source source_of(const struct segment *segment) {
  uint64_t live = atomic_load(&segment->live_records);
  uint64_t most = segment->facts.length / RECORD_SIZE_MIN;
  return (struct moves_source){segment->slot, (size_t)(live < most ? live : most)};
}

static enum bitcask_status collect_moves(struct needed *needed, struct inputs *inputs) {
  struct keydir *keydir = inputs->engine->keydir;
  TRY(keydir_wake_all(keydir)); /* what sleeps is told by the inputs alone */
  struct moves_source *sources = memory_new(inputs->count * sizeof *sources);
  if (sources == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < inputs->count; i++) sources[i] = source_of(inputs->items[i].segment);
  enum bitcask_status status = moves_collect(&needed->moves, keydir, sources, inputs->count);
  memory_free(sources);
  for (size_t i = 0; status == BITCASK_OK && i < inputs->count; i++)
    inputs->items[i].moves = needed->moves.ranges[i];
  return status;
}

/* ---- Is there room ---- */

/* Of the outputs as far as they are known; tombstones that stay are few, or there is room for
 * them where those that go have been. */
static uint64_t space_needed(const struct needed *needed, const struct inputs *inputs) {
  uint64_t space = 0;
  for (size_t i = 0; i < inputs->count; i++)
    for (size_t k = inputs->items[i].moves.first; k < inputs->items[i].moves.end; k++)
      space += move_size(&needed->moves.items[k]);
  uint64_t outputs = space / inputs->engine->options.segment_size + 1;
  return space == 0 ? 0 : space + outputs * HEADER_SIZE;
}

/* Before anything is written: what has no room now would be written in vain. */
static enum bitcask_status check_space(const struct needed *needed, const struct inputs *inputs) {
  struct disk_directory *directory = inputs->engine->directory;
  uint64_t space = space_needed(needed, inputs), there = directory->ops->free_space(directory);
  if (space <= there) return BITCASK_OK;
  engine_finish_closing(inputs->engine); /* the merge before may have space to give back */
  there = directory->ops->free_space(directory);
  if (space <= there) return BITCASK_OK;
  return status_fail(BITCASK_NOSPACE,
                     "a merge of %zu segments needs %" PRIu64
                     " bytes of space for what is live in them, and %" PRIu64 " are left",
                     inputs->count, space, there);
}

/* ---- Which tombstones are needed ---- */

/* The active segment holds nothing older than a tombstone in a sealed one: it was begun after every
 * segment that a user's write went to was sealed. */
static uint64_t oldest_put(struct segment *const *outside, size_t count) {
  uint64_t oldest = EDIT_NO_PUT;
  for (size_t i = 0; i < count; i++)
    if (outside[i]->facts.min_put_version < oldest) oldest = outside[i]->facts.min_put_version;
  return oldest;
}

static enum bitcask_status decide_among(struct needed *needed, struct inputs *inputs,
                                        struct segment *const *outside, size_t count) {
  store_identity store = inputs->engine->manifest.store;
  needed->oldest_put_outside = oldest_put(outside, count);
  for (size_t i = 0; i < inputs->count; i++)
    TRY(tombstones_collect(&needed->tombstones, inputs->items[i].segment, store,
                           needed->oldest_put_outside));
  for (size_t i = 0; i < count; i++)
    TRY(tombstones_mark(&needed->tombstones, outside[i], store));
  return BITCASK_OK;
}

static enum bitcask_status decide_tombstones(struct needed *needed, struct inputs *inputs) {
  struct bitcask_buffer others = {0};
  tombstones_release(&needed->tombstones);
  enum bitcask_status status = inputs_ref_others(inputs, &others);
  struct segment **outside = others.data;
  size_t count = others.size / sizeof *outside;
  if (status == BITCASK_OK) status = decide_among(needed, inputs, outside, count);
  for (size_t i = 0; i < count; i++) segment_unref(outside[i]);
  bitcask_buffer_release(&others);
  return status;
}

enum bitcask_status needed_find(struct needed *needed, struct inputs *inputs) {
  TRY(collect_moves(needed, inputs));
  TRY(check_space(needed, inputs));
  return decide_tombstones(needed, inputs);
}

bool needed_as_tombstone(const struct needed *needed, const struct record *record) {
  bool is_tombstone = record->flags & RECORD_TOMBSTONE;
  if (is_tombstone ? MUTANT(TOMBSTONE_DROPPED) : MUTANT(EXPIRED_DROPPED)) return false;
  return tombstones_may_be(record->flags) &&
         tombstones_is_needed(&needed->tombstones, record->key, record->version,
                              needed->oldest_put_outside);
}

bool needed_is_live_alone(const struct needed *needed, const struct input *input) {
  const struct segment_facts *facts = &input->segment->facts;
  bool may_hide = facts->tombstones > 0 || (facts->flags & EDIT_FACTS_EXPIRING);
  if (atomic_load(&input->segment->is_suspect)) return false;
  return !may_hide || tombstones_needs_none(&needed->tombstones);
}

void needed_release(struct needed *needed) {
  tombstones_release(&needed->tombstones);
  moves_release(&needed->moves);
}
