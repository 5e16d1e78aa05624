#include "engine/changes.h"

#include "engine/lookup.h"

#include <inttypes.h>
#include <stdlib.h>

#include "store/hint_file.h"

enum { PORTION = 16384 };

struct found {
  uint64_t version;
  uint64_t offset;
  uint64_t size;
  struct segment *segment; /* pinned */
};

struct bitcask_changes {
  struct engine *engine;
  uint64_t reached; /* every change up to this version was given out */
  uint64_t end;     /* the newest published when it was opened */
  struct found *portion; /* a heap by version, the newest on top, while it is collected */
  size_t count;
  size_t next;
  struct bitcask_buffer pins; /* struct segment *, referenced */
  struct bitcask_buffer scratch;
};

/* ---- Collecting the oldest PORTION versions after `reached` ---- */

static void sink(struct found *heap, size_t count) {
  struct found top = heap[0];
  size_t at = 0;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && heap[child + 1].version > heap[child].version) child++;
    if (heap[child].version <= top.version) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = top;
}

static void rise(struct found *heap, size_t at) {
  struct found item = heap[at];
  while (at > 0 && heap[(at - 1) / 2].version < item.version) {
    heap[at] = heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap[at] = item;
}

static void consider(struct bitcask_changes *changes, const struct found *item) {
  if (item->version <= changes->reached || item->version > changes->end) return;
  if (changes->count < PORTION) {
    changes->portion[changes->count] = *item;
    rise(changes->portion, changes->count++);
  } else if (item->version < changes->portion[0].version) {
    changes->portion[0] = *item;
    sink(changes->portion, changes->count);
  }
}

static bool collect_hint(struct bitcask_changes *changes, struct segment *segment) {
  struct hint_file hint;
  if (!segment->is_sealed || hint_file_load(segment->directory, changes->engine->manifest.store,
                                            &segment->facts, &hint) != BITCASK_OK)
    return false;
  struct hint_entry entry;
  while (hint_next_entry(&hint.entries, &entry)) {
    struct found item = {entry.version, entry.offset, entry.size, segment};
    consider(changes, &item);
  }
  hint_file_release(&hint);
  return true;
}

static enum bitcask_status collect_records(struct bitcask_changes *changes,
                                           struct segment *segment, uint64_t end) {
  struct segment_scan scan;
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  segment_scan_init(&scan, segment, end, false);
  enum bitcask_status status;
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK && kind != SEGMENT_SCAN_END) {
    if (kind != SEGMENT_SCAN_RECORD) {
      status = status_fail(BITCASK_CORRUPT, "changes cannot be told: bytes at %" PRIu64
                           " of segment %" PRIu64 " are damaged", scan.offset, segment->facts.id);
      break;
    }
    struct found item = {scan.record.version, scan.offset, scan.size, segment};
    consider(changes, &item);
  }
  segment_scan_release(&scan);
  return status;
}

static void drop_pins(struct bitcask_changes *changes) {
  struct segment **pins = changes->pins.data;
  for (size_t i = 0; i < changes->pins.size / sizeof *pins; i++) segment_unref(pins[i]);
  changes->pins.size = 0;
}

static enum bitcask_status pin(struct bitcask_changes *changes, struct segment *segment) {
  TRY(buffer_append(&changes->pins, bytes_of(&segment, sizeof segment)));
  segment_ref(segment);
  return BITCASK_OK;
}

/* All segments at one moment, with the length that the active one has then; OK only if no
 * merge has dropped what is still to come. */
static enum bitcask_status pin_segments(struct bitcask_changes *changes, uint64_t *active_end) {
  struct engine *engine = changes->engine;
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&engine->write_lock);
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; status == BITCASK_OK && i < engine->sealed_count; i++)
    if (engine->sealed[i]->facts.max_version > changes->reached)
      status = pin(changes, engine->sealed[i]);
  mutex_unlock(&engine->set_lock);
  *active_end = 0;
  if (status == BITCASK_OK && engine->active != NULL) {
    *active_end = engine->active->facts.length;
    status = pin(changes, engine->active);
  }
  mutex_unlock(&engine->write_lock);
  /* After the pins: a merge whose outputs were pinned has told before what it dropped. */
  mutex_lock(&engine->manifest_lock);
  uint64_t dropped = engine->manifest.state.dropped_version;
  mutex_unlock(&engine->manifest_lock);
  if (status == BITCASK_OK && dropped > changes->reached)
    status = status_fail(BITCASK_NOTFOUND,
                         "merges have dropped writes up to version %" PRIu64
                         "; changes after %" PRIu64 " are no longer all there",
                         dropped, changes->reached);
  return status;
}

static int compare_found(const void *left, const void *right) {
  const struct found *a = left, *b = right;
  return (a->version > b->version) - (a->version < b->version);
}

/* During a merge's switch a record stands in its input and in its output. */
static void drop_repeated(struct bitcask_changes *changes) {
  size_t kept = 0;
  for (size_t i = 0; i < changes->count; i++)
    if (kept == 0 || changes->portion[kept - 1].version != changes->portion[i].version)
      changes->portion[kept++] = changes->portion[i];
  changes->count = kept;
}

static enum bitcask_status collect(struct bitcask_changes *changes) {
  uint64_t active_end = 0;
  changes->count = changes->next = 0;
  drop_pins(changes);
  TRY(pin_segments(changes, &active_end));
  struct segment **pins = changes->pins.data;
  size_t count = changes->pins.size / sizeof *pins;
  for (size_t i = 0; i < count; i++) {
    bool is_active = active_end > 0 && i == count - 1;
    if (!is_active && collect_hint(changes, pins[i])) continue;
    TRY(collect_records(changes, pins[i], is_active ? active_end : pins[i]->facts.length));
  }
  qsort(changes->portion, changes->count, sizeof *changes->portion, compare_found);
  drop_repeated(changes);
  return BITCASK_OK;
}

/* ---- Giving them out ---- */

static enum bitcask_status read_change(struct bitcask_changes *changes, const struct found *item,
                                       struct bitcask_change *out) {
  struct keydir_entry entry = {.units = (uint32_t)(item->size / 8),
                               .at = place_make(0, item->offset, 0)};
  struct located located;
  enum bitcask_status status = engine_examine(changes->engine, item->segment, &entry,
                                              bytes_of(NULL, 0), &changes->scratch, &located);
  if (status == BITCASK_ABSENT) status = BITCASK_OK;
  if (status == BITCASK_OK)
    status = engine_check_value(changes->engine, item->segment, item->offset, &located.record);
  TRY(status);
  *out = (struct bitcask_change){.version = located.record.version,
                                 .key = located.record.key,
                                 .value = located.record.value,
                                 .expires = located.record.expires,
                                 .deleted = located.record.flags & RECORD_TOMBSTONE};
  return BITCASK_OK;
}

enum bitcask_status bitcask_changes_next(struct bitcask_changes *changes,
                                         struct bitcask_change *out) {
  TRY(engine_check_process(changes->engine->process));
  if (changes->next == changes->count) {
    if (changes->reached >= changes->end) return BITCASK_ABSENT;
    TRY(collect(changes));
    if (changes->count == 0) changes->reached = changes->end;
    if (changes->count == 0) return BITCASK_ABSENT;
  }
  const struct found *item = &changes->portion[changes->next++];
  changes->reached = item->version;
  return read_change(changes, item, out);
}

enum bitcask_status changes_open(struct engine *engine, uint64_t since,
                                 struct bitcask_changes **out) {
  struct bitcask_changes *changes = memory_zeroed(1, sizeof *changes);
  if (changes == NULL) return BITCASK_NOMEMORY;
  changes->engine = engine_ref(engine);
  changes->reached = since;
  mutex_lock(&engine->write_lock);
  changes->end = engine->published_version;
  mutex_unlock(&engine->write_lock);
  changes->portion = memory_new(PORTION * sizeof *changes->portion);
  enum bitcask_status status = changes->portion == NULL ? BITCASK_NOMEMORY : BITCASK_OK;
  if (status == BITCASK_OK && changes->reached < changes->end) status = collect(changes);
  if (status != BITCASK_OK) {
    bitcask_changes_close(changes);
    return status;
  }
  *out = changes;
  return BITCASK_OK;
}

void bitcask_changes_close(struct bitcask_changes *changes) {
  if (changes == NULL) return;
  bool is_ours = engine_check_process(changes->engine->process) == BITCASK_OK;
  if (is_ours) drop_pins(changes);
  bitcask_buffer_release(&changes->pins);
  bitcask_buffer_release(&changes->scratch);
  memory_free(changes->portion);
  if (is_ours) engine_unref(changes->engine);
  memory_free(changes);
}
