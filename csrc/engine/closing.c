#include "engine/closing.h"

#include "engine/worker.h"

static void close_now(void *owner, void *context) {
  (void)owner;
  segment_dispose(context);
}

/* So much is free that nobody will miss what a few segments take for a moment. */
static bool has_room_to_spare(const struct engine *engine) {
  enum { SEGMENTS = 8 };
  struct disk_directory *directory = engine->directory;
  return !atomic_load(&engine->is_short_of_space) &&
         directory->ops->free_space(directory) / SEGMENTS > engine->options.segment_size;
}

void engine_unref_later(struct engine *engine, struct segment *segment) {
  enum { LARGE = 4 << 20 };
  bool is_large = segment->facts.length >= LARGE;
  if (!is_large || engine->flusher == NULL || !has_room_to_spare(engine)) {
    segment_unref(segment);
    return;
  }
  if (!segment_leave(segment)) return;
  if (!worker_add(engine->flusher, close_now, segment)) segment_dispose(segment);
}
