#include "engine/reserve.h"

#include "format/filename.h"

/* Room for a manifest at the least, and never more than a small part of a large segment. */
enum { RESERVE_SIZE_MIN = 64 << 10, RESERVE_SIZE_MAX = 16 << 20 };

static const char *const names[RESERVE_KINDS] = {FILENAME_RESERVE, FILENAME_RESERVE_EDIT};

static uint64_t size_of(const struct engine *engine, enum reserve_kind kind) {
  uint64_t size = engine->options.segment_size + ENGINE_HEADROOM;
  if (kind == RESERVE_EDIT || size < RESERVE_SIZE_MIN) return RESERVE_SIZE_MIN;
  return size < RESERVE_SIZE_MAX ? size : RESERVE_SIZE_MAX;
}

static void make_one(struct engine *engine, enum reserve_kind kind) {
  struct disk_directory *directory = engine->directory;
  if (atomic_exchange(&engine->has_reserve[kind], true)) return;
  enum bitcask_status status =
      directory->ops->reserve(directory, names[kind], size_of(engine, kind));
  atomic_store(&engine->has_reserve[kind], status == BITCASK_OK || status == BITCASK_EXISTS);
  /* Where the file system cannot hold space at all, that says nothing of how much there is. */
  atomic_store(&engine->is_short_of_space, status == BITCASK_NOSPACE);
}

void reserve_make(struct engine *engine) {
  make_one(engine, RESERVE_EDIT);
  make_one(engine, RESERVE_WORK);
}

static bool give_up(struct engine *engine, enum reserve_kind kind) {
  if (!atomic_exchange(&engine->has_reserve[kind], false)) return false;
  return engine->directory->ops->remove(engine->directory, names[kind]) == BITCASK_OK;
}

bool reserve_spend(struct engine *engine, enum reserve_kind kind) {
  atomic_store(&engine->is_short_of_space, true);
  return give_up(engine, kind);
}

void reserve_drop(struct engine *engine) {
  give_up(engine, RESERVE_WORK);
  give_up(engine, RESERVE_EDIT);
}

enum bitcask_status reserve_commit(struct engine *engine, bitcask_bytes items) {
  enum bitcask_status status = engine_commit(engine, items);
  if (status != BITCASK_NOSPACE || !reserve_spend(engine, RESERVE_EDIT)) return status;
  return engine_commit(engine, items);
}
