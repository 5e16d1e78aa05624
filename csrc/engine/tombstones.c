#include "engine/tombstones.h"

#include "base/checksum.h"
#include "store/hint_file.h"

struct tombstone_slot {
  uint64_t hash; /* 0: empty */
  uint64_t version; /* the newest tombstone of the key in the merge */
  bool is_needed;
};

void tombstones_init(struct tombstones *set) { *set = (struct tombstones){0}; }

void tombstones_release(struct tombstones *set) {
  memory_free(set->slots);
  *set = (struct tombstones){0};
}

static uint64_t hash_of_key(bitcask_bytes key) {
  uint64_t hash = checksum64(key.data, key.size, 0);
  return hash == 0 ? 1 : hash;
}

static struct tombstone_slot *find(const struct tombstones *set, uint64_t hash) {
  size_t i = (size_t)hash & (set->capacity - 1);
  while (set->slots[i].hash != 0 && set->slots[i].hash != hash) i = (i + 1) & (set->capacity - 1);
  return &set->slots[i];
}

static enum bitcask_status grow(struct tombstones *set) {
  struct tombstones bigger = *set;
  bigger.capacity = set->capacity == 0 ? 64 : set->capacity * 2;
  bigger.slots = memory_zeroed(bigger.capacity, sizeof *bigger.slots);
  if (bigger.slots == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < set->capacity; i++)
    if (set->slots[i].hash != 0) *find(&bigger, set->slots[i].hash) = set->slots[i];
  memory_free(set->slots);
  *set = bigger;
  return BITCASK_OK;
}

static enum bitcask_status add(struct tombstones *set, bitcask_bytes key, uint64_t version) {
  if (set->count * 2 >= set->capacity) TRY(grow(set));
  uint64_t hash = hash_of_key(key);
  struct tombstone_slot *slot = find(set, hash);
  if (slot->hash == 0) set->count++;
  slot->hash = hash;
  if (version > slot->version) slot->version = version;
  if (version > set->max_version) set->max_version = version;
  return BITCASK_OK;
}

/* An older put of a key whose tombstone is being decided about. */
static void mark(struct tombstones *set, bitcask_bytes key, uint64_t version) {
  struct tombstone_slot *slot = find(set, hash_of_key(key));
  if (slot->hash == 0 || version >= slot->version || slot->is_needed) return;
  slot->is_needed = true;
  set->needed++;
}

/* ---- Walking a segment by its hint file, or by itself ---- */

struct walk {
  struct tombstones *set;
  uint64_t oldest_put;
  bool is_outside;
};

static enum bitcask_status visit(struct walk *walk, bitcask_bytes key, uint64_t version,
                                 uint8_t flags) {
  if (walk->is_outside && !(flags & RECORD_TOMBSTONE)) mark(walk->set, key, version);
  if (!walk->is_outside && tombstones_may_be(flags) && version > walk->oldest_put)
    return add(walk->set, key, version);
  return BITCASK_OK;
}

static enum bitcask_status walk_hint(struct walk *walk, struct hint_file *hint) {
  struct hint_entry entry;
  while (hint_next_entry(&hint->entries, &entry))
    TRY(visit(walk, entry.key, entry.version, entry.flags));
  return BITCASK_OK;
}

static enum bitcask_status walk_records(struct walk *walk, struct segment *segment) {
  struct segment_scan scan;
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  segment_scan_init(&scan, segment, segment->facts.length, false);
  enum bitcask_status status;
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK && kind != SEGMENT_SCAN_END) {
    if (kind == SEGMENT_SCAN_RECORD)
      status = visit(walk, scan.record.key, scan.record.version, scan.record.flags);
    else if (walk->is_outside)
      walk->set->keep_all = true; /* nobody knows what was there */
    else
      atomic_store(&segment->is_suspect, true); /* nor here: it might have been a tombstone */
    if (status != BITCASK_OK) break;
  }
  segment_scan_release(&scan);
  return status;
}

static enum bitcask_status walk_segment(struct walk *walk, struct segment *segment,
                                        store_identity store) {
  struct hint_file hint;
  if (hint_file_load(segment->directory, store, &segment->facts, &hint) == BITCASK_OK) {
    enum bitcask_status status = walk_hint(walk, &hint);
    bool is_whole = !hint.entries.failed;
    hint_file_release(&hint);
    if (status != BITCASK_OK || is_whole) return status;
  }
  return walk_records(walk, segment);
}

enum bitcask_status tombstones_collect(struct tombstones *set, struct segment *segment,
                                       store_identity store, uint64_t oldest_put) {
  bool has_any = segment->facts.tombstones > 0 || (segment->facts.flags & EDIT_FACTS_EXPIRING);
  if (!has_any || segment->facts.max_version <= oldest_put) return BITCASK_OK;
  struct walk walk = {set, oldest_put, false};
  return walk_segment(&walk, segment, store);
}

enum bitcask_status tombstones_mark(struct tombstones *set, struct segment *outside,
                                    store_identity store) {
  if (set->count == 0 || outside->facts.min_put_version >= set->max_version) return BITCASK_OK;
  struct walk walk = {set, 0, true};
  return walk_segment(&walk, outside, store);
}

bool tombstones_is_needed(const struct tombstones *set, bitcask_bytes key, uint64_t version,
                          uint64_t oldest_put) {
  if (version <= oldest_put) return false;
  if (set->keep_all || set->count == 0) return true;
  const struct tombstone_slot *slot = find(set, hash_of_key(key));
  return slot->hash == 0 || slot->is_needed;
}
