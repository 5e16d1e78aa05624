#include "engine/straight.h"

#include "base/mutant.h"

struct straight_part {
  struct segment *segment; /* referenced */
  uint64_t end;
};

/* ---- Beginning ---- */

/* And nothing else in it: where bytes that are no record were met, the keydir knows what is
 * left. */
static bool is_all_live(const struct segment *segment) {
  if (MUTANT(WALKED_BLINDLY)) return true;
  return segment->facts.records == atomic_load(&segment->live_records) &&
         !atomic_load(&segment->is_suspect);
}

/* One that goes from key to key reads no more of a large record than its beginning. */
static bool has_large_records(const struct segment *segment) {
  enum { LARGE_SIZE = 16 << 10 };
  return segment->facts.length / LARGE_SIZE > segment->facts.records;
}

static enum bitcask_status add_part(struct straight *straight, struct segment *segment,
                                    uint64_t *records) {
  const struct straight_part part = {segment, segment->facts.length};
  if (!is_all_live(segment)) return BITCASK_ABSENT;
  if (straight->keys_only && has_large_records(segment)) return BITCASK_ABSENT;
  TRY(buffer_append(&straight->parts, bytes_of(&part, sizeof part)));
  segment_ref(segment);
  *records += segment->facts.records;
  return BITCASK_OK;
}

static enum bitcask_status add_sealed(struct straight *straight, struct engine *engine,
                                      uint64_t *records) EXCLUDES(engine->set_lock) {
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; status == BITCASK_OK && i < engine->sealed_count; i++)
    status = add_part(straight, engine->sealed[i], records);
  mutex_unlock(&engine->set_lock);
  return status;
}

/* While a merge changes over to its outputs a record stands in two segments, and is counted twice;
 * what was appended and not yet published is counted, and is no entry. */
static enum bitcask_status add_all(struct straight *straight, struct engine *engine)
    REQUIRES(engine->write_lock) {
  uint64_t records = 0;
  if (keydir_old_count(engine->keydir) > 0) return BITCASK_ABSENT;
  TRY(add_sealed(straight, engine, &records));
  if (engine->active != NULL) TRY(add_part(straight, engine->active, &records));
  bool is_live = records == keydir_count(engine->keydir) || MUTANT(WALKED_BLINDLY);
  return is_live ? BITCASK_OK : BITCASK_ABSENT;
}

enum bitcask_status straight_begin(struct straight *straight, struct engine *engine,
                                   bool keys_only) {
  straight->keys_only = keys_only;
  mutex_lock(&engine->write_lock);
  enum bitcask_status status = add_all(straight, engine);
  mutex_unlock(&engine->write_lock);
  if (status == BITCASK_OK) return BITCASK_OK;
  straight_release(straight, true);
  return status;
}

/* ---- Walking ---- */

static void leave_part(struct straight *straight) {
  struct straight_part *parts = straight->parts.data;
  if (!straight->is_scanning) return;
  segment_scan_release(&straight->scan);
  segment_unref(parts[straight->next - 1].segment);
  parts[straight->next - 1].segment = NULL;
  straight->is_scanning = false;
}

static bool enter_part(struct straight *straight) {
  const struct straight_part *parts = straight->parts.data;
  leave_part(straight);
  if (straight->next == straight->parts.size / sizeof *parts) return false;
  const struct straight_part *part = &parts[straight->next++];
  segment_scan_init(&straight->scan, part->segment, part->end, false);
  straight->is_scanning = true;
  return true;
}

enum bitcask_status straight_next(struct straight *straight, struct stop *stop,
                                  const struct record **record) {
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  struct segment_scan *scan = &straight->scan;
  if (straight->is_scanning) TRY(segment_scan_next(scan, &kind));
  while (kind == SEGMENT_SCAN_END) {
    if (!enter_part(straight)) return BITCASK_ABSENT;
    TRY(segment_scan_next(scan, &kind));
  }
  *stop = (struct stop){scan->segment, scan->offset};
  *record = kind == SEGMENT_SCAN_RECORD ? &scan->record : NULL;
  return BITCASK_OK;
}

void straight_release(struct straight *straight, bool unpin) {
  const struct straight_part *parts = straight->parts.data;
  if (straight->is_scanning) segment_scan_release(&straight->scan);
  for (size_t i = 0; unpin && i < straight->parts.size / sizeof *parts; i++)
    segment_unref(parts[i].segment);
  bitcask_buffer_release(&straight->parts);
  *straight = (struct straight){0};
}
