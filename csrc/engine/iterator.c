#include "engine/iterator.h"

#include <stdlib.h>

#include "engine/publish.h"
#include "engine/snapshot.h"

/* One entry to be read, with its own idea of the segment: slots may be given to others. */
struct stop {
  uint64_t offset;
  uint64_t size;
  struct segment *segment;
};

struct bitcask_iterator {
  struct engine *engine;
  uint64_t version;
  bool keys_only;
  bool skip_damaged;
  struct bitcask_buffer prefix;
  unsigned next_shard;
  struct bitcask_buffer entries, olds; /* of the shard, as they are copied */
  struct bitcask_buffer pins;          /* struct segment *, referenced */
  struct bitcask_buffer stops;         /* struct stop, in file order */
  size_t next_stop;
  struct bitcask_buffer scratch;
};

static enum bitcask_status iterator_new(const struct bitcask_iterator_options *options,
                                        struct bitcask_iterator **out) {
  struct bitcask_iterator *iterator = memory_zeroed(1, sizeof *iterator);
  if (iterator == NULL) return BITCASK_NOMEMORY;
  iterator->keys_only = options->keys_only;
  iterator->skip_damaged = options->skip_damaged;
  enum bitcask_status status = buffer_assign(&iterator->prefix, options->prefix);
  if (status != BITCASK_OK)
    memory_free(iterator);
  else
    *out = iterator;
  return status;
}

/* Its snapshot is taken, or could not be. */
static enum bitcask_status start(struct bitcask_iterator *iterator, struct engine *engine,
                                 enum bitcask_status status, struct bitcask_iterator **out) {
  if (status != BITCASK_OK) {
    bitcask_buffer_release(&iterator->prefix);
    memory_free(iterator);
    return status;
  }
  iterator->engine = engine_ref(engine);
  *out = iterator;
  return BITCASK_OK;
}

enum bitcask_status iterator_open(struct engine *engine,
                                  const struct bitcask_iterator_options *options,
                                  struct bitcask_iterator **out) {
  struct bitcask_iterator *iterator = NULL;
  engine_expire(engine);
  TRY(iterator_new(options, &iterator));
  return start(iterator, engine, snapshot_take(engine, &iterator->version), out);
}

enum bitcask_status iterator_open_at(struct engine *engine, uint64_t version,
                                     const struct bitcask_iterator_options *options,
                                     struct bitcask_iterator **out) {
  struct bitcask_iterator *iterator = NULL;
  TRY(iterator_new(options, &iterator));
  iterator->version = version;
  return start(iterator, engine, snapshot_take_again(engine, version), out);
}

/* ---- The stops of one shard ---- */

static void drop_pins(struct bitcask_iterator *iterator) {
  struct segment **pins = iterator->pins.data;
  for (size_t i = 0; i < iterator->pins.size / sizeof *pins; i++) segment_unref(pins[i]);
  iterator->pins.size = 0;
}

static enum bitcask_status pin(struct bitcask_iterator *iterator, struct segment *segment) {
  struct segment **pins = iterator->pins.data;
  /* Entries of one segment come in runs; those of few segments are found at once. */
  for (size_t i = iterator->pins.size / sizeof *pins; i-- > 0;)
    if (pins[i] == segment) return BITCASK_OK;
  TRY(buffer_append(&iterator->pins, bytes_of(&segment, sizeof segment)));
  segment_ref(segment);
  return BITCASK_OK;
}

static enum bitcask_status add_stop(struct bitcask_iterator *iterator, struct segment *segment,
                                    const struct keydir_entry *entry) {
  struct stop stop = {place_offset(entry->at), keydir_entry_size(entry), segment};
  return buffer_append(&iterator->stops, bytes_of(&stop, sizeof stop));
}

static enum bitcask_status add_current(struct bitcask_iterator *iterator) {
  const struct keydir_entry *entries = iterator->entries.data;
  for (size_t i = 0; i < iterator->entries.size / sizeof *entries; i++) {
    struct segment *segment = engine_segment(iterator->engine, entries[i].at);
    TRY(pin(iterator, segment));
    TRY(add_stop(iterator, segment, &entries[i]));
  }
  return BITCASK_OK;
}

/* The references that the copy holds go over to the pins, or are given back. */
static enum bitcask_status add_olds(struct bitcask_iterator *iterator) {
  const struct keydir_old *olds = iterator->olds.data;
  enum bitcask_status status = BITCASK_OK;
  for (size_t i = 0; i < iterator->olds.size / sizeof *olds; i++) {
    if (status == BITCASK_OK) status = pin(iterator, olds[i].segment);
    if (status == BITCASK_OK) status = add_stop(iterator, olds[i].segment, &olds[i].entry);
    segment_unref(olds[i].segment);
  }
  iterator->olds.size = 0;
  return status;
}

static int compare_stops(const void *left, const void *right) {
  const struct stop *a = left, *b = right;
  if (a->segment != b->segment)
    return a->segment->facts.id < b->segment->facts.id ? -1 : 1;
  return (a->offset > b->offset) - (a->offset < b->offset);
}

static enum bitcask_status load_shard(struct bitcask_iterator *iterator) {
  struct engine *engine = iterator->engine;
  drop_pins(iterator);
  iterator->stops.size = 0;
  iterator->next_stop = 0;
  /* Under the guard a merge cannot take away a segment between the copy and its pin. */
  guard_token token = guard_enter(&engine->guard);
  enum bitcask_status status =
      keydir_copy_shard(engine->keydir, iterator->next_shard, iterator->version,
                        &iterator->entries, &iterator->olds);
  if (status == BITCASK_OK) status = add_current(iterator);
  guard_leave(token);
  enum bitcask_status old_status = add_olds(iterator);
  if (status == BITCASK_OK) status = old_status;
  TRY(status);
  if (iterator->stops.size > 0)
    qsort(iterator->stops.data, iterator->stops.size / sizeof(struct stop), sizeof(struct stop),
          compare_stops);
  iterator->next_shard++;
  return BITCASK_OK;
}

/* ---- Reading a stop ---- */

static enum bitcask_status read_stop(struct bitcask_iterator *iterator, const struct stop *stop,
                                     struct record *record) {
  struct engine *engine = iterator->engine;
  struct located located = {.segment = stop->segment,
                            .entry = {.units = (uint32_t)(stop->size / 8),
                                      .at = place_make(0, stop->offset, 0)}};
  struct keydir_entry entry = located.entry;
  /* No key to compare with: an empty one makes the header be checked, and says "another". */
  enum bitcask_status status = engine_examine(engine, stop->segment, &entry, bytes_of(NULL, 0),
                                              &iterator->scratch, &located);
  if (status == BITCASK_ABSENT) status = BITCASK_OK;
  TRY(status);
  *record = located.record;
  if (iterator->keys_only || record->version > iterator->version) return BITCASK_OK;
  return engine_check_value(engine, &located);
}

static bool is_wanted(const struct bitcask_iterator *iterator, const struct record *record) {
  bitcask_bytes prefix = bytes_of(iterator->prefix.data, iterator->prefix.size);
  return record->version <= iterator->version && bytes_begin_with(record->key, prefix) &&
         !engine_has_expired(iterator->engine, record);
}

enum bitcask_status bitcask_iterator_next(struct bitcask_iterator *iterator, bitcask_bytes *key,
                                          bitcask_bytes *value, uint64_t *version) {
  TRY(engine_check_process(iterator->engine->process));
  for (;;) {
    while (iterator->next_stop * sizeof(struct stop) >= iterator->stops.size) {
      if (iterator->next_shard == KEYDIR_SHARDS) return BITCASK_ABSENT;
      TRY(load_shard(iterator));
    }
    const struct stop *stop = (struct stop *)iterator->stops.data + iterator->next_stop++;
    struct record record = {0};
    enum bitcask_status status = read_stop(iterator, stop, &record);
    if (status == BITCASK_CORRUPT)
      engine_report_damage(iterator->engine, stop->segment->facts.id, stop->offset, stop->size,
                           bitcask_error_text());
    if (status == BITCASK_CORRUPT && iterator->skip_damaged) continue;
    TRY(status);
    if (!is_wanted(iterator, &record)) continue;
    *key = record.key;
    if (value != NULL) *value = iterator->keys_only ? bytes_of(NULL, 0) : record.value;
    if (version != NULL) *version = record.version;
    return BITCASK_OK;
  }
}

void bitcask_iterator_close(struct bitcask_iterator *iterator) {
  if (iterator == NULL) return;
  bool is_ours = engine_check_process(iterator->engine->process) == BITCASK_OK;
  if (is_ours) drop_pins(iterator);
  bitcask_buffer_release(&iterator->prefix);
  bitcask_buffer_release(&iterator->entries);
  bitcask_buffer_release(&iterator->olds);
  bitcask_buffer_release(&iterator->pins);
  bitcask_buffer_release(&iterator->stops);
  bitcask_buffer_release(&iterator->scratch);
  /* In a forked child the locks may be held for ever, and the files are the parent's. */
  if (is_ours) snapshot_release(iterator->engine, iterator->version);
  if (is_ours) engine_unref(iterator->engine);
  memory_free(iterator);
}
