#include "engine/merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mutant.h"
#include "engine/batch.h"
#include "engine/checkpointing.h"
#include "engine/flush.h"
#include "engine/moves.h"
#include "engine/outputs.h"
#include "engine/publish.h"
#include "engine/reserve.h"
#include "engine/flush.h"
#include "engine/settle.h"
#include "engine/throttle.h"
#include "engine/tombstones.h"
#include "engine/verdicts.h"
#include "format/filename.h"

/* An input, with the moves of its records. */
struct input {
  struct segment *segment; /* referenced */
  struct moves_range moves;
};

enum phase {
  PHASE_PLAN,
  PHASE_COPY,
  PHASE_CARRY_OUT, /* what a filter said */
  PHASE_COMMIT,
  PHASE_SWITCH,
  PHASE_DONE,
  PHASE_FAILED
};

struct bitcask_merge {
  struct engine *engine;
  enum phase phase;
  bool is_begun; /* its event was given */
  char reason[BITCASK_REASON_SIZE_MAX + 1];
  struct throttle throttle;
  uint64_t started_us;

  struct input *inputs;
  size_t input_count;
  struct outputs outputs;
  struct moves moves;
  struct tombstones tombstones;
  uint64_t oldest_put_outside;
  uint64_t dropped_version; /* the highest of a record that is not copied */

  /* copy, and switch */
  size_t current_input;
  size_t next_move;
  struct segment_scan scan;
  bool is_scanning;
  bool asks;      /* somebody is to say what becomes of each live record */
  bool is_asking; /* of the record that the scan stands at */
  struct verdicts verdicts;

  bool is_switching;

  struct bitcask_merge_report report;
  atomic_uint_least64_t bytes_done, bytes_total;
  atomic_bool is_finished, is_threaded;
  pthread_t thread;
  struct status_note outcome;
};

/* ---- Choosing the inputs ---- */

static bool has_anything_to_drop(const struct segment *segment) {
  uint64_t live = atomic_load(&segment->live_bytes);
  uint64_t kept = atomic_load(&segment->kept_tombstone_bytes);
  return segment->facts.length - HEADER_SIZE > live + kept && !atomic_load(&segment->is_damaged);
}

static bool is_named(const struct bitcask_merge_options *options, uint64_t id) {
  for (size_t i = 0; i < options->segment_count; i++)
    if (options->segments[i] == id) return true;
  return false;
}

static enum bitcask_status check_plan(struct engine *engine,
                                      const struct bitcask_merge_options *options)
    REQUIRES(engine->set_lock) {
  for (size_t i = 0; i < options->segment_count; i++) {
    uint64_t id = options->segments[i];
    bool is_sealed = false;
    for (size_t k = 0; k < engine->sealed_count; k++)
      if (engine->sealed[k]->facts.id == id) is_sealed = true;
    if (!is_sealed)
      return status_fail(BITCASK_INVALID,
                         "the plan names segment %" PRIu64 ", which is not a sealed segment of the store", id);
    for (size_t k = 0; k < i; k++)
      if (options->segments[k] == id)
        return status_fail(BITCASK_INVALID, "the plan names segment %" PRIu64 " twice", id);
  }
  return BITCASK_OK;
}

/* Without a plan: what has anything to drop; with a filter nobody knows what has. */
static bool is_chosen(const struct bitcask_merge_options *options, const struct segment *segment) {
  if (options->segments != NULL) return is_named(options, segment->facts.id);
  if (options->asks) return !atomic_load(&segment->is_damaged);
  return has_anything_to_drop(segment);
}

static enum bitcask_status choose_inputs(struct engine *engine, struct bitcask_merge *merge,
                                         const struct bitcask_merge_options *options)
    REQUIRES(engine->set_lock) {
  merge->inputs = memory_zeroed(engine->sealed_count + 1, sizeof *merge->inputs);
  if (merge->inputs == NULL) return BITCASK_NOMEMORY;
  uint64_t total = 0;
  for (size_t i = 0; i < engine->sealed_count; i++) {
    struct segment *segment = engine->sealed[i];
    if (!is_chosen(options, segment)) continue;
    merge->inputs[merge->input_count++].segment = segment_ref(segment);
    total += segment->facts.length - HEADER_SIZE;
  }
  merge->report.segments_in = merge->input_count;
  atomic_store(&merge->bytes_total, total);
  return BITCASK_OK;
}

/* All that is sealed shall be so in the manifest, too. Lets go of the lock meanwhile. */
static enum bitcask_status settle_first(struct engine *engine) REQUIRES(engine->set_lock) {
  enum bitcask_status status = BITCASK_OK;
  while (status == BITCASK_OK && engine->full_count > 0) {
    mutex_unlock(&engine->set_lock);
    status = settle_all(engine);
    mutex_lock(&engine->set_lock);
  }
  return status;
}

enum bitcask_status merge_open(struct engine *engine, const struct bitcask_merge_options *options,
                               struct bitcask_merge **out) {
  TRY(engine_check_writable(engine));
  struct bitcask_merge *merge = memory_zeroed(1, sizeof *merge);
  if (merge == NULL) return BITCASK_NOMEMORY;
  merge->engine = merge->outputs.engine = engine;
  merge->asks = options->asks;
  if (options->reason != NULL)
    snprintf(merge->reason, sizeof merge->reason, "%s", options->reason);
  mutex_lock(&engine->set_lock);
  enum bitcask_status status = settle_first(engine);
  if (status == BITCASK_OK && engine->is_merging)
    status = status_fail(BITCASK_BUSY, "a merge is running already");
  if (status == BITCASK_OK) status = check_plan(engine, options);
  if (status == BITCASK_OK) status = choose_inputs(engine, merge, options);
  if (status == BITCASK_OK) engine->is_merging = true;
  mutex_unlock(&engine->set_lock);
  if (status != BITCASK_OK) {
    for (size_t i = 0; i < merge->input_count; i++) segment_unref(merge->inputs[i].segment);
    memory_free(merge->inputs);
    memory_free(merge);
    return status;
  }
  engine_ref(engine);
  tombstones_init(&merge->tombstones);
  merge->started_us = engine->disk->ops->monotonic_us(engine->disk);
  throttle_init(&merge->throttle, options->rate, merge->started_us);
  *out = merge;
  return BITCASK_OK;
}

/* ---- Plan: what is live ---- */

static bool is_input(const struct bitcask_merge *merge, const struct segment *segment) {
  for (size_t i = 0; i < merge->input_count; i++)
    if (merge->inputs[i].segment == segment) return true;
  return false;
}

static enum bitcask_status collect_moves(struct bitcask_merge *merge) {
  uint32_t *slots = memory_new(merge->input_count * sizeof *slots);
  if (slots == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < merge->input_count; i++) slots[i] = merge->inputs[i].segment->slot;
  enum bitcask_status status =
      moves_collect(&merge->moves, merge->engine->keydir, slots, merge->input_count);
  memory_free(slots);
  for (size_t i = 0; status == BITCASK_OK && i < merge->input_count; i++)
    merge->inputs[i].moves = merge->moves.ranges[i];
  return status;
}

/* ---- Plan: which tombstones are needed ---- */

/* References on the sealed segments that stay outside. */
static enum bitcask_status ref_outside(struct bitcask_merge *merge, struct bitcask_buffer *out) {
  struct engine *engine = merge->engine;
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; status == BITCASK_OK && i < engine->sealed_count; i++) {
    struct segment *segment = engine->sealed[i];
    if (is_input(merge, segment)) continue;
    status = buffer_append(out, bytes_of(&segment, sizeof segment));
    if (status == BITCASK_OK) segment_ref(segment);
  }
  mutex_unlock(&engine->set_lock);
  return status;
}

static enum bitcask_status decide_tombstones(struct bitcask_merge *merge) {
  struct bitcask_buffer outside = {0};
  store_identity store = merge->engine->manifest.store;
  tombstones_release(&merge->tombstones);
  enum bitcask_status status = ref_outside(merge, &outside);
  struct segment **segments = outside.data;
  size_t count = outside.size / sizeof *segments;
  /* The active segment holds nothing older than a tombstone in a sealed one: it was begun
   * after every segment that a user's write went to was sealed. */
  uint64_t oldest = EDIT_NO_PUT;
  for (size_t i = 0; i < count; i++)
    if (segments[i]->facts.min_put_version < oldest) oldest = segments[i]->facts.min_put_version;
  merge->oldest_put_outside = oldest;
  for (size_t i = 0; status == BITCASK_OK && i < merge->input_count; i++)
    status = tombstones_collect(&merge->tombstones, merge->inputs[i].segment, store, oldest);
  for (size_t i = 0; status == BITCASK_OK && i < count; i++)
    status = tombstones_mark(&merge->tombstones, segments[i], store);
  for (size_t i = 0; i < count; i++) segment_unref(segments[i]);
  bitcask_buffer_release(&outside);
  return status;
}

/* ---- Plan: is there room ---- */

/* Of the outputs as far as they are known; tombstones that stay are few, or there is room for
 * them where those that go have been. */
static uint64_t space_needed(const struct bitcask_merge *merge) {
  uint64_t needed = 0;
  for (size_t i = 0; i < merge->input_count; i++)
    for (size_t k = merge->inputs[i].moves.first; k < merge->inputs[i].moves.end; k++)
      needed += move_size(&merge->moves.items[k]);
  uint64_t outputs = needed / merge->engine->options.segment_size + 1;
  return needed == 0 ? 0 : needed + outputs * HEADER_SIZE;
}

/* Before anything is written: what has no room now would be written in vain. */
static enum bitcask_status check_space(struct bitcask_merge *merge) {
  struct disk_directory *directory = merge->engine->directory;
  uint64_t needed = space_needed(merge), there = directory->ops->free_space(directory);
  if (needed <= there) return BITCASK_OK;
  return status_fail(BITCASK_NOSPACE,
                     "a merge of %zu segments needs %" PRIu64
                     " bytes of space for what is live in them, and %" PRIu64 " are left",
                     merge->input_count, needed, there);
}

static void report_begun(struct bitcask_merge *merge) {
  struct bitcask_event event = {.kind = BITCASK_EVENT_MERGING,
                                .segments = merge->input_count,
                                .bytes = atomic_load(&merge->bytes_total)};
  snprintf(event.message, sizeof event.message, "%s", merge->reason);
  engine_report(merge->engine, &event);
}

static enum bitcask_status plan(struct bitcask_merge *merge) {
  TRY(engine_check_writable(merge->engine));
  engine_expire(merge->engine);
  TRY(keydir_wake_all(merge->engine->keydir)); /* what sleeps is told by the inputs alone */
  TRY(collect_moves(merge));
  TRY(check_space(merge));
  TRY(decide_tombstones(merge));
  merge->current_input = 0;
  merge->dropped_version = 0;
  atomic_store(&merge->bytes_done, 0);
  merge->report = (struct bitcask_merge_report){
      .segments_in = merge->input_count, .segments_damaged = merge->report.segments_damaged};
  merge->phase = PHASE_COPY;
  return BITCASK_OK;
}

/* ---- Copy ---- */

static void drop_record(struct bitcask_merge *merge, uint64_t *counter) {
  uint64_t version = merge->scan.record.version;
  if (version > merge->dropped_version) merge->dropped_version = version;
  ++*counter;
}

static enum bitcask_status keep_tombstone(struct bitcask_merge *merge,
                                          const struct record *tombstone) {
  struct segment *into = NULL;
  uint64_t offset = 0;
  TRY(outputs_append(&merge->outputs, tombstone, &into, &offset));
  atomic_fetch_add(&into->kept_tombstone_bytes, record_size_of(tombstone));
  merge->report.tombstones_kept++;
  return BITCASK_OK;
}

static enum bitcask_status handle_tombstone(struct bitcask_merge *merge) {
  const struct record *record = &merge->scan.record;
  if (MUTANT(TOMBSTONE_DROPPED) ||
      !tombstones_is_needed(&merge->tombstones, record->key, record->version,
                            merge->oldest_put_outside)) {
    drop_record(merge, &merge->report.tombstones_dropped);
    return BITCASK_OK;
  }
  return keep_tombstone(merge, record);
}

/* A put that expires and is dropped may be what hides an older one outside the merge. Then a
 * tombstone of its version takes its place. */
static enum bitcask_status leave_tombstone(struct bitcask_merge *merge) {
  const struct record *put = &merge->scan.record;
  if (!(put->flags & RECORD_EXPIRES) || MUTANT(EXPIRED_DROPPED) ||
      !tombstones_is_needed(&merge->tombstones, put->key, put->version, merge->oldest_put_outside))
    return BITCASK_OK;
  struct record tombstone = {.version = put->version, .key = put->key, .flags = RECORD_TOMBSTONE};
  tombstone.value_check = record_value_check(tombstone.value);
  return keep_tombstone(merge, &tombstone);
}

static enum bitcask_status copy_record(struct bitcask_merge *merge, struct move *move) {
  struct segment *into = NULL;
  uint64_t offset = 0;
  TRY(outputs_append(&merge->outputs, &merge->scan.record, &into, &offset));
  move->to = place_make(into->slot, offset, move->from & PLACE_EXPIRES);
  engine_count_live(into, move_size(move));
  merge->next_move++;
  merge->report.records_kept++;
  return BITCASK_OK;
}

/* Does the entry still lead there? A look that others have moved entries under is begun anew. */
static bool is_still_live(const struct bitcask_merge *merge, const struct move *move) {
  struct keydir_matches matches;
  place from = move_from(move, merge->inputs[merge->current_input].segment->slot);
  uint64_t stamp = 0;
  if (engine_has_expired(merge->engine, &merge->scan.record)) return false;
  for (unsigned first = 0;; first += KEYDIR_MATCHES) {
    keydir_find(merge->engine->keydir, move_hash(move), first, &matches);
    if (first == 0) stamp = matches.stamp;
    for (unsigned i = 0; i < matches.count; i++)
      if (matches.entries[i].at == from) return true;
    if (matches.more) continue;
    if (first == 0 || matches.stamp == stamp) return false;
    first = (unsigned)-KEYDIR_MATCHES;
  }
}

/* ---- Copy: what a filter says ---- */

/* The record is not copied: what takes its place is written before the merge is committed. */
static enum bitcask_status replace_record(struct bitcask_merge *merge, const bitcask_bytes *value) {
  const struct record *record = &merge->scan.record;
  TRY(value == NULL ? verdicts_add_drop(&merge->verdicts, record)
                    : verdicts_add_rewrite(&merge->verdicts, record, *value));
  merge->next_move++;
  drop_record(merge, &merge->report.records_dropped);
  return leave_tombstone(merge);
}

static enum bitcask_status answer(struct bitcask_merge *merge, enum bitcask_verdict verdict,
                                  bitcask_bytes value) {
  merge->is_asking = false;
  bool is_same = verdict == BITCASK_REWRITE && bytes_equal(value, merge->scan.record.value);
  if (verdict == BITCASK_KEEP || is_same)
    return copy_record(merge, &merge->moves.items[merge->next_move]);
  return replace_record(merge, verdict == BITCASK_DROP ? NULL : &value);
}

/* Begin again: what was said will be said again. */
static void forget_answers(struct bitcask_merge *merge) {
  merge->is_asking = false;
  verdicts_clear(&merge->verdicts);
}

static enum bitcask_status carry_out(struct bitcask_merge *merge, uint64_t budget) {
  TRY(verdicts_carry_out(&merge->verdicts, merge->engine, budget));
  if (verdicts_are_done(&merge->verdicts)) merge->phase = PHASE_COMMIT;
  return BITCASK_OK;
}

/* The current input is damaged: leave it as it is and begin again without it. */
static enum bitcask_status leave_out_damaged(struct bitcask_merge *merge) {
  struct input *input = &merge->inputs[merge->current_input];
  char message[96];
  snprintf(message, sizeof message, "%s: damaged, so it is kept as it is and not merged",
           filename_of_segment(input->segment->facts.id).text);
  engine_report_damage(merge->engine, input->segment->facts.id, merge->scan.offset,
                       merge->scan.size, message);
  atomic_store(&input->segment->is_damaged, true);
  atomic_fetch_sub(&merge->bytes_total, input->segment->facts.length - HEADER_SIZE);
  segment_unref(input->segment);
  *input = merge->inputs[--merge->input_count];
  outputs_drop(&merge->outputs);
  segment_scan_release(&merge->scan);
  merge->is_scanning = false;
  merge->report.segments_damaged++;
  forget_answers(merge);
  merge->phase = PHASE_PLAN;
  return BITCASK_OK;
}

static enum bitcask_status handle_put(struct bitcask_merge *merge) {
  const struct input *input = &merge->inputs[merge->current_input];
  bool is_last = merge->next_move == input->moves.end;
  struct move *move = is_last ? NULL : &merge->moves.items[merge->next_move];
  if (move == NULL || move_offset(move) != merge->scan.offset) {
    drop_record(merge, &merge->report.records_dropped);
    return leave_tombstone(merge);
  }
  /* The value of one that is dead is nobody's concern. */
  if (!record_value_is_intact(&merge->scan.record)) return leave_out_damaged(merge);
  /* What was written again since the plan is copied in vain, and asked about by nobody. */
  merge->is_asking = merge->asks && is_still_live(merge, move);
  return merge->is_asking ? BITCASK_OK : copy_record(merge, move);
}

static int compare_live_bytes(const void *left, const void *right) {
  uint64_t a = atomic_load(&((const struct input *)left)->segment->live_bytes);
  uint64_t b = atomic_load(&((const struct input *)right)->segment->live_bytes);
  return (a > b) - (a < b);
}

/* There is no room for the outputs. Begin again with that half of the inputs that leaves the
 * least to copy: what it frees is room for the others, next time. For the last one the reserve
 * is given up. False: that is gone, too. */
static bool make_do(struct bitcask_merge *merge) {
  if (merge->input_count < 2 && !reserve_spend(merge->engine, RESERVE_WORK))
    return false;
  outputs_drop(&merge->outputs);
  if (merge->is_scanning) segment_scan_release(&merge->scan);
  merge->is_scanning = false;
  qsort(merge->inputs, merge->input_count, sizeof *merge->inputs, compare_live_bytes);
  for (size_t kept = (merge->input_count + 1) / 2; merge->input_count > kept;) {
    struct segment *segment = merge->inputs[--merge->input_count].segment;
    atomic_fetch_sub(&merge->bytes_total, segment->facts.length - HEADER_SIZE);
    segment_unref(segment);
  }
  forget_answers(merge);
  merge->phase = PHASE_PLAN;
  return true;
}

static void begin_input(struct bitcask_merge *merge) {
  struct input *input = &merge->inputs[merge->current_input];
  segment_scan_init(&merge->scan, input->segment, input->segment->facts.length, false);
  merge->is_scanning = true;
  merge->next_move = input->moves.first;
}

/* Is nothing in the input live, or needed as a tombstone? Then it goes without being read, unless
 * nobody knows all that it holds. */
static bool can_go_unread(const struct bitcask_merge *merge, const struct input *input) {
  return input->moves.first == input->moves.end && tombstones_needs_none(&merge->tombstones) &&
         !atomic_load(&input->segment->is_suspect);
}

static void drop_unread(struct bitcask_merge *merge, const struct segment_facts *facts) {
  if (facts->max_version > merge->dropped_version) merge->dropped_version = facts->max_version;
  merge->report.tombstones_dropped += facts->tombstones;
  merge->report.records_dropped += facts->records - facts->tombstones;
  atomic_fetch_sub(&merge->bytes_total, facts->length - HEADER_SIZE);
  merge->current_input++;
}

/* The input is read to its end. A live record that the scan did not meet is damage too. */
static enum bitcask_status end_input(struct bitcask_merge *merge) {
  const struct input *input = &merge->inputs[merge->current_input];
  if (merge->next_move != input->moves.end) return leave_out_damaged(merge);
  segment_scan_release(&merge->scan);
  merge->is_scanning = false;
  merge->current_input++;
  return BITCASK_OK;
}

static enum bitcask_status copy_next(struct bitcask_merge *merge) {
  if (merge->current_input == merge->input_count) {
    merge->phase = PHASE_CARRY_OUT;
    return BITCASK_OK;
  }
  if (!merge->is_scanning) {
    const struct input *input = &merge->inputs[merge->current_input];
    if (can_go_unread(merge, input)) {
      drop_unread(merge, &input->segment->facts);
      return BITCASK_OK;
    }
    begin_input(merge);
  }
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  TRY(segment_scan_next(&merge->scan, &kind));
  engine_add(&merge->bytes_done, merge->scan.size);
  merge->report.bytes_read += merge->scan.size;
  if (kind == SEGMENT_SCAN_END) return end_input(merge);
  if (kind != SEGMENT_SCAN_RECORD) return leave_out_damaged(merge);
  return merge->scan.record.flags & RECORD_TOMBSTONE ? handle_tombstone(merge)
                                                     : handle_put(merge);
}

/* ---- Commit ---- */

/* Nothing would be gained: no record goes, and not a file less stays. */
static bool is_pointless(const struct bitcask_merge *merge) {
  return merge->report.records_dropped == 0 && merge->report.tombstones_dropped == 0 &&
         merge->outputs.count >= merge->input_count;
}

/* What a merge in vain has taught: these tombstones are needed, for now. */
static void remember_needed(struct bitcask_merge *merge) {
  for (size_t i = 0; i < merge->input_count; i++)
    atomic_store(&merge->inputs[i].segment->kept_tombstone_bytes,
                 merge->inputs[i].segment->facts.tombstone_bytes);
}

static enum bitcask_status check_cancelled(const struct bitcask_merge *merge) {
  if (!throttle_is_cancelled(&merge->throttle)) return BITCASK_OK;
  return status_fail(BITCASK_CANCELLED, "the merge was cancelled");
}

static enum bitcask_status commit_edit(struct bitcask_merge *merge) {
  struct bitcask_buffer items = {0};
  enum bitcask_status status = BITCASK_OK;
  for (size_t i = 0; status == BITCASK_OK && i < merge->input_count; i++)
    status = edit_append_removed(&items, merge->inputs[i].segment->facts.id);
  for (size_t i = 0; status == BITCASK_OK && i < merge->outputs.count; i++)
    status = edit_append_facts(&items, EDIT_SEALED, &merge->outputs.segments[i]->facts);
  if (status == BITCASK_OK && merge->dropped_version > 0)
    status = edit_append_dropped(&items, merge->dropped_version);
  if (status == BITCASK_OK)
    status = reserve_commit(merge->engine, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  return status;
}

/* Two things that must not happen, for mutants. */
static void remove_inputs(struct bitcask_merge *merge) {
  struct disk_directory *directory = merge->engine->directory;
  for (size_t i = 0; i < merge->input_count; i++)
    directory->ops->remove(directory, filename_of_segment(merge->inputs[i].segment->facts.id).text);
}

/* Whatever entry there is by now leads to the copy. */
static bool store_place(struct bitcask_merge *merge, const struct move *move) {
  struct keydir_matches matches;
  keydir_find(merge->engine->keydir, move_hash(move), 0, &matches);
  return matches.count > 0 &&
         keydir_replace(merge->engine->keydir, move_hash(move), matches.entries[0].at, move->to,
                        move_size(move), NULL);
}

static enum bitcask_status commit(struct bitcask_merge *merge) {
  struct engine *engine = merge->engine;
  if (is_pointless(merge)) {
    remember_needed(merge);
    outputs_drop(&merge->outputs);
    merge->report.segments_in = 0;
    merge->report.records_kept = merge->report.tombstones_kept = 0;
    merge->phase = PHASE_DONE;
    return BITCASK_OK;
  }
  TRY(outputs_finish(&merge->outputs));
  if (!MUTANT(ACTIVE_UNFLUSHED)) TRY(engine_flush(engine));
  TRY(check_cancelled(merge));
  TRY(engine_promise_sealed(engine, merge->outputs.count));
  if (MUTANT(INPUTS_REMOVED_FIRST)) remove_inputs(merge);
  enum bitcask_status status = commit_edit(merge);
  if (status == BITCASK_OK)
    merge->phase = PHASE_SWITCH;
  else
    engine_break_promise(engine, merge->outputs.count);
  return status;
}

/* ---- Switch: from here on nothing can fail ---- */

/* Older puts are gone with the inputs: tombstones that were needed for them may go now. */
static void forget_needed(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; i < engine->sealed_count; i++)
    atomic_store(&engine->sealed[i]->kept_tombstone_bytes, 0);
  mutex_unlock(&engine->set_lock);
}

/* What was not copied has been written anew, or has expired in this very moment. */
static void drop_entry(struct bitcask_merge *merge, uint64_t hash, place from) {
  struct engine *engine = merge->engine;
  mutex_lock(&engine->write_lock);
  keydir_remove(engine->keydir, hash, from, NULL);
  mutex_unlock(&engine->write_lock);
}

static void switch_entry(struct bitcask_merge *merge, const struct move *move, uint32_t slot) {
  uint64_t hash = move_hash(move), size = move_size(move);
  place from = move_from(move, slot);
  if (move->to == 0)
    drop_entry(merge, hash, from);
  else if (MUTANT(SWITCHED_BLINDLY) && store_place(merge, move))
    return;
  else if (!keydir_replace(merge->engine->keydir, hash, from, move->to, size, NULL))
    engine_count_dead(engine_segment(merge->engine, move->to), size);
}

static void take_from_set(struct engine *engine, const struct segment *segment)
    REQUIRES(engine->set_lock) {
  size_t i = 0;
  while (engine->sealed[i] != segment) i++;
  engine->sealed_count--;
  memmove(&engine->sealed[i], &engine->sealed[i + 1],
          (engine->sealed_count - i) * sizeof engine->sealed[0]);
}

static void retire_inputs(struct bitcask_merge *merge) {
  struct engine *engine = merge->engine;
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; i < merge->input_count; i++)
    take_from_set(engine, merge->inputs[i].segment);
  mutex_unlock(&engine->set_lock);
  /* No entry leads to them any more; wait for readers who found one before, and for the
   * writer, who is behind the write lock instead of the guard. */
  guard_wait(&engine->guard);
  mutex_lock(&engine->write_lock);
  mutex_unlock(&engine->write_lock);
  for (size_t i = 0; i < merge->input_count; i++)
    engine_clear_slot(engine, merge->inputs[i].segment);
  /* Who looks at a slot without having found an entry has looked before it was empty. */
  guard_wait(&engine->guard);
  for (size_t i = 0; i < merge->input_count; i++) {
    struct segment *segment = merge->inputs[i].segment;
    atomic_fetch_add(&engine->obsolete_count, 1);
    atomic_store(&segment->is_obsolete, true);
    segment_unref(segment); /* the store's reference; the merge's goes when it is closed */
  }
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

static void finish(struct bitcask_merge *merge) {
  struct engine *engine = merge->engine;
  retire_inputs(merge);
  for (size_t i = 0; i < merge->input_count; i++) segment_unref(merge->inputs[i].segment);
  merge->input_count = 0;
  settle_reserve(engine);
  merge->report.seconds =
      (double)(engine->disk->ops->monotonic_us(engine->disk) - merge->started_us) / 1e6;
  atomic_fetch_add(&engine->counters.merges, 1);
  atomic_fetch_add(&engine->counters.merge_bytes_read, merge->report.bytes_read);
  atomic_fetch_add(&engine->counters.merge_bytes_written, merge->report.bytes_written);
  struct bitcask_event event = {.kind = BITCASK_EVENT_MERGED,
                                .segments = merge->report.segments_in,
                                .bytes = merge->report.bytes_written,
                                .seconds = merge->report.seconds,
                                .report = merge->report};
  snprintf(event.message, sizeof event.message, "%s", merge->reason);
  engine_report(engine, &event);
  checkpointing_consider(engine);
  merge->phase = PHASE_DONE;
}

/* Those of one input, from where the last step has ended; the bytes of their records. */
static uint64_t switch_input(struct bitcask_merge *merge, const struct input *input,
                             uint64_t budget) {
  enum { AHEAD = 8 }; /* so many slots are on their way into the processor's cache */
  uint64_t done = 0;
  while (merge->next_move < input->moves.end && done < budget) {
    const struct move *move = &merge->moves.items[merge->next_move++];
    if (input->moves.end - merge->next_move > AHEAD)
      keydir_prefetch(merge->engine->keydir, move_hash(&move[AHEAD]));
    switch_entry(merge, move, input->segment->slot);
    done += move_size(move);
  }
  return done;
}

static void begin_switch(struct bitcask_merge *merge) {
  merge->report.segments_out = merge->outputs.count;
  merge->report.bytes_written = merge->outputs.bytes;
  merge->report.keys_dropped = merge->verdicts.keys_dropped;
  merge->report.keys_rewritten = merge->verdicts.keys_rewritten;
  forget_needed(merge->engine);
  outputs_adopt(&merge->outputs);
  merge->is_switching = true;
  merge->current_input = merge->next_move = 0;
}

static void switch_some(struct bitcask_merge *merge, uint64_t budget) {
  if (!merge->is_switching) begin_switch(merge);
  for (uint64_t done = 0; merge->current_input < merge->input_count && done < budget;) {
    const struct input *input = &merge->inputs[merge->current_input];
    if (merge->next_move < input->moves.first) merge->next_move = input->moves.first;
    done += switch_input(merge, input, budget - done);
    if (merge->next_move == input->moves.end) merge->current_input++;
  }
  if (merge->current_input == merge->input_count) finish(merge);
}

/* ---- Steps ---- */

static bool is_ended(const struct bitcask_merge *merge) {
  return merge->phase == PHASE_DONE || merge->phase == PHASE_FAILED;
}

static void end_merge(struct bitcask_merge *merge) {
  struct engine *engine = merge->engine;
  mutex_lock(&engine->set_lock);
  engine->is_merging = false;
  mutex_unlock(&engine->set_lock);
  atomic_store(&merge->is_finished, true);
  event_note_all(&engine->events, BITCASK_NOTE_MERGED);
}

static enum bitcask_status fail(struct bitcask_merge *merge, enum bitcask_status status) {
  status_note_take(&merge->outcome, status);
  if (merge->is_scanning) segment_scan_release(&merge->scan);
  merge->is_scanning = false;
  outputs_drop(&merge->outputs);
  merge->phase = PHASE_FAILED;
  end_merge(merge);
  return status_note_give(&merge->outcome);
}

/* Until this much was read, bytes, nobody asks whether the merge was cancelled. */
enum { BUDGET_DEFAULT = 1 << 20, BUDGET_MIN = 4 << 10 };

static uint64_t now_us(const struct bitcask_merge *merge) {
  struct disk *disk = merge->engine->disk;
  return disk->ops->monotonic_us(disk);
}

static enum bitcask_status copy_some(struct bitcask_merge *merge, uint64_t budget) {
  uint64_t begun_at = merge->report.bytes_read;
  enum bitcask_status status = BITCASK_OK;
  while (status == BITCASK_OK && merge->phase == PHASE_COPY && !merge->is_asking &&
         merge->report.bytes_read - begun_at < budget) {
    status = copy_next(merge);
    if (status == BITCASK_OK) status = check_cancelled(merge);
  }
  throttle_spend(&merge->throttle, merge->report.bytes_read - begun_at, now_us(merge));
  return status;
}

/* One step of about `budget` bytes. */
static enum bitcask_status advance(struct bitcask_merge *merge, uint64_t budget) {
  switch (merge->phase) {
    case PHASE_PLAN:
      if (!merge->is_begun) report_begun(merge);
      merge->is_begun = true;
      TRY(check_cancelled(merge));
      return plan(merge);
    case PHASE_COPY: return copy_some(merge, budget);
    case PHASE_CARRY_OUT: TRY(check_cancelled(merge)); return carry_out(merge, budget);
    case PHASE_COMMIT: return commit(merge);
    case PHASE_SWITCH: switch_some(merge, budget); return BITCASK_OK;
    case PHASE_DONE: break;
    case PHASE_FAILED: break;
  }
  return BITCASK_OK;
}

/* Once it is committed a merge goes on to its end, paused or not. */
static bool may_rest(const struct bitcask_merge *merge) {
  return merge->phase < PHASE_SWITCH;
}

/* Where the engine has no threads its disk is a simulated one, whose clock nobody would move. */
static void rest(struct bitcask_merge *merge) {
  if (may_rest(merge) && !merge->engine->options.no_threads)
    throttle_wait(&merge->throttle, merge->engine->disk);
}

static bool must_rest(struct bitcask_merge *merge) {
  if (!may_rest(merge) || throttle_is_cancelled(&merge->throttle)) return false;
  return throttle_is_paused(&merge->throttle) ||
         throttle_delay(&merge->throttle, now_us(merge)) > 0;
}

/* Steps of an eighth of a second at the most, where the rate is bounded. */
static uint64_t default_budget(const struct bitcask_merge *merge) {
  uint64_t budget = merge->throttle.rate / 8;
  if (merge->throttle.rate == 0 || budget > BUDGET_DEFAULT) return BUDGET_DEFAULT;
  return budget < BUDGET_MIN ? BUDGET_MIN : budget;
}

/* What a step or an answer comes to. */
static enum bitcask_status settle(struct bitcask_merge *merge, enum phase before,
                                  enum bitcask_status status) {
  bool may_do_with_less = before < PHASE_CARRY_OUT || before == PHASE_COMMIT;
  if (status == BITCASK_NOSPACE && may_do_with_less && make_do(merge)) status = BITCASK_OK;
  if (status != BITCASK_OK) return fail(merge, status);
  if (merge->phase == PHASE_DONE) end_merge(merge);
  return BITCASK_OK;
}

static enum bitcask_status step(struct bitcask_merge *merge, uint64_t budget) {
  enum phase before = merge->phase;
  if (before == PHASE_FAILED) return status_note_give(&merge->outcome);
  if (before == PHASE_DONE) return BITCASK_OK;
  if (merge->is_asking)
    return status_fail(BITCASK_INVALID, "the merge waits for what is to become of a record");
  return settle(merge, before, advance(merge, budget));
}

static enum bitcask_status check_unthreaded(struct bitcask_merge *merge) {
  TRY(engine_check_process(merge->engine->process));
  if (atomic_load(&merge->is_threaded))
    return status_fail(BITCASK_INVALID, "the merge runs on a thread of its own");
  return BITCASK_OK;
}

enum bitcask_status bitcask_merge_step(struct bitcask_merge *merge, uint64_t budget,
                                       bool *finished) {
  TRY(check_unthreaded(merge));
  enum bitcask_status status = BITCASK_OK;
  if (budget > 0) {
    if (!must_rest(merge)) status = step(merge, budget);
  } else {
    while (status == BITCASK_OK && !is_ended(merge) && !merge->is_asking) {
      rest(merge);
      status = step(merge, default_budget(merge));
    }
    if (status == BITCASK_OK) status = status_note_give(&merge->outcome);
  }
  *finished = status == BITCASK_OK && is_ended(merge);
  return status;
}

bool bitcask_merge_question(struct bitcask_merge *merge, struct bitcask_merge_question *out) {
  if (check_unthreaded(merge) != BITCASK_OK || is_ended(merge) || !merge->is_asking) return false;
  const struct record *record = &merge->scan.record;
  *out = (struct bitcask_merge_question){
      .key = record->key,
      .value = record->value,
      .version = record->version,
      .expires = record->expires,
      .segment = merge->inputs[merge->current_input].segment->facts.id};
  return true;
}

enum bitcask_status bitcask_merge_answer(struct bitcask_merge *merge, enum bitcask_verdict verdict,
                                         bitcask_bytes value) {
  TRY(check_unthreaded(merge));
  if (merge->phase == PHASE_FAILED) return status_note_give(&merge->outcome);
  if (!merge->is_asking) return status_fail(BITCASK_INVALID, "the merge has asked nothing");
  TRY(batch_check_sizes(merge->scan.record.key, value));
  return settle(merge, merge->phase, answer(merge, verdict, value));
}

enum bitcask_status bitcask_merge_rest(struct bitcask_merge *merge) {
  TRY(check_unthreaded(merge));
  rest(merge);
  return BITCASK_OK;
}

static void *run(void *context) {
  struct bitcask_merge *merge = context;
  while (!is_ended(merge)) {
    rest(merge);
    enum bitcask_status status = step(merge, default_budget(merge));
    if (status != BITCASK_OK && status != BITCASK_CANCELLED)
      engine_report_failure(merge->engine, status);
  }
  return NULL;
}

enum bitcask_status bitcask_merge_start(struct bitcask_merge *merge) {
  TRY(engine_check_process(merge->engine->process));
  if (merge->asks)
    return status_fail(BITCASK_INVALID, "a merge with a filter has no thread of its own");
  if (atomic_exchange(&merge->is_threaded, true))
    return status_fail(BITCASK_INVALID, "the merge runs on a thread of its own already");
  if (merge->engine->options.no_threads) {
    run(merge);
    atomic_store(&merge->is_threaded, false);
    return BITCASK_OK;
  }
  enum bitcask_status status = thread_start(&merge->thread, run, merge);
  if (status != BITCASK_OK) atomic_store(&merge->is_threaded, false);
  return status;
}

enum bitcask_status bitcask_merge_wait(struct bitcask_merge *merge) {
  TRY(engine_check_process(merge->engine->process));
  if (atomic_exchange(&merge->is_threaded, false)) pthread_join(merge->thread, NULL);
  return status_note_give(&merge->outcome);
}

void bitcask_merge_cancel(struct bitcask_merge *merge) { throttle_cancel(&merge->throttle); }

void bitcask_merge_pause(struct bitcask_merge *merge, bool is_paused) {
  throttle_pause(&merge->throttle, is_paused);
}

void bitcask_merge_progress(struct bitcask_merge *merge, struct bitcask_merge_progress *out) {
  out->done = atomic_load(&merge->bytes_done);
  out->total = atomic_load(&merge->bytes_total);
  out->finished = atomic_load(&merge->is_finished);
  out->paused = !out->finished && throttle_is_paused(&merge->throttle);
  out->delay = out->finished ? 0 : (double)throttle_delay(&merge->throttle, now_us(merge)) / 1e6;
}

void bitcask_merge_report(struct bitcask_merge *merge, struct bitcask_merge_report *out) {
  *out = (struct bitcask_merge_report){0};
  if (atomic_load(&merge->is_finished)) *out = merge->report;
}

void bitcask_merge_close(struct bitcask_merge *merge) {
  if (merge == NULL) return;
  /* In a forked child it is the parent's, thread and files and all. */
  if (engine_check_process(merge->engine->process) != BITCASK_OK) return;
  bitcask_merge_cancel(merge);
  bitcask_merge_wait(merge);
  /* What is committed is completed; what is not is undone. */
  while (merge->phase == PHASE_SWITCH) step(merge, BUDGET_DEFAULT);
  if (!is_ended(merge)) fail(merge, status_fail(BITCASK_CANCELLED, "the merge was cancelled"));
  for (size_t i = 0; i < merge->input_count; i++) segment_unref(merge->inputs[i].segment);
  tombstones_release(&merge->tombstones);
  memory_free(merge->inputs);
  moves_release(&merge->moves);
  verdicts_clear(&merge->verdicts);
  throttle_release(&merge->throttle);
  engine_unref(merge->engine);
  memory_free(merge);
}
