#include "engine/reserve.h"

#include "format/filename.h"

enum { RESERVE_SIZE_MAX = 16 << 20 };

static uint64_t reserve_size(const struct engine *engine) {
  uint64_t size = engine->options.segment_size + ENGINE_HEADROOM;
  return size < RESERVE_SIZE_MAX ? size : RESERVE_SIZE_MAX;
}

void reserve_make(struct engine *engine) {
  struct disk_directory *directory = engine->directory;
  struct disk_file *file = NULL;
  uint64_t size = reserve_size(engine);
  if (atomic_exchange(&engine->has_reserve, true)) return;
  enum bitcask_status status =
      directory->ops->create(directory, FILENAME_RESERVE, size, &file);
  /* Nothing is appended, and room for all of it is asked for. */
  if (status == BITCASK_OK) status = file->ops->append(file, NULL, 0, (size_t)size);
  disk_file_close(file);
  if (status == BITCASK_OK || status == BITCASK_EXISTS) return;
  directory->ops->remove(directory, FILENAME_RESERVE);
  atomic_store(&engine->has_reserve, false);
}

bool reserve_spend(struct engine *engine) {
  if (!atomic_exchange(&engine->has_reserve, false)) return false;
  return engine->directory->ops->remove(engine->directory, FILENAME_RESERVE) == BITCASK_OK;
}
