#include "disk/disk.h"

#include <inttypes.h>

#include "base/mutant.h"

void disk_remove_quietly(struct disk_directory *directory, const char *name) {
  struct status_text cause = status_text_keep();
  directory->ops->remove(directory, name);
  status_text_restore(&cause);
}

void disk_file_close(struct disk_file *file) {
  if (file != NULL) file->ops->close(file);
}

enum bitcask_status disk_file_fetch(struct disk_file *file, uint64_t offset, size_t size,
                                    struct bitcask_buffer *scratch, const uint8_t **out) {
  if (file->map != NULL)
    return status_fail(BITCASK_CORRUPT, "%zu bytes at %" PRIu64 " lie behind the end at %" PRIu64,
                       size, offset, disk_file_size(file));
  scratch->size = 0;
  TRY(buffer_reserve(scratch, size));
  size_t got = 0;
  TRY(file->ops->read_at(file, offset, scratch->data, size, &got));
  if (got < size)
    return status_fail(BITCASK_CORRUPT, "%zu bytes at %" PRIu64 " are cut short after %zu", size,
                       offset, got);
  scratch->size = size;
  *out = scratch->data;
  return BITCASK_OK;
}

void disk_file_announce(struct disk_file *file, uint64_t offset, uint64_t end,
                        uint64_t *announced) {
  uint64_t from = *announced > offset ? *announced : offset;
  uint64_t to = end + DISK_AHEAD_SIZE;
  file->ops->will_read(file, from, to - from);
  *announced = to;
}

enum bitcask_status disk_read_whole(struct disk_directory *directory, const char *name,
                                    size_t limit, struct bitcask_buffer *into) {
  struct disk_file *file = NULL;
  TRY(directory->ops->open(directory, name, true, &file));
  uint64_t size = disk_file_size(file);
  enum bitcask_status status = BITCASK_OK;
  into->size = 0;
  if (size > limit)
    status = status_fail(BITCASK_CORRUPT, "%s: %" PRIu64 " bytes, which is more than %zu", name,
                         size, limit);
  if (status == BITCASK_OK) status = buffer_reserve(into, (size_t)size);
  size_t got = 0;
  if (status == BITCASK_OK && size > 0)
    status = file->ops->read_at(file, 0, into->data, (size_t)size, &got);
  into->size = got;
  disk_file_close(file);
  return status;
}

enum bitcask_status disk_replace(struct disk_directory *directory, const char *temporary,
                                 const char *name, bitcask_bytes bytes) {
  struct disk_file *file = NULL;
  /* Left behind by a crash, if it is there; its content never counted. */
  directory->ops->remove(directory, temporary);
  TRY(directory->ops->create(directory, temporary, 0, &file));
  enum bitcask_status status = file->ops->append(file, &bytes, 1, 0);
  if (status == BITCASK_OK && !MUTANT(CURRENT_UNFLUSHED)) status = file->ops->sync(file);
  disk_file_close(file);
  if (status == BITCASK_OK) status = directory->ops->rename(directory, temporary, name);
  return status;
}
