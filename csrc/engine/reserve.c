#include "engine/reserve.h"

#include "format/filename.h"

enum { RESERVE_SIZE_MAX = 16 << 20 };

static uint64_t reserve_size(const struct engine *engine) {
  uint64_t size = engine->options.segment_size + ENGINE_HEADROOM;
  return size < RESERVE_SIZE_MAX ? size : RESERVE_SIZE_MAX;
}

void reserve_make(struct engine *engine) {
  struct disk_directory *directory = engine->directory;
  if (atomic_exchange(&engine->has_reserve, true)) return;
  enum bitcask_status status =
      directory->ops->reserve(directory, FILENAME_RESERVE, reserve_size(engine));
  atomic_store(&engine->has_reserve, status == BITCASK_OK || status == BITCASK_EXISTS);
}

bool reserve_spend(struct engine *engine) {
  if (!atomic_exchange(&engine->has_reserve, false)) return false;
  return engine->directory->ops->remove(engine->directory, FILENAME_RESERVE) == BITCASK_OK;
}
