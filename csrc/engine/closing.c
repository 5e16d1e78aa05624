#include "engine/closing.h"

#include "engine/worker.h"

static void add_leaving(struct engine *engine, struct segment *segment) {
  mutex_lock(&engine->set_lock);
  segment->next_leaving = engine->leaving;
  engine->leaving = segment;
  mutex_unlock(&engine->set_lock);
}

static struct segment *take_leaving(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  struct segment *segment = engine->leaving;
  if (segment != NULL) engine->leaving = segment->next_leaving;
  mutex_unlock(&engine->set_lock);
  return segment;
}

/* One that waits, unless somebody else has closed it. */
static void close_one(void *owner, void *context) {
  struct engine *engine = owner;
  (void)context;
  mutex_lock(&engine->closing_lock);
  struct segment *segment = take_leaving(engine);
  if (segment != NULL) segment_dispose(segment);
  mutex_unlock(&engine->closing_lock);
}

void engine_unref_later(struct engine *engine, struct segment *segment) {
  enum { LARGE = 4 << 20 };
  bool is_large = segment->facts.length >= LARGE;
  if (!is_large || engine->worker == NULL || !engine_has_room_to_spare(engine)) {
    segment_unref(segment);
    return;
  }
  if (!segment_leave(segment)) return;
  add_leaving(engine, segment);
  if (!worker_add(engine->worker, close_one, NULL)) close_one(engine, NULL);
}

bool engine_finish_closing(struct engine *engine) {
  struct segment *segment;
  bool was_any = false;
  mutex_lock(&engine->closing_lock); /* the one that the worker has begun is closed by then, too */
  for (; (segment = take_leaving(engine)) != NULL; was_any = true) segment_dispose(segment);
  mutex_unlock(&engine->closing_lock);
  return was_any;
}
