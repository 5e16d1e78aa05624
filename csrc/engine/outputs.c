#include "engine/outputs.h"

#include "base/mutant.h"
#include "engine/hints.h"

enum {
  WRITE_SIZE = 1 << 20, /* written by one call: no page fault, no mapping that others use */
  START_SIZE = 4 << 20  /* the disk is put to work at each so many bytes, not at the end alone */
};

static struct segment *current(struct outputs *outputs) {
  return outputs->count > 0 ? outputs->segments[outputs->count - 1] : NULL;
}

/* What was copied to the current output and stands in the buffer yet. */
static enum bitcask_status write_out(struct outputs *outputs) {
  bitcask_bytes records = bytes_of(outputs->buffer.data, outputs->buffer.size);
  if (records.size == 0) return BITCASK_OK;
  struct disk_file *file = current(outputs)->file;
  uint64_t before = disk_file_size(file);
  TRY(segment_append_encoded(current(outputs), records));
  outputs->buffer.size = 0;
  file->ops->have_at_hand(file, before, disk_file_size(file) - before);
  if (before / START_SIZE != disk_file_size(file) / START_SIZE) file->ops->start_sync(file);
  return BITCASK_OK;
}

static enum bitcask_status add(struct outputs *outputs, uint64_t record_size) {
  struct engine *engine = outputs->engine;
  TRY(write_out(outputs));
  TRY(buffer_reserve(&outputs->buffer, WRITE_SIZE));
  struct segment **segments =
      memory_resize(outputs->segments, outputs->count + 1, sizeof *segments);
  if (segments == NULL) return BITCASK_NOMEMORY;
  outputs->segments = segments;
  uint64_t capacity = engine->options.segment_size;
  if (capacity < HEADER_SIZE + record_size) capacity = HEADER_SIZE + record_size;
  struct segment *segment = NULL;
  TRY(segment_create(engine->disk, engine->directory, engine->manifest.store,
                     engine_next_id(engine), capacity, &segment));
  enum bitcask_status status = engine_take_slot(engine, segment);
  segment->obsolete_count = NULL;
  if (status != BITCASK_OK) {
    atomic_store(&segment->is_obsolete, true);
    segment_unref(segment);
    return status;
  }
  segments[outputs->count++] = segment;
  return BITCASK_OK;
}

enum bitcask_status outputs_append(struct outputs *outputs, const struct record *from,
                                   struct segment **into, uint64_t *offset) {
  struct record record = *from;
  /* Whatever batch it came with is whole and durable, or it would not be here. */
  record.flags &= (uint8_t)~RECORD_CONTINUES;
  uint64_t size = record_size_of(&record);
  struct segment *output = current(outputs);
  if (output == NULL || segment_length_with(output, size) > output->capacity) {
    TRY(add(outputs, size));
    output = current(outputs);
  }
  if (outputs->buffer.size + size > WRITE_SIZE) TRY(write_out(outputs));
  TRY(size > WRITE_SIZE ? segment_append(output, &record, 0, offset)
                        : segment_encode(output, &record, &outputs->buffer, offset));
  *into = output;
  outputs->bytes += size;
  return BITCASK_OK;
}

static enum bitcask_status finish_one(struct engine *engine, struct segment *segment) {
  TRY(segment->file->ops->finish(segment->file));
  enum bitcask_status status = BITCASK_OK;
  if (!MUTANT(OUTPUT_UNFLUSHED)) status = segment_sync(segment, segment->facts.length);
  if (status != BITCASK_OK) return engine_stop(engine, status);
  segment->facts.sealed_ms = engine->disk->ops->now_ms(engine->disk);
  atomic_store(&segment->is_sealed, true);
  segment->file->ops->freeze(segment->file);
  return BITCASK_OK;
}

enum bitcask_status outputs_finish(struct outputs *outputs) {
  struct engine *engine = outputs->engine;
  TRY(write_out(outputs));
  bitcask_buffer_release(&outputs->buffer);
  for (size_t i = 0; i < outputs->count; i++) TRY(finish_one(engine, outputs->segments[i]));
  if (outputs->count == 0 || MUTANT(OUTPUT_NAME_UNFLUSHED)) return BITCASK_OK;
  enum bitcask_status status = engine->directory->ops->sync(engine->directory);
  return status == BITCASK_OK ? status : engine_stop(engine, status);
}

static void forget(struct outputs *outputs) {
  memory_free(outputs->segments);
  outputs->segments = NULL;
  outputs->count = 0;
}

void outputs_adopt(struct outputs *outputs) {
  struct engine *engine = outputs->engine;
  for (size_t i = 0; i < outputs->count; i++) segment_ref(outputs->segments[i]);
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; i < outputs->count; i++) {
    outputs->segments[i]->obsolete_count = &engine->obsolete_count;
    engine_add_sealed(engine, outputs->segments[i]);
  }
  mutex_unlock(&engine->set_lock);
  for (size_t i = 0; i < outputs->count; i++) {
    engine_write_hint_later(engine, outputs->segments[i]);
    segment_unref(outputs->segments[i]);
  }
  forget(outputs);
}

void outputs_drop(struct outputs *outputs) {
  struct engine *engine = outputs->engine;
  for (size_t i = 0; i < outputs->count; i++) {
    struct segment *segment = outputs->segments[i];
    engine_drop_slot(engine, segment);
    /* After a failure of unknown outcome nothing is deleted. */
    atomic_store(&segment->is_obsolete, !atomic_load(&engine->is_stopped));
    segment_unref(segment);
  }
  bitcask_buffer_release(&outputs->buffer);
  outputs->bytes = 0;
  forget(outputs);
}
