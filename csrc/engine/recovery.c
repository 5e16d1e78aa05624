#include "engine/recovery.h"

#include <stdlib.h>

#include "base/mutant.h"
#include "engine/evidence.h"
#include "engine/hints.h"
#include "engine/load.h"
#include "engine/reserve.h"
#include "engine/restore.h"
#include "engine/strays.h"
#include "engine/tails.h"
#include "format/filename.h"

/* Versions given out before a power cut may have been lost with their writes. None of them
 * is given out again: no machine holds more unflushed writes than this. */
#define LOST_VERSIONS_MAX (UINT64_C(1) << 32)

struct recovery {
  struct engine *engine;
  struct bitcask_event *event;
  struct bitcask_buffer problems; /* text: what makes the store be refused */
  bool is_unclean;  /* segments were open and not closed */
  bool was_started_anew; /* the machine, since one of those was made */
  bool was_stopped; /* the last session, by a failed flush */
  struct segment_facts seals[MANIFEST_OPEN_MAX]; /* of segments that were open */
  size_t seal_count;
  uint64_t drops[MANIFEST_OPEN_MAX]; /* ids of those without a record that counts */
  size_t drop_count;
  uint64_t newest_known;     /* version that the manifest and its segments tell of */
  uint64_t newest_seen;      /* in segments that were open, also of what does not count */
  struct restore *restore;   /* NULL: no checkpoint is of use */
  bool is_restored;          /* it is the keydir's now */
  struct segment *open[MANIFEST_OPEN_MAX]; /* those that were, until they are loaded */
  size_t open_count;
  struct disk_file *unflushed[MANIFEST_OPEN_MAX]; /* what may be in the system's cache only */
  size_t unflushed_count;
  uint64_t open_records; /* about so many in them that no checkpoint tells of */
  struct bitcask_buffer hints; /* uint64_t: ids of the hint files there are, rising */
};

/* ---- The segments ---- */

/* Something without which the store is not whole: refused at the end, or with salvage
 * reported and done without. */
static enum bitcask_status note_problem(struct recovery *recovery, uint64_t id,
                                        enum bitcask_status status) {
  if (status != BITCASK_CORRUPT) return status;
  if (recovery->engine->options.salvage) {
    engine_report_damage(recovery->engine, id, 0, 0, bitcask_error_text());
    return BITCASK_OK;
  }
  struct bitcask_buffer *text = &recovery->problems;
  if (text->size > 0) TRY(buffer_append(text, bytes_of("; ", 2)));
  return buffer_append(text, bytes_of(bitcask_error_text(), strlen(bitcask_error_text())));
}

static enum bitcask_status add_to_set(struct engine *engine, struct segment *segment) {
  TRY(engine_promise_sealed(engine, 1));
  mutex_lock(&engine->set_lock);
  engine_add_sealed(engine, segment);
  mutex_unlock(&engine->set_lock);
  return BITCASK_OK;
}

static enum bitcask_status adopt(struct recovery *recovery, struct segment *segment) {
  struct engine *engine = recovery->engine;
  enum bitcask_status status = restore_take_slot(recovery->restore, engine, segment);
  if (status == BITCASK_OK) status = add_to_set(engine, segment);
  if (status != BITCASK_OK) {
    engine_drop_slot(engine, segment);
    segment_unref(segment);
  }
  return status;
}

static enum bitcask_status open_sealed(struct recovery *recovery) {
  struct engine *engine = recovery->engine;
  const struct manifest_state *state = &engine->manifest.state;
  for (size_t i = 0; i < state->sealed_count; i++) {
    struct segment *segment = NULL;
    enum bitcask_status status = segment_open(engine->directory, engine->manifest.store,
                                              &state->sealed[i], false, &segment);
    if (status != BITCASK_OK)
      TRY(note_problem(recovery, state->sealed[i].id, status));
    else
      TRY(adopt(recovery, segment));
  }
  return BITCASK_OK;
}

/* ---- The segments that were open ---- */

static enum bitcask_status copy_records(struct segment *from, struct segment *to) {
  struct segment_scan scan;
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  segment_scan_init(&scan, from, from->facts.length, true);
  enum bitcask_status status;
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK && kind == SEGMENT_SCAN_RECORD) {
    uint64_t offset = 0;
    struct record record = scan.record;
    status = segment_append(to, &record, 0, &offset);
    if (status != BITCASK_OK) break;
  }
  if (status == BITCASK_OK && kind != SEGMENT_SCAN_END) status = BITCASK_ABSENT;
  segment_scan_release(&scan);
  return status;
}

/* After a failed flush the system may take pages for clean that never reached the disk, and a
 * second flush proves nothing. What can be read of the segment is written again, into a new
 * one. A segment with damage in it stays as it is. */
static enum bitcask_status copy_unflushed(struct recovery *recovery, struct segment **segment) {
  struct engine *engine = recovery->engine;
  struct segment *old = *segment, *new = NULL;
  TRY(segment_create(engine->disk, engine->directory, engine->manifest.store,
                     engine_next_id(engine), old->facts.length, &new));
  enum bitcask_status status = copy_records(old, new);
  if (status == BITCASK_OK) status = new->file->ops->finish(new->file);
  if (status == BITCASK_OK) status = segment_sync(new, new->facts.length);
  if (status == BITCASK_OK) status = engine->directory->ops->sync(engine->directory);
  if (status != BITCASK_OK) {
    segment_unref(new);
    return status == BITCASK_ABSENT ? BITCASK_OK : status;
  }
  new->file->ops->freeze(new->file);
  atomic_store(&new->is_sealed, true);
  recovery->drops[recovery->drop_count++] = old->facts.id;
  segment_unref(old);
  *segment = new;
  return BITCASK_OK;
}

/* Begin to make it durable: after the death of the process it may be in the system's cache only.
 * The disk is busy with that while the keydir is loaded. */
static enum bitcask_status begin_flush(struct recovery *recovery, const struct segment *segment) {
  struct disk_directory *directory = recovery->engine->directory;
  struct disk_file **file = &recovery->unflushed[recovery->unflushed_count];
  filename name = filename_of_segment(segment->facts.id);
  TRY(directory->ops->open(directory, name.text, true, file));
  recovery->unflushed_count++;
  (*file)->ops->start_sync(*file);
  return BITCASK_OK;
}

/* Before anything durable tells of what they hold. If it fails, the next open is told: a second
 * flush of the same pages would prove nothing. */
static enum bitcask_status flush_open(struct recovery *recovery) {
  enum bitcask_status status = BITCASK_OK;
  for (size_t i = 0; status == BITCASK_OK && i < recovery->unflushed_count; i++)
    if (!MUTANT(TAIL_UNFLUSHED))
      status = recovery->unflushed[i]->ops->sync(recovery->unflushed[i]);
  return status == BITCASK_OK ? status : engine_stop(recovery->engine, status);
}

/* Begin to make it durable, and open it like any other that is sealed: it was read to its end, and
 * the writer is dead. */
static enum bitcask_status take_over(struct recovery *recovery, struct segment **segment) {
  struct engine *engine = recovery->engine;
  struct segment *mapped = NULL;
  TRY(begin_flush(recovery, *segment));
  TRY(segment_open(engine->directory, engine->manifest.store, &(*segment)->facts, false, &mapped));
  segment_unref(*segment);
  *segment = mapped;
  return BITCASK_OK;
}

/* What is to be had of the segment that a tail was read from. */
static enum bitcask_status take_segment(struct recovery *recovery, const struct tail *tail,
                                        struct segment **out) {
  enum bitcask_status status = BITCASK_OK;
  *out = segment_ref(tail->segment);
  if (recovery->engine->is_readonly) return BITCASK_OK;
  if (recovery->was_stopped && !MUTANT(UNFLUSHED_TRUSTED)) status = copy_unflushed(recovery, out);
  if (status == BITCASK_OK && *out == tail->segment) status = take_over(recovery, out);
  if (status != BITCASK_OK) segment_unref(*out);
  return status;
}

/* Have it among the open ones; its facts come with loading. */
static enum bitcask_status take_open(struct recovery *recovery, const struct tail *tail) {
  struct engine *engine = recovery->engine;
  struct segment *segment = NULL;
  tail->segment->facts.length = tail->end;
  if (tail->end <= HEADER_SIZE) {
    recovery->drops[recovery->drop_count++] = tail->segment->facts.id;
    return BITCASK_OK;
  }
  TRY(take_segment(recovery, tail, &segment));
  enum bitcask_status status = restore_take_slot(recovery->restore, engine, segment);
  if (status != BITCASK_OK) {
    engine_drop_slot(engine, segment);
    segment_unref(segment);
    return status;
  }
  recovery->open[recovery->open_count++] = segment;
  return BITCASK_OK;
}

static enum bitcask_status survey_open(struct recovery *recovery, struct tails *tails) {
  const struct manifest_state *state = &recovery->engine->manifest.state;
  for (size_t i = state->open_count; i-- > 0;) {
    enum bitcask_status status =
        tails_add(tails, recovery->engine, state->open[i], recovery->restore);
    if (status != BITCASK_OK) TRY(note_problem(recovery, state->open[i], status));
  }
  return BITCASK_OK;
}

static enum bitcask_status open_unclean(struct recovery *recovery) {
  struct tails tails = {.count = 0};
  enum bitcask_status status = survey_open(recovery, &tails);
  if (status == BITCASK_OK && recovery->problems.size == 0) {
    tails_decide(&tails, recovery->engine);
    recovery->event->torn_bytes = tails.torn_bytes;
    recovery->newest_seen = tails.newest_version;
    for (size_t i = 0; status == BITCASK_OK && i < tails.count; i++) {
      recovery->was_started_anew |= tails.items[i].was_started_anew;
      recovery->open_records += tails.items[i].records;
      status = take_open(recovery, &tails.items[i]);
    }
  }
  tails_release(&tails);
  return status;
}

/* The segment that was active at a clean close: written to again, if it is just as it was
 * left; else it holds damage, or bytes that are not ours, and is sealed at its length. */
static enum bitcask_status open_closed(struct recovery *recovery) {
  struct engine *engine = recovery->engine;
  const struct segment_facts *closed = &engine->manifest.state.closed;
  struct segment *segment = NULL;
  enum bitcask_status status = BITCASK_CORRUPT;
  bool is_as_left = false;
  if (!engine->is_readonly) {
    uint64_t capacity = engine->options.segment_size + engine_headroom(engine);
    status = segment_reopen(engine->directory, engine->manifest.store, closed, capacity, &segment);
    is_as_left = status == BITCASK_OK;
  }
  if (!is_as_left)
    status = segment_open(engine->directory, engine->manifest.store, closed, engine->is_readonly,
                          &segment);
  if (status != BITCASK_OK) return note_problem(recovery, closed->id, status);
  status = restore_take_slot(recovery->restore, engine, segment);
  if (status != BITCASK_OK) {
    segment_unref(segment);
    return status;
  }
  atomic_store(&segment->is_sealed, !is_as_left);
  recovery->open[recovery->open_count++] = segment;
  return BITCASK_OK;
}

static enum bitcask_status open_last(struct recovery *recovery) {
  const struct manifest_state *state = &recovery->engine->manifest.state;
  if (state->is_closed) return open_closed(recovery);
  recovery->is_unclean = state->open_count > 0;
  return open_unclean(recovery);
}

/* ---- The keydir ---- */

/* About how many records the checkpoint does not tell of. */
static uint64_t count_unknown(const struct recovery *recovery) {
  const struct engine *engine = recovery->engine;
  uint64_t count = recovery->open_records;
  for (size_t i = 0; i < engine->sealed_count; i++) {
    struct segment_facts known = restore_known(recovery->restore, engine->sealed[i]);
    count += engine->sealed[i]->facts.records - known.records;
  }
  return count;
}

/* From the checkpoint, if there is one that is of use. */
static void load_checkpoint(struct recovery *recovery) {
  if (recovery->restore == NULL) return;
  recovery->is_restored = restore_adopt(recovery->restore, recovery->open, recovery->open_count,
                                        count_unknown(recovery));
  if (recovery->is_restored) return;
  restore_close(recovery->restore);
  recovery->restore = NULL;
}

/* As if it had been written since the checkpoint. */
static void note_lag(struct engine *engine, uint64_t bytes, uint64_t records) {
  atomic_fetch_sub(&engine->checkpoint_bytes, (int64_t)bytes);
  atomic_fetch_sub(&engine->checkpoint_records, (int64_t)records);
}

/* What the checkpoint does not tell of a segment. */
static enum bitcask_status load_rest(struct recovery *recovery, struct segment *segment,
                                     struct segment_facts *found) {
  struct engine *engine = recovery->engine;
  struct segment_facts known = restore_known(recovery->restore, segment);
  *found = known;
  if (known.length == segment->facts.length) return BITCASK_OK;
  TRY(load_records(engine, segment, &known, segment->facts.length, found));
  recovery->event->replayed += found->records - known.records;
  note_lag(engine, segment->facts.length - known.length, found->records - known.records);
  return BITCASK_OK;
}

/* Sealed, from now on, with these facts. */
static enum bitcask_status seal(struct recovery *recovery, struct segment *segment,
                                const struct segment_facts *facts) {
  struct engine *engine = recovery->engine;
  segment->facts = *facts;
  segment->facts.flags |= EDIT_FACTS_RECOVERED;
  segment->facts.sealed_ms = engine->disk->ops->now_ms(engine->disk);
  recovery->seals[recovery->seal_count++] = segment->facts;
  atomic_store(&segment->is_sealed, true);
  return add_to_set(engine, segment);
}

static enum bitcask_status load_unclean(struct recovery *recovery, struct segment *segment) {
  struct segment_facts found;
  TRY(load_rest(recovery, segment, &found));
  segment->lacks_hint = true;
  return seal(recovery, segment, &found);
}

static enum bitcask_status load_closed(struct recovery *recovery, struct segment *segment) {
  struct engine *engine = recovery->engine;
  const struct segment_facts *closed = &engine->manifest.state.closed;
  struct segment_facts found;
  TRY(load_rest(recovery, segment, &found));
  bool is_whole = found.digest == closed->digest && found.records == closed->records;
  if (segment->is_sealed || !is_whole) {
    segment->file->ops->freeze(segment->file);
    return seal(recovery, segment, closed);
  }
  engine->active = segment;
  engine->is_active_closed = true;
  return BITCASK_OK;
}

/* A merge copies what was live when it began. What was deleted since, and before a checkpoint,
 * is in its outputs all the same: there the tombstone counts, which no checkpoint tells of. */
static enum bitcask_status load_hidden(struct recovery *recovery) {
  struct engine *engine = recovery->engine;
  if (!restore_has_gone(recovery->restore) || MUTANT(HIDDEN_FORGOTTEN)) return BITCASK_OK;
  for (size_t i = 0; i < engine->sealed_count + recovery->open_count; i++) {
    struct segment *segment = i < engine->sealed_count ? engine->sealed[i]
                                                       : recovery->open[i - engine->sealed_count];
    struct segment_facts known = restore_known(recovery->restore, segment);
    TRY(load_hiding(engine, segment, &known, restore_taken_ms(recovery->restore)));
  }
  return BITCASK_OK;
}

static enum bitcask_status load_open(struct recovery *recovery) {
  while (recovery->open_count > 0) {
    struct segment *segment = recovery->open[0];
    TRY(recovery->is_unclean ? load_unclean(recovery, segment) : load_closed(recovery, segment));
    recovery->open_count--; /* the engine's now */
    memmove(&recovery->open[0], &recovery->open[1],
            recovery->open_count * sizeof recovery->open[0]);
  }
  return BITCASK_OK;
}

static bool is_loaded(const struct recovery *recovery, const struct segment *segment) {
  for (size_t i = 0; i < recovery->seal_count; i++)
    if (recovery->seals[i].id == segment->facts.id) return true;
  return false;
}

static int compare_ids(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

static bool has_hint(const struct recovery *recovery, uint64_t id) {
  const struct bitcask_buffer *hints = &recovery->hints;
  return hints->size > 0 && bsearch(&id, hints->data, hints->size / sizeof id, sizeof id,
                                    compare_ids) != NULL;
}

/* The sealed segments that the manifest named; those that were open are loaded already. */
static enum bitcask_status load_sealed(struct recovery *recovery) {
  struct engine *engine = recovery->engine;
  if (recovery->hints.size > 0)
    qsort(recovery->hints.data, recovery->hints.size / sizeof(uint64_t), sizeof(uint64_t),
          compare_ids);
  for (size_t i = 0; i < engine->sealed_count; i++) {
    struct segment *segment = engine->sealed[i];
    if (is_loaded(recovery, segment)) continue;
    struct segment_facts known = restore_known(recovery->restore, segment);
    bool used_hint = has_hint(recovery, segment->facts.id);
    if (known.length < segment->facts.length) {
      TRY(load_segment(engine, segment, &known, &used_hint));
      recovery->event->replayed += segment->facts.records - known.records;
      note_lag(engine, segment->facts.length - known.length,
               segment->facts.records - known.records);
    }
    segment->lacks_hint = !used_hint;
  }
  load_finish(engine);
  return BITCASK_OK;
}

static void restore_versions(struct recovery *recovery) {
  struct engine *engine = recovery->engine;
  uint64_t last = engine->manifest.state.last_version;
  for (size_t i = 0; i < engine->sealed_count; i++) {
    uint64_t version = engine->sealed[i]->facts.max_version;
    if (version > last) last = version;
    recovery->event->records += engine->sealed[i]->facts.records;
  }
  if (engine->active != NULL) {
    if (engine->active->facts.max_version > last) last = engine->active->facts.max_version;
    recovery->event->records += engine->active->facts.records;
  }
  /* Also of what is dropped: should its file be there at the next open, it is no newer. */
  if (recovery->newest_seen > last) last = recovery->newest_seen;
  recovery->newest_known = last;
  if (recovery->is_unclean && recovery->was_started_anew && !engine->is_readonly &&
      !MUTANT(VERSIONS_REUSED))
    last += LOST_VERSIONS_MAX;
  atomic_store(&engine->last_version, last);
  engine->published_version = last;
}

/* ---- What is made of it ---- */

static enum bitcask_status commit_recovery(struct recovery *recovery) {
  struct engine *engine = recovery->engine;
  struct bitcask_buffer items = {0};
  enum bitcask_status status = BITCASK_OK;
  if (recovery->seal_count == 0 && recovery->drop_count == 0) return BITCASK_OK;
  for (size_t i = 0; status == BITCASK_OK && i < recovery->seal_count; i++)
    status = edit_append_facts(&items, EDIT_SEALED, &recovery->seals[i]);
  for (size_t i = 0; status == BITCASK_OK && i < recovery->drop_count; i++)
    status = edit_append_removed(&items, recovery->drops[i]);
  if (status == BITCASK_OK) status = reserve_commit(engine, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  return status;
}

static enum bitcask_status note_stray(void *context, uint64_t id, enum bitcask_status status) {
  return note_problem(context, id, status);
}

static enum bitcask_status refuse(const struct recovery *recovery) {
  if (recovery->problems.size == 0) return BITCASK_OK;
  return status_fail(BITCASK_CORRUPT, "the store is damaged: %.*s",
                     (int)(recovery->problems.size > 400 ? 400 : recovery->problems.size),
                     (const char *)recovery->problems.data);
}

static enum bitcask_status recover(struct recovery *recovery) {
  struct engine *engine = recovery->engine;
  struct evidence evidence = {0};
  enum bitcask_status status = evidence_find_manifest(engine, &evidence);
  recovery->hints = evidence.hints;
  TRY(status);
  recovery->was_stopped = evidence.was_stopped;
  for (int i = 0; i < RESERVE_KINDS; i++)
    atomic_store(&engine->has_reserve[i], evidence.has_reserve[i]);
  if (engine->manifest.state.next_id <= evidence.max_number)
    engine->manifest.state.next_id = evidence.max_number + 1;
  /* After a failed flush nothing is taken for durable that a checkpoint tells of. */
  if (!recovery->was_stopped) recovery->restore = restore_open(engine);
  TRY(open_sealed(recovery));
  TRY(refuse(recovery));
  TRY(open_last(recovery));
  TRY(refuse(recovery));
  load_checkpoint(recovery);
  TRY(load_hidden(recovery));
  TRY(load_open(recovery));
  TRY(load_sealed(recovery));
  restore_versions(recovery);
  TRY(strays_check(engine, recovery->newest_known, note_stray, recovery));
  TRY(refuse(recovery));
  if (engine->is_readonly) return BITCASK_OK;
  TRY(flush_open(recovery));
  TRY(commit_recovery(recovery));
  TRY(strays_sweep(engine, recovery->was_stopped, &recovery->event->orphans));
  /* The new manifest may have cost the reserve, and the old one has left room for it. */
  if (atomic_load(&engine->is_short_of_space)) reserve_make(engine);
  return BITCASK_OK;
}

/* What is left over, after a failure too. */
static void let_go(struct recovery *recovery) {
  if (!recovery->is_restored) restore_close(recovery->restore);
  for (size_t i = 0; i < recovery->open_count; i++) {
    engine_drop_slot(recovery->engine, recovery->open[i]);
    segment_unref(recovery->open[i]);
  }
  for (size_t i = 0; i < recovery->unflushed_count; i++) disk_file_close(recovery->unflushed[i]);
  bitcask_buffer_release(&recovery->problems);
  bitcask_buffer_release(&recovery->hints);
}

enum bitcask_status recovery_run(struct engine *engine, struct bitcask_event *out) {
  *out = (struct bitcask_event){.kind = BITCASK_EVENT_RECOVERED};
  struct recovery recovery = {.engine = engine, .event = out};
  uint64_t begun_us = engine->disk->ops->monotonic_us(engine->disk);
  enum bitcask_status status = recover(&recovery);
  let_go(&recovery);
  out->segments = engine->sealed_count + (engine->active != NULL ? 1 : 0);
  out->seconds = (double)(engine->disk->ops->monotonic_us(engine->disk) - begun_us) / 1e6;
  return status;
}

void recovery_write_hints(struct engine *engine) {
  for (size_t i = 0; i < engine->sealed_count; i++)
    if (engine->sealed[i]->lacks_hint) engine_write_hint_later(engine, engine->sealed[i]);
}
