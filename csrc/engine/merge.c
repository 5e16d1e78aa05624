#include "engine/merge.h"

#include <stdio.h>

#include "engine/batch.h"
#include "engine/checkpointing.h"
#include "engine/copying.h"
#include "engine/inputs.h"
#include "engine/needed.h"
#include "engine/publish.h"
#include "engine/reserve.h"
#include "engine/switching.h"
#include "engine/throttle.h"

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

  struct inputs inputs;
  struct needed needed;
  struct copying copying;
  struct switching switching;

  struct bitcask_merge_report report;
  atomic_bool is_finished, is_threaded;
  atomic_bool is_run; /* by a thread of its own, from when it began, whoever has joined it */
  pthread_t thread;
  struct status_note outcome;
};

/* ---- Beginning ---- */

/* One at a time. */
static enum bitcask_status take_turn(struct bitcask_merge *merge, struct engine *engine) {
  mutex_lock(&engine->set_lock);
  bool is_taken = engine->merge != NULL;
  if (!is_taken) engine->merge = merge;
  mutex_unlock(&engine->set_lock);
  return is_taken ? status_fail(BITCASK_BUSY, "a merge is running already") : BITCASK_OK;
}

static void give_turn(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  engine->merge = NULL;
  condition_wake_all(&engine->merge_ended);
  mutex_unlock(&engine->set_lock);
}

static void init(struct bitcask_merge *merge, struct engine *engine,
                 const struct bitcask_merge_options *options) {
  merge->engine = engine_ref(engine);
  merge->copying = (struct copying){.engine = engine,
                                    .inputs = &merge->inputs,
                                    .needed = &merge->needed,
                                    .outputs = {.engine = engine},
                                    .asks = options->asks};
  merge->switching = (struct switching){.engine = engine,
                                        .inputs = &merge->inputs,
                                        .outputs = &merge->copying.outputs,
                                        .moves = &merge->needed.moves};
  if (options->reason != NULL)
    snprintf(merge->reason, sizeof merge->reason, "%s", options->reason);
  merge->report.segments_in = merge->inputs.count;
  atomic_store(&merge->copying.bytes_total, inputs_bytes(&merge->inputs));
  merge->started_us = engine->disk->ops->monotonic_us(engine->disk);
  throttle_init(&merge->throttle, options->rate, merge->started_us);
}

enum bitcask_status merge_open(struct engine *engine, const struct bitcask_merge_options *options,
                               struct bitcask_merge **out) {
  TRY(engine_check_writable(engine));
  struct bitcask_merge *merge = memory_zeroed(1, sizeof *merge);
  if (merge == NULL) return BITCASK_NOMEMORY;
  enum bitcask_status status = take_turn(merge, engine);
  if (status == BITCASK_OK) {
    status = inputs_choose(&merge->inputs, engine, options);
    if (status != BITCASK_OK) give_turn(engine);
  }
  if (status != BITCASK_OK) {
    memory_free(merge);
    return status;
  }
  init(merge, engine, options);
  *out = merge;
  return BITCASK_OK;
}

/* ---- Plan and copy ---- */

static uint64_t now_us(const struct bitcask_merge *merge) {
  struct disk *disk = merge->engine->disk;
  return disk->ops->monotonic_us(disk);
}

static enum bitcask_status check_cancelled(const struct bitcask_merge *merge) {
  if (!throttle_is_cancelled(&merge->throttle)) return BITCASK_OK;
  return status_fail(BITCASK_CANCELLED, "the merge was cancelled");
}

static void report_begun(struct bitcask_merge *merge) {
  struct bitcask_event event = {.kind = BITCASK_EVENT_MERGING,
                                .segments = merge->inputs.count,
                                .bytes = atomic_load(&merge->copying.bytes_total)};
  if (merge->is_begun) return;
  merge->is_begun = true;
  snprintf(event.message, sizeof event.message, "%s", merge->reason);
  engine_report(merge->engine, &event);
}

static enum bitcask_status plan(struct bitcask_merge *merge) {
  report_begun(merge);
  TRY(check_cancelled(merge));
  TRY(engine_check_writable(merge->engine));
  engine_expire(merge->engine);
  TRY(needed_find(&merge->needed, &merge->inputs));
  copying_begin(&merge->copying);
  merge->report.segments_in = merge->inputs.count;
  merge->phase = PHASE_COPY;
  return BITCASK_OK;
}

/* Once every record was looked at, or once one was that spoils all. */
static void leave_copying(struct bitcask_merge *merge) {
  if (merge->copying.state == COPYING_ENDED) merge->phase = PHASE_CARRY_OUT;
  if (merge->copying.state == COPYING_SPOILT) merge->phase = PHASE_PLAN;
}

static enum bitcask_status copy_some(struct bitcask_merge *merge, uint64_t budget) {
  enum { TOGETHER_BYTES = 4 << 10 };
  struct copying *copying = &merge->copying;
  uint64_t begun_at = copying->bytes_read;
  enum bitcask_status status = BITCASK_OK;
  uint64_t stood_at = begun_at;
  while (status == BITCASK_OK && copying->state == COPYING &&
         copying->bytes_read - begun_at < budget) {
    status = copying_step(copying);
    if (status == BITCASK_OK) status = check_cancelled(merge);
    if (copying->bytes_read - stood_at < TOGETHER_BYTES) continue;
    thread_step_aside();
    stood_at = copying->bytes_read;
  }
  throttle_spend(&merge->throttle, copying->bytes_read - begun_at, now_us(merge));
  leave_copying(merge);
  return status;
}

static enum bitcask_status carry_out(struct bitcask_merge *merge, uint64_t budget) {
  struct verdicts *verdicts = &merge->copying.verdicts;
  TRY(check_cancelled(merge));
  TRY(verdicts_carry_out(verdicts, merge->engine, budget));
  if (verdicts_are_done(verdicts)) merge->phase = PHASE_COMMIT;
  return BITCASK_OK;
}

/* There is no room for the outputs. Begin again with that half of the inputs that leaves the
 * least to copy: what it frees is room for the others, next time. For the last one the reserve
 * is given up. False: that is gone, too. */
static bool make_do(struct bitcask_merge *merge) {
  if (merge->inputs.count < 2 && !reserve_spend(merge->engine, RESERVE_WORK)) return false;
  copying_undo(&merge->copying);
  inputs_leave_out_half(&merge->inputs);
  merge->phase = PHASE_PLAN;
  return true;
}

/* ---- Commit and switch ---- */

/* Nothing would be gained: no record goes, and not a file less stays. */
static bool is_pointless(const struct bitcask_merge *merge) {
  const struct copying *copying = &merge->copying;
  return copying->records_dropped == 0 && copying->tombstones_dropped == 0 &&
         copying->outputs.count >= merge->inputs.count;
}

/* What a merge in vain has taught: these tombstones are needed, for now. */
static void give_up(struct bitcask_merge *merge) {
  for (size_t i = 0; i < merge->inputs.count; i++) {
    struct segment *segment = merge->inputs.items[i].segment;
    atomic_store(&segment->kept_tombstone_bytes, segment->facts.tombstone_bytes);
  }
  copying_undo(&merge->copying);
  merge->copying.records_kept = merge->copying.tombstones_kept = 0;
  merge->report.segments_in = 0;
  merge->phase = PHASE_DONE;
}

static enum bitcask_status commit(struct bitcask_merge *merge) {
  if (is_pointless(merge)) {
    give_up(merge);
    return BITCASK_OK;
  }
  TRY(switching_prepare(&merge->switching));
  TRY(check_cancelled(merge));
  size_t outputs = merge->copying.outputs.count;
  TRY(switching_commit(&merge->switching, merge->copying.dropped_version));
  merge->report.segments_out = outputs;
  merge->report.bytes_written = merge->copying.outputs.bytes;
  merge->report.keys_dropped = merge->copying.verdicts.keys_dropped;
  merge->report.keys_rewritten = merge->copying.verdicts.keys_rewritten;
  merge->phase = PHASE_SWITCH;
  return BITCASK_OK;
}

static void take_report(struct bitcask_merge *merge) {
  const struct copying *copying = &merge->copying;
  struct bitcask_merge_report *report = &merge->report;
  report->records_kept = copying->records_kept;
  report->records_dropped = copying->records_dropped;
  report->tombstones_kept = copying->tombstones_kept;
  report->tombstones_dropped = copying->tombstones_dropped;
  report->segments_damaged = copying->segments_damaged;
  report->bytes_read = copying->bytes_read;
}

static void report_merged(struct bitcask_merge *merge) {
  struct engine *engine = merge->engine;
  take_report(merge);
  merge->report.seconds = (double)(now_us(merge) - merge->started_us) / 1e6;
  atomic_fetch_add(&engine->counters.merges, 1);
  atomic_fetch_add(&engine->counters.merge_bytes_read, merge->report.bytes_read);
  atomic_fetch_add(&engine->counters.merge_bytes_written, merge->report.bytes_written);
  atomic_fetch_add(&engine->counters.merge_records_written, merge->report.records_kept);
  struct bitcask_event event = {.kind = BITCASK_EVENT_MERGED,
                                .segments = merge->report.segments_in,
                                .bytes = merge->report.bytes_written,
                                .seconds = merge->report.seconds,
                                .report = merge->report};
  snprintf(event.message, sizeof event.message, "%s", merge->reason);
  engine_report(engine, &event);
}

static void switch_some(struct bitcask_merge *merge, uint64_t budget) {
  if (!switching_step(&merge->switching, budget)) return;
  report_merged(merge);
  checkpointing_consider(merge->engine);
  merge->phase = PHASE_DONE;
}

/* ---- Steps ---- */

static bool is_ended(const struct bitcask_merge *merge) {
  return merge->phase == PHASE_DONE || merge->phase == PHASE_FAILED;
}

static bool is_asking(const struct bitcask_merge *merge) {
  return merge->phase == PHASE_COPY && merge->copying.state == COPYING_ASKS;
}

/* The inputs are marked, and with the turn the marks are the next one's. */
static void end_merge(struct bitcask_merge *merge) {
  take_report(merge);
  inputs_release(&merge->inputs);
  give_turn(merge->engine);
  atomic_store(&merge->is_finished, true);
  event_note_all(&merge->engine->events, BITCASK_NOTE_MERGED);
}

static enum bitcask_status fail(struct bitcask_merge *merge, enum bitcask_status status) {
  status_note_take(&merge->outcome, status);
  copying_undo(&merge->copying);
  merge->phase = PHASE_FAILED;
  end_merge(merge);
  return status_note_give(&merge->outcome);
}

/* Until this much was read, bytes, nobody asks whether the merge was cancelled. */
enum { BUDGET_DEFAULT = 1 << 20, BUDGET_MIN = 4 << 10 };

/* One step of about `budget` bytes. */
static enum bitcask_status advance(struct bitcask_merge *merge, uint64_t budget) {
  switch (merge->phase) {
    case PHASE_PLAN: return plan(merge);
    case PHASE_COPY: return copy_some(merge, budget);
    case PHASE_CARRY_OUT: return carry_out(merge, budget);
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

/* What follows from the status of a step, or of an answer: on a full disk the merge tries again
 * with less, after any other failure and when it is done it ends. */
static enum bitcask_status go_on_from(struct bitcask_merge *merge, enum phase before,
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
  if (is_asking(merge))
    return status_fail(BITCASK_INVALID, "the merge waits for what is to become of a record");
  return go_on_from(merge, before, advance(merge, budget));
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
    while (status == BITCASK_OK && !is_ended(merge) && !is_asking(merge)) {
      rest(merge);
      status = step(merge, default_budget(merge));
    }
    if (status == BITCASK_OK) status = status_note_give(&merge->outcome);
  }
  *finished = status == BITCASK_OK && is_ended(merge);
  return status;
}

bool bitcask_merge_question(struct bitcask_merge *merge, struct bitcask_merge_question *out) {
  if (check_unthreaded(merge) != BITCASK_OK || !is_asking(merge)) return false;
  const struct record *record = &merge->copying.scan.record;
  *out = (struct bitcask_merge_question){
      .key = record->key,
      .value = record->value,
      .version = record->version,
      .expires = record->expires,
      .segment = merge->inputs.items[merge->copying.current].segment->facts.id};
  return true;
}

enum bitcask_status bitcask_merge_answer(struct bitcask_merge *merge, enum bitcask_verdict verdict,
                                         bitcask_bytes value) {
  TRY(check_unthreaded(merge));
  if (merge->phase == PHASE_FAILED) return status_note_give(&merge->outcome);
  if (!is_asking(merge)) return status_fail(BITCASK_INVALID, "the merge has asked nothing");
  TRY(batch_check_sizes(merge->copying.scan.record.key, value));
  enum bitcask_status status = copying_answer(&merge->copying, verdict, value);
  return go_on_from(merge, merge->phase, status);
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

static void *run_in_background(void *context) {
  thread_begin_background();
  return run(context);
}

enum bitcask_status bitcask_merge_start(struct bitcask_merge *merge) {
  TRY(engine_check_process(merge->engine->process));
  if (merge->copying.asks)
    return status_fail(BITCASK_INVALID, "a merge with a filter has no thread of its own");
  if (atomic_exchange(&merge->is_threaded, true))
    return status_fail(BITCASK_INVALID, "the merge runs on a thread of its own already");
  atomic_store(&merge->is_run, true);
  if (merge->engine->options.no_threads) {
    run(merge);
    atomic_store(&merge->is_threaded, false);
    return BITCASK_OK;
  }
  enum bitcask_status status =
      thread_start(&merge->thread, "bitcask-merge", run_in_background, merge);
  if (status == BITCASK_OK) return BITCASK_OK;
  atomic_store(&merge->is_run, false);
  atomic_store(&merge->is_threaded, false);
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
  out->done = atomic_load(&merge->copying.bytes_done);
  out->total = atomic_load(&merge->copying.bytes_total);
  out->finished = atomic_load(&merge->is_finished);
  out->paused = !out->finished && throttle_is_paused(&merge->throttle);
  out->delay = out->finished ? 0 : (double)throttle_delay(&merge->throttle, now_us(merge)) / 1e6;
}

void bitcask_merge_report(struct bitcask_merge *merge, struct bitcask_merge_report *out) {
  *out = (struct bitcask_merge_report){0};
  if (atomic_load(&merge->is_finished)) *out = merge->report;
}

/* What is committed is completed; what is not is undone. */
static void end(struct bitcask_merge *merge) {
  while (merge->phase == PHASE_SWITCH) step(merge, BUDGET_DEFAULT);
  if (!is_ended(merge)) fail(merge, status_fail(BITCASK_CANCELLED, "the merge was cancelled"));
}

void merge_end(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  struct bitcask_merge *merge = engine->merge;
  bool is_run = merge != NULL && atomic_load(&merge->is_run);
  if (merge != NULL) bitcask_merge_cancel(merge);
  while (is_run && engine->merge != NULL) condition_wait(&engine->merge_ended, &engine->set_lock);
  mutex_unlock(&engine->set_lock);
  if (merge != NULL && !is_run) end(merge);
}

void bitcask_merge_close(struct bitcask_merge *merge) {
  if (merge == NULL) return;
  /* In a forked child it is the parent's, thread and files and all. */
  if (engine_check_process(merge->engine->process) != BITCASK_OK) return;
  bitcask_merge_cancel(merge);
  bitcask_merge_wait(merge);
  end(merge);
  needed_release(&merge->needed);
  verdicts_clear(&merge->copying.verdicts);
  throttle_release(&merge->throttle);
  engine_unref(merge->engine);
  memory_free(merge);
}
