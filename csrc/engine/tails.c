#include "engine/tails.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mutant.h"

/* ---- Reading one ---- */

static void note_record(struct tail *tail, const struct segment_scan *scan) {
  const struct record *record = &scan->record;
  uint64_t durable = (uint64_t)record->synced * RECORD_UNIT;
  if (durable > tail->durable) tail->durable = durable;
  if (tail->first_version == 0) tail->first_version = record->version;
  tail->newest_version = record->version;
  tail->records++;
  if (tail->first_bad != 0) {
    tail->later_end = scan->next;
    tail->later_version = record->version;
    tail->later_records++;
  } else if (!(record->flags & RECORD_CONTINUES) || MUTANT(BATCH_TORN)) {
    tail->good_end = scan->next; /* with the batch, if it was the last of one */
    tail->good_version = record->version;
  }
}

/* What stands before the length of `known` was durable when a checkpoint told of it. */
static enum bitcask_status read_tail(struct tail *tail, const struct segment_facts *known) {
  struct segment_scan scan;
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  tail->good_end = tail->used_end = known->length;
  tail->first_version = known->min_version;
  tail->good_version = tail->newest_version = known->max_version;
  tail->durable = known->length;
  segment_scan_init(&scan, tail->segment, disk_file_size(tail->segment->file), true);
  scan.next = known->length;
  enum bitcask_status status;
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK) {
    if (kind == SEGMENT_SCAN_END || kind == SEGMENT_SCAN_ZEROS) break;
    tail->used_end = scan.next;
    if (kind == SEGMENT_SCAN_RECORD)
      note_record(tail, &scan);
    else if (tail->first_bad == 0)
      tail->first_bad = scan.offset;
  }
  segment_scan_release(&scan);
  return status;
}

static enum bitcask_status survey(struct tail *tail, const struct engine *engine,
                                  const struct restore *restore) {
  struct segment *segment = tail->segment;
  uint32_t boot = engine->disk->ops->boot(engine->disk);
  struct segment_facts known = restore_known(restore, segment);
  if (known.length > disk_file_size(segment->file))
    known = segment_facts_empty(segment->facts.id, 0);
  tail->was_started_anew = boot == 0 || segment->boot != boot;
  return read_tail(tail, &known);
}

enum bitcask_status tails_add(struct tails *tails, struct engine *engine, uint64_t id,
                              const struct restore *restore) {
  struct segment_facts facts = segment_facts_empty(id, 0);
  struct tail tail = {.end = HEADER_SIZE};
  /* By reading, and not from a mapping: a sector that was being written when the power failed may
   * be unreadable, which is to be an error and no signal. */
  TRY(segment_open(engine->directory, engine->manifest.store, &facts, true, &tail.segment));
  enum bitcask_status status = survey(&tail, engine, restore);
  if (tail.newest_version > tails->newest_version) tails->newest_version = tail.newest_version;
  memmove(&tails->items[1], &tails->items[0], tails->count * sizeof tail);
  tails->items[0] = tail;
  tails->count++;
  return status;
}

void tails_release(struct tails *tails) {
  for (size_t i = 0; i < tails->count; i++) segment_unref(tails->items[i].segment);
  tails->count = 0;
}

/* ---- Where it ends ---- */

/* Does a record tell that something of it was flushed, beyond what every new one begins with? */
static bool tells_of_flush(const struct tail *tail) { return tail->durable > HEADER_SIZE; }

/* The next one that has a record: what was made ahead may not have been written to, and what was
 * written to may be lost. `count`: there is none. */
static size_t next_written(const struct tails *tails, size_t i) {
  do i++;
  while (i < tails->count && tails->items[i].first_version == 0);
  return i;
}

/* Must all of it be there? While the machine runs nothing is lost; and what was flushed later, or
 * made later and not lost, tells that this was flushed before, or is there all the same. */
static bool was_durable(const struct tails *tails, size_t i) {
  for (size_t k = next_written(tails, i); k < tails->count; k = next_written(tails, k))
    if (tells_of_flush(&tails->items[k]) || !tails->items[k].was_started_anew) return true;
  return false;
}

static void report(struct engine *engine, const struct tail *tail, uint64_t offset,
                   uint64_t bytes, const char *format, uint64_t number) {
  char message[128];
  snprintf(message, sizeof message, format, number);
  engine_report_damage(engine, tail->segment->facts.id, offset, bytes, message);
}

#define NOT_APPLIED "%" PRIu64 " whole records behind a hole, never flushed, were not applied"

/* Are the bad bytes in it damage? Else they were never written, or not to the end. */
static bool is_damaged(const struct tails *tails, size_t i) {
  const struct tail *tail = &tails->items[i];
  if (tail->first_bad == 0) return false;
  if (was_durable(tails, i)) return true;
  return tail->later_end > 0 && (!tail->was_started_anew || tail->durable > tail->first_bad);
}

/* Decide where it ends; returns the version of its last write. */
static uint64_t decide_end(struct tails *tails, size_t i, struct engine *engine) {
  struct tail *tail = &tails->items[i];
  bool is_damage = is_damaged(tails, i);
  tail->end = is_damage ? tail->later_end : tail->good_end;
  if ((is_damage && was_durable(tails, i)) || MUTANT(TAIL_KEPT)) tail->end = tail->used_end;
  if (tail->end < tail->used_end) tails->torn_bytes += tail->used_end - tail->end;
  if (!is_damage && tail->later_records > 0)
    report(engine, tail, tail->first_bad, tail->used_end - tail->first_bad, NOT_APPLIED,
           tail->later_records);
  return is_damage && tail->later_end > 0 ? tail->later_version : tail->good_version;
}

static void drop_from(struct tails *tails, size_t first, struct engine *engine) {
  for (size_t i = first; i < tails->count; i++) {
    struct tail *tail = &tails->items[i];
    tail->end = HEADER_SIZE;
    if (tail->records == 0) continue;
    tails->torn_bytes += tail->used_end - HEADER_SIZE;
    report(engine, tail, HEADER_SIZE, tail->used_end - HEADER_SIZE, NOT_APPLIED, tail->records);
  }
}

/* The newest write that is in none of them: all before the first are sealed, or dropped by merges. */
static uint64_t last_before(const struct engine *engine) {
  const struct manifest_state *state = &engine->manifest.state;
  uint64_t last = state->dropped_version;
  for (size_t i = 0; i < state->sealed_count; i++)
    if (state->sealed[i].max_version > last) last = state->sealed[i].max_version;
  return last;
}

/* Writes are missing between `i` and the one before it: is what comes now to be kept? */
static bool is_kept(struct tails *tails, size_t before, size_t i, struct engine *engine) {
  if (!was_durable(tails, before) && !engine->options.salvage) return false;
  report(engine, &tails->items[before], tails->items[before].end, 0,
         "writes before version %" PRIu64 " are missing here", tails->items[i].first_version);
  return true;
}

/* One without a record was made ahead, or has lost all that was in it: the versions tell. */
void tails_decide(struct tails *tails, struct engine *engine) {
  uint64_t last = last_before(engine);
  size_t before = 0; /* the last with a record, or the first */
  for (size_t i = 0; i < tails->count; i++) {
    uint64_t first = tails->items[i].first_version;
    bool is_gap = i > 0 && first != 0 && first != last + 1 && !MUTANT(HOLE_IGNORED);
    if (is_gap && !is_kept(tails, before, i, engine)) {
      drop_from(tails, i, engine);
      return;
    }
    uint64_t decided = decide_end(tails, i, engine);
    if (first == 0) continue;
    last = decided;
    before = i;
  }
}
