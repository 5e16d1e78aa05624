#include "engine/copying.h"

#include <stdio.h>

#include "base/mutant.h"
#include "engine/lookup.h"
#include "format/filename.h"

static struct input *current(const struct copying *copying) {
  return &copying->inputs->items[copying->current];
}

static struct move *move_at(const struct copying *copying, size_t number) {
  return &copying->needed->moves.items[number];
}

/* ---- How an input is read ---- */

enum { PAGE_SIZE_MIN = 4096 };

static bool is_unread(const struct copying *copying, const struct input *input) {
  return input->moves.first == input->moves.end && needed_is_live_alone(copying->needed, input);
}

/* What is read for a record that begins there, where the one before ended at `before`: if that is
 * less than a page away, what stands between them comes along. */
static uint64_t leap_size(const struct move *move, uint64_t before) {
  uint64_t gap = move_offset(move) - before;
  return move_size(move) + (gap < PAGE_SIZE_MIN ? gap : 0);
}

static uint64_t bytes_to_read(const struct copying *copying, const struct input *input) {
  uint64_t bytes = 0, before = HEADER_SIZE;
  if (!needed_is_live_alone(copying->needed, input))
    return input->segment->facts.length - HEADER_SIZE;
  for (size_t i = input->moves.first; i < input->moves.end; i++) {
    const struct move *move = move_at(copying, i);
    bytes += leap_size(move, before);
    before = move_offset(move) + move_size(move);
  }
  return bytes;
}

static void count_read(struct copying *copying, uint64_t bytes) {
  engine_add(&copying->bytes_done, bytes);
  copying->bytes_read += bytes;
}

void copying_begin(struct copying *copying) {
  uint64_t total = 0;
  for (size_t i = 0; i < copying->inputs->count; i++)
    total += bytes_to_read(copying, &copying->inputs->items[i]);
  atomic_store(&copying->bytes_done, 0);
  atomic_store(&copying->bytes_total, total);
  copying->current = 0;
  copying->bytes_read = copying->dropped_version = 0;
  copying->records_kept = copying->records_dropped = 0;
  copying->tombstones_kept = copying->tombstones_dropped = 0;
  copying->state = COPYING;
}

static void end_reading(struct copying *copying) {
  if (copying->is_reading) segment_scan_release(&copying->scan);
  copying->is_reading = false;
}

void copying_undo(struct copying *copying) {
  end_reading(copying);
  outputs_drop(&copying->outputs);
  verdicts_clear(&copying->verdicts);
}

/* The current input is damaged: leave it as it is. */
static enum bitcask_status leave_out_damaged(struct copying *copying) {
  struct segment *segment = current(copying)->segment;
  char message[96];
  snprintf(message, sizeof message, "%s: damaged, so it is kept as it is and not merged",
           filename_of_segment(segment->facts.id).text);
  engine_report_damage(copying->engine, segment->facts.id, copying->scan.offset,
                       copying->scan.size, message);
  atomic_store(&segment->is_damaged, true);
  copying_undo(copying);
  inputs_leave_out(copying->inputs, copying->current);
  copying->segments_damaged++;
  copying->state = COPYING_SPOILT;
  return BITCASK_OK;
}

/* ---- Dropping, and what takes the place of what is dropped ---- */

static void drop(struct copying *copying, uint64_t version, uint64_t *counter) {
  if (version > copying->dropped_version) copying->dropped_version = version;
  ++*counter;
}

static enum bitcask_status keep_tombstone(struct copying *copying,
                                          const struct record *tombstone) {
  struct segment *into = NULL;
  uint64_t offset = 0;
  TRY(outputs_append(&copying->outputs, tombstone, &into, &offset));
  atomic_fetch_add(&into->kept_tombstone_bytes, record_size_of(tombstone));
  copying->tombstones_kept++;
  return BITCASK_OK;
}

static enum bitcask_status handle_tombstone(struct copying *copying) {
  const struct record *record = &copying->scan.record;
  if (needed_as_tombstone(copying->needed, record)) return keep_tombstone(copying, record);
  drop(copying, record->version, &copying->tombstones_dropped);
  return BITCASK_OK;
}

/* A put that expires and is dropped may be what hides an older one outside the merge. Then a
 * tombstone of its version takes its place. */
static enum bitcask_status drop_put(struct copying *copying) {
  const struct record *put = &copying->scan.record;
  drop(copying, put->version, &copying->records_dropped);
  if (!needed_as_tombstone(copying->needed, put)) return BITCASK_OK;
  struct record tombstone = {.version = put->version, .key = put->key, .flags = RECORD_TOMBSTONE};
  tombstone.value_check = record_value_check(tombstone.value);
  return keep_tombstone(copying, &tombstone);
}

/* ---- Copying ---- */

static enum bitcask_status copy_record(struct copying *copying) {
  struct move *move = move_at(copying, copying->next_move);
  struct segment *into = NULL;
  uint64_t offset = 0;
  TRY(outputs_append(&copying->outputs, &copying->scan.record, &into, &offset));
  move->to = place_make(into->slot, offset, move->from & PLACE_EXPIRES);
  engine_count_live(into, move_size(move));
  copying->next_move++;
  copying->records_kept++;
  return BITCASK_OK;
}

/* Does the entry still lead there? A look that others have moved entries under is begun anew. */
static bool is_still_live(const struct copying *copying, const struct move *move) {
  struct keydir_matches matches;
  uint64_t stamp = 0;
  place from = move_from(move, current(copying)->segment->slot);
  if (engine_has_expired(copying->engine, &copying->scan.record)) return false;
  for (unsigned first = 0;; first += KEYDIR_MATCHES) {
    keydir_find(copying->engine->keydir, move_hash(move), first, &matches);
    if (first == 0) stamp = matches.stamp;
    for (unsigned i = 0; i < matches.count; i++)
      if (matches.entries[i].at == from) return true;
    if (matches.more) continue;
    if (first == 0 || matches.stamp == stamp) return false;
    first = (unsigned)-KEYDIR_MATCHES;
  }
}

/* The record is not copied: what takes its place is written before the merge is committed. */
static enum bitcask_status replace_record(struct copying *copying, const bitcask_bytes *value) {
  const struct record *record = &copying->scan.record;
  TRY(value == NULL ? verdicts_add_drop(&copying->verdicts, record)
                    : verdicts_add_rewrite(&copying->verdicts, record, *value));
  copying->next_move++;
  return drop_put(copying);
}

enum bitcask_status copying_answer(struct copying *copying, enum bitcask_verdict verdict,
                                   bitcask_bytes value) {
  copying->state = COPYING;
  bool is_same = verdict == BITCASK_REWRITE && bytes_equal(value, copying->scan.record.value);
  if (verdict == BITCASK_KEEP || is_same) return copy_record(copying);
  return replace_record(copying, verdict == BITCASK_DROP ? NULL : &value);
}

/* The record that the next move is about. */
static enum bitcask_status handle_live(struct copying *copying) {
  if (!record_value_is_intact(&copying->scan.record)) return leave_out_damaged(copying);
  /* What was written again since the plan is copied in vain, and asked about by nobody. */
  if (copying->asks && is_still_live(copying, move_at(copying, copying->next_move)))
    copying->state = COPYING_ASKS;
  return copying->state == COPYING_ASKS ? BITCASK_OK : copy_record(copying);
}

/* ---- Scanning ---- */

static bool is_at_move(const struct copying *copying) {
  return copying->next_move < current(copying)->moves.end &&
         move_offset(move_at(copying, copying->next_move)) == copying->scan.offset;
}

static enum bitcask_status end_input(struct copying *copying) {
  end_reading(copying);
  copying->current++;
  return BITCASK_OK;
}

/* The input is read to its end. A live record that the scan did not meet is damage too. */
static enum bitcask_status end_scan(struct copying *copying) {
  return copying->next_move == current(copying)->moves.end ? end_input(copying)
                                                           : leave_out_damaged(copying);
}

static enum bitcask_status scan_on(struct copying *copying) {
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  TRY(segment_scan_next(&copying->scan, &kind));
  count_read(copying, copying->scan.size);
  if (kind == SEGMENT_SCAN_END) return end_scan(copying);
  if (kind != SEGMENT_SCAN_RECORD) return leave_out_damaged(copying);
  if (copying->scan.record.flags & RECORD_TOMBSTONE) return handle_tombstone(copying);
  return is_at_move(copying) ? handle_live(copying) : drop_put(copying);
}

/* ---- Leaping ---- */

static struct stop stop_of(const void *context, size_t number) {
  const struct copying *copying = context;
  return (struct stop){current(copying)->segment, move_offset(move_at(copying, number))};
}

static void begin_leap(struct copying *copying) {
  size_t first = copying->next_move;
  copying->leap = (struct leap){
      .next_version = current(copying)->segment->facts.min_version, .is_rising = true};
  copying->ahead = (struct read_ahead){first, first};
  copying->scan.offset = HEADER_SIZE;
  copying->scan.announced = UINT64_MAX; /* the scan itself announces nothing */
}

/* The versions that are missing among those that were seen, up to this one. */
static void see_version(struct leap *leap, uint64_t version) {
  if (version < leap->next_version) leap->is_rising = false;
  if (version > leap->next_version) leap->missing = version - 1;
  leap->next_version = version + 1;
}

/* No record that was leapt over has a higher version than this. Where those that were seen come in
 * the order of their versions, it is the highest that is missing among them; else it may be any. */
static uint64_t highest_missing(const struct leap *leap, uint64_t max_version) {
  if (MUTANT(LEAPT_OVER_FORGOTTEN)) return 0;
  return leap->is_rising && leap->next_version > max_version ? leap->missing : max_version;
}

static enum bitcask_status end_leap(struct copying *copying) {
  const struct input *input = current(copying);
  const struct segment_facts *facts = &input->segment->facts;
  uint64_t live = input->moves.end - input->moves.first;
  if (facts->records > live) {
    uint64_t missing = highest_missing(&copying->leap, facts->max_version);
    if (missing > copying->dropped_version) copying->dropped_version = missing;
    copying->tombstones_dropped += facts->tombstones;
    copying->records_dropped += facts->records - facts->tombstones - live;
  }
  return end_input(copying);
}

static enum bitcask_status leap_on(struct copying *copying) {
  const struct input *input = current(copying);
  if (copying->next_move == input->moves.end) return end_leap(copying);
  const struct read_ahead_walk walk = {stop_of, copying, copying->next_move, input->moves.end};
  read_ahead_step(&copying->ahead, &walk);
  const struct move *move = move_at(copying, copying->next_move);
  uint64_t before = copying->scan.offset + copying->scan.size;
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  copying->scan.next = move_offset(move);
  TRY(segment_scan_next(&copying->scan, &kind));
  if (kind != SEGMENT_SCAN_RECORD || copying->scan.size != move_size(move) ||
      (copying->scan.record.flags & RECORD_TOMBSTONE))
    return leave_out_damaged(copying);
  count_read(copying, leap_size(move, before));
  see_version(&copying->leap, copying->scan.record.version);
  return handle_live(copying);
}

/* ---- One after the other ---- */

static void drop_unread(struct copying *copying) {
  const struct segment_facts *facts = &current(copying)->segment->facts;
  if (facts->max_version > copying->dropped_version) copying->dropped_version = facts->max_version;
  copying->tombstones_dropped += facts->tombstones;
  copying->records_dropped += facts->records - facts->tombstones;
  copying->current++;
}

static void begin_reading(struct copying *copying) {
  const struct input *input = current(copying);
  segment_scan_init(&copying->scan, input->segment, input->segment->facts.length, false);
  copying->is_reading = true;
  copying->next_move = input->moves.first;
  copying->is_leaping = needed_is_live_alone(copying->needed, input);
  if (copying->is_leaping) begin_leap(copying);
}

enum bitcask_status copying_step(struct copying *copying) {
  if (copying->current == copying->inputs->count) {
    copying->state = COPYING_ENDED;
    return BITCASK_OK;
  }
  if (!copying->is_reading) {
    if (is_unread(copying, current(copying))) {
      drop_unread(copying);
      return BITCASK_OK;
    }
    begin_reading(copying);
  }
  return copying->is_leaping ? leap_on(copying) : scan_on(copying);
}
