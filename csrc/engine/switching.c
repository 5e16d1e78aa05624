#include "engine/switching.h"

#include "base/mutant.h"
#include "engine/flush.h"
#include "engine/reserve.h"
#include "format/filename.h"

/* ---- Commit ---- */

enum bitcask_status switching_prepare(struct switching *switching) {
  TRY(outputs_finish(switching->outputs));
  return MUTANT(ACTIVE_UNFLUSHED) ? BITCASK_OK : engine_flush(switching->engine);
}

static enum bitcask_status commit_edit(struct switching *switching, uint64_t dropped_version) {
  const struct inputs *inputs = switching->inputs;
  const struct outputs *outputs = switching->outputs;
  struct bitcask_buffer items = {0};
  enum bitcask_status status = BITCASK_OK;
  for (size_t i = 0; status == BITCASK_OK && i < inputs->count; i++)
    status = edit_append_removed(&items, inputs->items[i].segment->facts.id);
  for (size_t i = 0; status == BITCASK_OK && i < outputs->count; i++)
    status = edit_append_facts(&items, EDIT_SEALED, &outputs->segments[i]->facts);
  if (status == BITCASK_OK && dropped_version > 0)
    status = edit_append_dropped(&items, dropped_version);
  if (status == BITCASK_OK)
    status = reserve_commit(switching->engine, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  return status;
}

/* What must not happen, for a mutant. */
static void remove_inputs(struct switching *switching) {
  struct disk_directory *directory = switching->engine->directory;
  for (size_t i = 0; i < switching->inputs->count; i++) {
    uint64_t id = switching->inputs->items[i].segment->facts.id;
    directory->ops->remove(directory, filename_of_segment(id).text);
  }
}

/* Older puts are gone with the inputs: tombstones that were needed for them may go now. */
static void forget_needed(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; i < engine->sealed_count; i++)
    atomic_store(&engine->sealed[i]->kept_tombstone_bytes, 0);
  mutex_unlock(&engine->set_lock);
}

static void set_switching(struct engine *engine, bool is_switching) {
  mutex_lock(&engine->set_lock);
  engine->is_switching = is_switching;
  mutex_unlock(&engine->set_lock);
}

enum bitcask_status switching_commit(struct switching *switching, uint64_t dropped_version) {
  struct engine *engine = switching->engine;
  size_t promised = switching->outputs->count;
  TRY(engine_promise_sealed(engine, promised));
  if (MUTANT(INPUTS_REMOVED_FIRST)) remove_inputs(switching);
  set_switching(engine, true);
  enum bitcask_status status = commit_edit(switching, dropped_version);
  if (status != BITCASK_OK) {
    set_switching(engine, false);
    engine_break_promise(engine, promised);
    return status;
  }
  forget_needed(engine);
  outputs_adopt(switching->outputs);
  return BITCASK_OK;
}

/* ---- Switch ---- */

/* What must not happen either: whatever entry there is by now leads to the copy. */
static bool store_place(struct switching *switching, const struct move *move) {
  struct keydir_matches matches;
  keydir_find(switching->engine->keydir, move_hash(move), 0, &matches);
  return matches.count > 0 &&
         keydir_replace(switching->engine->keydir, move_hash(move), matches.entries[0].at,
                        move->to, move_size(move), NULL);
}

/* What was not copied has been written anew, or has expired in this very moment. */
static void drop_entry(struct engine *engine, uint64_t hash, place from) {
  mutex_lock(&engine->write_lock);
  keydir_remove(engine->keydir, hash, from, NULL);
  mutex_unlock(&engine->write_lock);
}

static void switch_entry(struct switching *switching, const struct move *move, uint32_t slot) {
  struct engine *engine = switching->engine;
  uint64_t hash = move_hash(move), size = move_size(move);
  place from = move_from(move, slot);
  if (move->to == 0)
    drop_entry(engine, hash, from);
  else if (MUTANT(SWITCHED_BLINDLY) && store_place(switching, move))
    return;
  else if (!keydir_replace(engine->keydir, hash, from, move->to, size, NULL))
    engine_count_dead(engine_segment(engine, move->to), size);
}

/* Those of one input, from where the last step has ended; the bytes of their records. */
static uint64_t switch_input(struct switching *switching, const struct input *input,
                             uint64_t budget) {
  enum { AHEAD = 8 }; /* so many slots are on their way into the processor's cache */
  enum { MOVES_TOGETHER = 64 };
  uint64_t done = 0;
  while (switching->next_move < input->moves.end && done < budget) {
    const struct move *move = &switching->moves->items[switching->next_move++];
    if (input->moves.end - switching->next_move > AHEAD)
      keydir_prefetch(switching->engine->keydir, move_hash(&move[AHEAD]));
    switch_entry(switching, move, input->segment->slot);
    done += move_size(move);
    if (switching->next_move % MOVES_TOGETHER == 0) thread_step_aside();
  }
  return done;
}

/* One for a store with sealed segments, and none for one without. */
static void settle_reserve(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  bool is_empty = engine->sealed_count == 0;
  mutex_unlock(&engine->set_lock);
  if (is_empty)
    reserve_drop(engine);
  else
    reserve_make(engine);
}

bool switching_step(struct switching *switching, uint64_t budget) {
  struct inputs *inputs = switching->inputs;
  for (uint64_t done = 0; switching->current < inputs->count && done < budget;) {
    const struct input *input = &inputs->items[switching->current];
    if (switching->next_move < input->moves.first) switching->next_move = input->moves.first;
    done += switch_input(switching, input, budget - done);
    if (switching->next_move == input->moves.end) switching->current++;
  }
  if (switching->current < inputs->count) return false;
  inputs_retire(inputs);
  settle_reserve(switching->engine);
  return true;
}
