#include "store/checkpoint.h"

#include "base/checksum.h"
#include "format/filename.h"

_Static_assert(sizeof(struct keydir_entry) == CHECKPOINT_SLOT_SIZE,
               "slots are written as they are");
_Static_assert((int)KEYDIR_SHARDS == (int)CHECKPOINT_SHARDS, "a row for each shard");

/* Flushed in steps, so that no other flush waits behind a long one. */
enum { WRITE_STEP = 256 << 10, SYNC_STEP = 16 << 20 };

/* ---- Writing ---- */

static enum bitcask_status write_out(struct checkpoint_writer *writer) {
  bitcask_bytes bytes = bytes_of(writer->unwritten.data, writer->unwritten.size);
  if (bytes.size == 0) return BITCASK_OK;
  TRY(writer->file->ops->append(writer->file, &bytes, 1, 0));
  writer->unwritten.size = 0;
  writer->unsynced += bytes.size;
  if (writer->unsynced < SYNC_STEP) return BITCASK_OK;
  writer->unsynced = 0;
  return writer->file->ops->sync(writer->file);
}

static enum bitcask_status append(struct checkpoint_writer *writer, bitcask_bytes bytes) {
  TRY(buffer_append(&writer->unwritten, bytes));
  return writer->unwritten.size < WRITE_STEP ? BITCASK_OK : write_out(writer);
}

static enum bitcask_status write_header(struct checkpoint_writer *writer, struct disk *disk,
                                        store_identity store, uint64_t taken_ms) {
  uint8_t bytes[HEADER_SIZE];
  struct header header = {.kind = HEADER_CHECKPOINT, .store = store, .created_ms = taken_ms};
  /* 0 would say that none counts. */
  while (header.salt == 0) TRY(disk->ops->random(disk, &header.salt, sizeof header.salt));
  writer->salt = header.salt;
  header_encode(&header, bytes);
  return append(writer, bytes_of(bytes, sizeof bytes));
}

enum bitcask_status checkpoint_begin(struct disk *disk, struct disk_directory *directory,
                                     store_identity store, uint64_t taken_ms,
                                     struct checkpoint_writer **out) {
  struct checkpoint_writer *writer = memory_zeroed(1, sizeof *writer);
  if (writer == NULL) return BITCASK_NOMEMORY;
  writer->directory = directory;
  writer->index.items = CHECKPOINT_NO_ITEMS;
  /* Left behind by a crash, if it is there; its content never counted. */
  directory->ops->remove(directory, FILENAME_CHECKPOINT_TEMPORARY);
  enum bitcask_status status =
      directory->ops->create(directory, FILENAME_CHECKPOINT_TEMPORARY, 0, &writer->file);
  if (status == BITCASK_OK) status = write_header(writer, disk, store, taken_ms);
  if (status != BITCASK_OK) {
    checkpoint_end(writer);
    return status;
  }
  *out = writer;
  return BITCASK_OK;
}

/* Write bytes at the next place where slots or items may begin. */
static enum bitcask_status append_aligned(struct checkpoint_writer *writer, bitcask_bytes bytes,
                                          uint64_t *offset) {
  static const uint8_t zeros[CHECKPOINT_ALIGNMENT];
  uint64_t end = disk_file_size(writer->file) + writer->unwritten.size;
  size_t missing = (size_t)(-end % CHECKPOINT_ALIGNMENT);
  *offset = end + missing;
  TRY(append(writer, bytes_of(zeros, missing)));
  return append(writer, bytes);
}

enum bitcask_status checkpoint_add_shard(struct checkpoint_writer *writer,
                                         const struct keydir_table *table) {
  struct checkpoint_shard *row = &writer->index.shards[writer->next_shard++];
  size_t slots = (size_t)table->homes + table->tail;
  bitcask_bytes bytes = bytes_of(table->slots, slots * sizeof *table->slots);
  *row = (struct checkpoint_shard){.homes = table->homes,
                                   .tail = table->tail,
                                   .count = table->count,
                                   .used_end = table->used_end,
                                   .check = checksum64(bytes.data, bytes.size, writer->salt)};
  return append_aligned(writer, bytes, &row->offset);
}

enum bitcask_status checkpoint_add_items(struct checkpoint_writer *writer, const void *items,
                                         size_t count) {
  bitcask_bytes bytes = bytes_of(items, count * CHECKPOINT_ITEM_SIZE);
  writer->index.items = count;
  writer->index.items_check = checksum64(bytes.data, bytes.size, writer->salt);
  return append_aligned(writer, bytes, &writer->index.items_offset);
}

enum bitcask_status checkpoint_finish(struct checkpoint_writer *writer) {
  struct disk_directory *directory = writer->directory;
  struct bitcask_buffer index = {0};
  enum bitcask_status status = checkpoint_encode_index(&writer->index, writer->salt, &index);
  if (status == BITCASK_OK) status = append(writer, bytes_of(index.data, index.size));
  bitcask_buffer_release(&index);
  if (status == BITCASK_OK) status = write_out(writer);
  if (status == BITCASK_OK) status = writer->file->ops->sync(writer->file);
  if (status == BITCASK_OK)
    status = directory->ops->rename(directory, FILENAME_CHECKPOINT_TEMPORARY, FILENAME_CHECKPOINT);
  if (status == BITCASK_OK) {
    disk_file_close(writer->file);
    writer->file = NULL;
  }
  return status;
}

void checkpoint_end(struct checkpoint_writer *writer) {
  if (writer == NULL) return;
  if (writer->file != NULL) {
    disk_file_close(writer->file);
    disk_remove_quietly(writer->directory, FILENAME_CHECKPOINT_TEMPORARY);
  }
  checkpoint_index_release(&writer->index);
  bitcask_buffer_release(&writer->unwritten);
  memory_free(writer);
}

/* ---- Reading ---- */

static enum bitcask_status have_bytes(struct checkpoint_file *file) {
  uint64_t size = disk_file_size(file->file);
  file->bytes = (uint8_t *)(uintptr_t)file->file->map;
  if (file->bytes != NULL) return BITCASK_OK;
  size_t got = 0;
  TRY(buffer_reserve(&file->whole, (size_t)size));
  TRY(file->file->ops->read_at(file->file, 0, file->whole.data, (size_t)size, &got));
  if (got < size) return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": is cut short");
  file->bytes = file->whole.data;
  return BITCASK_OK;
}

static enum bitcask_status check_header(struct checkpoint_file *file, store_identity store,
                                        uint64_t salt) {
  struct header header;
  TRY(header_decode(file->bytes, (size_t)disk_file_size(file->file), HEADER_CHECKPOINT,
                    FILENAME_CHECKPOINT, &header));
  if (!store_identity_equal(header.store, store))
    return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": belongs to another store");
  if (header.salt != salt)
    return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": is not the one that counts");
  file->salt = salt;
  file->taken_ms = header.created_ms;
  return BITCASK_OK;
}

static enum bitcask_status read_index(struct checkpoint_file *file) {
  uint64_t size = disk_file_size(file->file), index_size = 0;
  const uint8_t *end = file->bytes + size;
  if (size < HEADER_SIZE + CHECKPOINT_TRAILER_SIZE ||
      !checkpoint_index_size(end - CHECKPOINT_TRAILER_SIZE, size, &index_size))
    return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": is cut short");
  size_t all = (size_t)index_size + CHECKPOINT_TRAILER_SIZE;
  return checkpoint_decode_index(bytes_of(end - all, all), file->salt, size, FILENAME_CHECKPOINT,
                                 &file->index);
}

enum bitcask_status checkpoint_open(struct disk_directory *directory, store_identity store,
                                    uint64_t salt, struct checkpoint_file **out) {
  if (!CHECKPOINT_IS_SUPPORTED)
    return status_fail(BITCASK_NOTFOUND, FILENAME_CHECKPOINT ": not for this machine");
  struct checkpoint_file *file = memory_zeroed(1, sizeof *file);
  if (file == NULL) return BITCASK_NOMEMORY;
  enum bitcask_status status =
      directory->ops->open_private(directory, FILENAME_CHECKPOINT, &file->file);
  if (status == BITCASK_OK) status = have_bytes(file);
  if (status == BITCASK_OK) status = check_header(file, store, salt);
  if (status == BITCASK_OK) status = read_index(file);
  if (status != BITCASK_OK) {
    checkpoint_close(file);
    return status;
  }
  *out = file;
  return BITCASK_OK;
}

enum bitcask_status checkpoint_table(struct checkpoint_file *file, unsigned shard,
                                     struct keydir_table *out) {
  const struct checkpoint_shard *row = &file->index.shards[shard];
  size_t size = ((size_t)row->homes + row->tail) * sizeof *out->slots;
  *out = (struct keydir_table){.slots = (struct keydir_entry *)(file->bytes + row->offset),
                               .homes = row->homes,
                               .tail = row->tail,
                               .count = row->count,
                               .used_end = row->used_end};
  if (checksum64(out->slots, size, file->salt) == row->check && keydir_table_is_sound(out))
    return BITCASK_OK;
  return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": shard %u fails its check", shard);
}

enum bitcask_status checkpoint_items(const struct checkpoint_file *file, bitcask_bytes *out) {
  const struct checkpoint_index *index = &file->index;
  *out = bytes_of(file->bytes + index->items_offset,
                  (size_t)index->items * CHECKPOINT_ITEM_SIZE);
  if (checksum64(out->data, out->size, file->salt) == index->items_check) return BITCASK_OK;
  return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": what expires fails its check");
}

void checkpoint_forget(struct checkpoint_file *file, unsigned shard) {
  const struct checkpoint_shard *row = &file->index.shards[shard];
  uint64_t size = ((uint64_t)row->homes + row->tail) * sizeof(struct keydir_entry);
  file->file->ops->forget(file->file, row->offset, size);
}

void checkpoint_forget_all(struct checkpoint_file *file) {
  file->file->ops->forget(file->file, 0, disk_file_size(file->file));
}

void checkpoint_close(struct checkpoint_file *file) {
  if (file == NULL) return;
  checkpoint_index_release(&file->index);
  bitcask_buffer_release(&file->whole);
  disk_file_close(file->file);
  memory_free(file);
}
