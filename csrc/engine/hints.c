#include "engine/hints.h"

#include "engine/worker.h"
#include "store/hint_file.h"

static void write_hint(struct engine *engine, struct segment *segment) {
  enum bitcask_status status = BITCASK_OK;
  bool is_wanted = !atomic_load(&segment->is_obsolete) &&
                   !atomic_load(&engine->is_short_of_space);
  if (is_wanted)
    status = hint_file_write(engine->disk, segment, engine->manifest.store);
  /* A hint file may be missing; damage in the segment is worth telling. */
  if (status != BITCASK_CORRUPT) return;
  atomic_store(&segment->is_suspect, true);
  engine_report_damage(engine, segment->facts.id, 0, 0, bitcask_error_text());
}

/* A reference on the sealed segment of this id; NULL: a merge has replaced it. */
static struct segment *ref_sealed(struct engine *engine, uint64_t id) {
  struct segment *found = NULL;
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; found == NULL && i < engine->sealed_count; i++)
    if (engine->sealed[i]->facts.id == id) found = segment_ref(engine->sealed[i]);
  mutex_unlock(&engine->set_lock);
  return found;
}

/* Its turn may come late: a segment that is replaced before is not to take space until then, and
 * so it is known by its id alone. */
static void write_hint_of(void *owner, void *context) {
  struct engine *engine = owner;
  struct segment *segment = ref_sealed(engine, (uint64_t)(uintptr_t)context);
  if (segment != NULL) write_hint(engine, segment);
  segment_unref(segment);
}

void engine_write_hint_later(struct engine *engine, struct segment *segment) {
  void *id = (void *)(uintptr_t)segment->facts.id; /* where that is too short, it finds none */
  if (engine->hinter == NULL || !worker_add(engine->hinter, write_hint_of, id))
    write_hint(engine, segment);
}
