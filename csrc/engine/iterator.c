#include "engine/iterator.h"

#include <stdio.h>

#include "engine/publish.h"
#include "engine/snapshot.h"
#include "engine/stops.h"
#include "engine/straight.h"

struct bitcask_iterator {
  struct engine *engine;
  uint64_t version;
  bool keys_only;
  bool skip_damaged;
  struct bitcask_buffer prefix;
  bool is_straight; /* through the segments, without stops */
  struct straight straight;
  struct stops stops;
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

/* Its snapshot is taken, or could not be. Stops need nothing yet, and are always possible. */
static enum bitcask_status start(struct bitcask_iterator *iterator, struct engine *engine,
                                 enum bitcask_status status, struct bitcask_iterator **out) {
  if (status != BITCASK_OK) {
    bitcask_buffer_release(&iterator->prefix);
    memory_free(iterator);
    return status;
  }
  iterator->is_straight =
      straight_begin(&iterator->straight, engine, iterator->keys_only) == BITCASK_OK;
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

/* ---- Reading a stop ---- */

/* Where to read next; *record is what stands there, if that is known already. */
static enum bitcask_status next_stop(struct bitcask_iterator *iterator, struct stop *stop,
                                     const struct record **record) {
  *record = NULL;
  if (iterator->is_straight) return straight_next(&iterator->straight, stop, record);
  return stops_next(&iterator->stops, iterator->engine, iterator->version, stop);
}

/* The record there: *record as it is, or what is found, in *found. */
static enum bitcask_status read_stop(struct bitcask_iterator *iterator, const struct stop *stop,
                                     struct located *found, const struct record **record) {
  if (*record == NULL) {
    TRY(engine_examine_at(stop->segment, stop->offset, &iterator->scratch, found));
    *record = &found->record;
  }
  if (iterator->keys_only || (*record)->version > iterator->version) return BITCASK_OK;
  return engine_check_value(iterator->engine, stop->segment, stop->offset, *record);
}

/* What is damaged: the record, or all that is no record up to the next one. */
static void report_damage(struct engine *engine, const struct stop *stop) {
  struct segment_scan scan;
  enum segment_scan_kind kind;
  char message[STATUS_TEXT_MAX];
  snprintf(message, sizeof message, "%s", bitcask_error_text());
  segment_scan_init(&scan, stop->segment, disk_file_size(stop->segment->file), true);
  scan.next = stop->offset;
  enum bitcask_status status = segment_scan_next(&scan, &kind);
  engine_report_damage(engine, stop->segment->facts.id, stop->offset,
                       status == BITCASK_OK ? scan.size : 0, message);
  segment_scan_release(&scan);
  status_fail(BITCASK_CORRUPT, "%s", message);
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
    struct stop stop;
    struct located found;
    const struct record *record = NULL;
    TRY(next_stop(iterator, &stop, &record));
    enum bitcask_status status = read_stop(iterator, &stop, &found, &record);
    if (status == BITCASK_CORRUPT) report_damage(iterator->engine, &stop);
    if (status == BITCASK_CORRUPT && iterator->skip_damaged) continue;
    TRY(status);
    if (!is_wanted(iterator, record)) continue;
    *key = record->key;
    if (value != NULL) *value = iterator->keys_only ? bytes_of(NULL, 0) : record->value;
    if (version != NULL) *version = record->version;
    return BITCASK_OK;
  }
}

void bitcask_iterator_close(struct bitcask_iterator *iterator) {
  if (iterator == NULL) return;
  bool is_ours = engine_check_process(iterator->engine->process) == BITCASK_OK;
  straight_release(&iterator->straight, is_ours);
  stops_release(&iterator->stops, is_ours);
  bitcask_buffer_release(&iterator->prefix);
  bitcask_buffer_release(&iterator->scratch);
  /* In a forked child the locks may be held for ever, and the files are the parent's. */
  if (is_ours) snapshot_release(iterator->engine, iterator->version);
  if (is_ours) engine_unref(iterator->engine);
  memory_free(iterator);
}
