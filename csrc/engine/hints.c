#include "engine/hints.h"

#include "engine/worker.h"
#include "store/hint_file.h"

static void write_hint(void *owner, void *context) {
  struct engine *engine = owner;
  struct segment *segment = context;
  enum bitcask_status status = BITCASK_OK;
  bool is_wanted = !atomic_load(&segment->is_obsolete) &&
                   !atomic_load(&engine->is_short_of_space);
  if (is_wanted)
    status = hint_file_write(engine->disk, segment, engine->manifest.store);
  /* A hint file may be missing; damage in the segment is worth telling. */
  if (status == BITCASK_CORRUPT) {
    atomic_store(&segment->is_suspect, true);
    engine_report_damage(engine, segment->facts.id, 0, 0, bitcask_error_text());
  }
  segment_unref(segment);
}

void engine_write_hint_later(struct engine *engine, struct segment *segment) {
  segment_ref(segment);
  if (engine->worker == NULL || !worker_add(engine->worker, write_hint, segment))
    write_hint(engine, segment);
}
