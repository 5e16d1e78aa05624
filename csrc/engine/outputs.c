#include "engine/outputs.h"

#include "base/mutant.h"
#include "engine/worker.h"
#include "store/hint_file.h"

enum {
  WRITE_SIZE = 1 << 20, /* written by one call: no page fault, no mapping that others use */
  START_SIZE = 4 << 20  /* the disk is put to work at each so many bytes, not at the end alone */
};

static struct output *current(struct outputs *outputs) {
  return outputs->count > 0 ? &outputs->items[outputs->count - 1] : NULL;
}

/* What was copied to the current output and stands in the buffer yet. */
static enum bitcask_status write_out(struct outputs *outputs) {
  bitcask_bytes records = bytes_of(outputs->buffer.data, outputs->buffer.size);
  if (records.size == 0) return BITCASK_OK;
  struct disk_file *file = current(outputs)->segment->file;
  uint64_t before = disk_file_size(file);
  TRY(segment_append_encoded(current(outputs)->segment, records));
  outputs->buffer.size = 0;
  if (before / START_SIZE != disk_file_size(file) / START_SIZE) file->ops->start_sync(file);
  return BITCASK_OK;
}

static enum bitcask_status add(struct outputs *outputs, uint64_t record_size) {
  struct engine *engine = outputs->engine;
  TRY(write_out(outputs));
  TRY(buffer_reserve(&outputs->buffer, WRITE_SIZE));
  struct output *items = memory_resize(outputs->items, outputs->count + 1, sizeof *items);
  if (items == NULL) return BITCASK_NOMEMORY;
  outputs->items = items;
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
  items[outputs->count++] = (struct output){.segment = segment};
  return BITCASK_OK;
}

enum bitcask_status outputs_append(struct outputs *outputs, const struct record *from,
                                   struct segment **into, uint64_t *offset) {
  struct record record = *from;
  /* Whatever batch it came with is whole and durable, or it would not be here. */
  record.flags &= (uint8_t)~RECORD_CONTINUES;
  uint64_t size = record_size_of(&record);
  struct output *output = current(outputs);
  if (output == NULL || segment_length_with(output->segment, size) > output->segment->capacity) {
    TRY(add(outputs, size));
    output = current(outputs);
  }
  if (outputs->buffer.size + size > WRITE_SIZE) TRY(write_out(outputs));
  TRY(size > WRITE_SIZE ? segment_append(output->segment, &record, 0, offset)
                        : segment_encode(output->segment, &record, &outputs->buffer, offset));
  struct hint_entry entry = {.version = record.version,
                             .offset = *offset,
                             .size = size,
                             .expires = record.expires,
                             .key = record.key,
                             .flags = record.flags};
  *into = output->segment;
  outputs->bytes += size;
  return hint_append_entry(&output->hint, &entry);
}

static enum bitcask_status finish_one(struct engine *engine, struct output *output) {
  struct segment *segment = output->segment;
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
  for (size_t i = 0; i < outputs->count; i++) TRY(finish_one(engine, &outputs->items[i]));
  if (outputs->count == 0 || MUTANT(OUTPUT_NAME_UNFLUSHED)) return BITCASK_OK;
  enum bitcask_status status = engine->directory->ops->sync(engine->directory);
  return status == BITCASK_OK ? status : engine_stop(engine, status);
}

static void write_hint(void *owner, void *context) {
  struct engine *engine = owner;
  struct output *output = context;
  struct segment *segment = output->segment;
  bool is_wanted = !atomic_load(&segment->is_obsolete) && !atomic_load(&engine->is_short_of_space);
  /* Only a help at the next open; without it the segment itself is read. */
  if (is_wanted)
    hint_file_write_entries(engine->disk, engine->directory, engine->manifest.store,
                            &segment->facts, bytes_of(output->hint.data, output->hint.size));
  bitcask_buffer_release(&output->hint);
  segment_unref(segment);
}

static void write_hint_and_free(void *owner, void *context) {
  write_hint(owner, context);
  memory_free(context);
}

/* The merge need not wait for it, nor those who wait for the merge. */
static void write_hint_later(struct engine *engine, struct output *output) {
  struct output *later = engine->worker == NULL ? NULL : memory_new(sizeof *later);
  segment_ref(output->segment);
  if (later != NULL) {
    *later = *output;
    if (worker_add(engine->worker, write_hint_and_free, later)) return;
    memory_free(later);
  }
  write_hint(engine, output);
}

void outputs_adopt(struct outputs *outputs) {
  struct engine *engine = outputs->engine;
  for (size_t i = 0; i < outputs->count; i++) write_hint_later(engine, &outputs->items[i]);
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; i < outputs->count; i++) {
    outputs->items[i].segment->obsolete_count = &engine->obsolete_count;
    engine_add_sealed(engine, outputs->items[i].segment);
  }
  mutex_unlock(&engine->set_lock);
  memory_free(outputs->items);
  outputs->items = NULL;
  outputs->count = 0;
}

void outputs_drop(struct outputs *outputs) {
  struct engine *engine = outputs->engine;
  for (size_t i = 0; i < outputs->count; i++) {
    struct output *output = &outputs->items[i];
    bitcask_buffer_release(&output->hint);
    engine_drop_slot(engine, output->segment);
    /* After a failure of unknown outcome nothing is deleted. */
    atomic_store(&output->segment->is_obsolete, !atomic_load(&engine->is_stopped));
    segment_unref(output->segment);
  }
  memory_free(outputs->items);
  bitcask_buffer_release(&outputs->buffer);
  outputs->items = NULL;
  outputs->count = 0;
  outputs->bytes = 0;
}
