#include "engine/successor.h"

#include "base/mutant.h"
#include "engine/ahead.h"
#include "engine/worker.h"

enum { PREPARED_SIZE_MIN = 4 << 20, PREPARED_FRACTION = 4 };

/* Let go of a segment that no manifest names, and remove its file. After a failed flush nothing
 * is deleted: the next open sweeps it. */
static void drop(struct engine *engine, struct segment *segment) {
  engine_drop_slot(engine, segment);
  segment->obsolete_count = NULL;
  atomic_store(&segment->is_obsolete, !atomic_load(&engine->is_stopped));
  segment_unref(segment);
}

static enum bitcask_status make(struct engine *engine, uint64_t record_size,
                                struct segment **out) {
  uint64_t largest = engine->options.segment_size;
  if (HEADER_SIZE + record_size > largest) largest = HEADER_SIZE + record_size;
  TRY(segment_create(engine->disk, engine->directory, engine->manifest.store,
                     engine_next_id(engine), largest + engine_headroom(engine), out));
  enum bitcask_status status = BITCASK_OK;
  if (!MUTANT(HEADER_UNFLUSHED)) status = segment_sync(*out, HEADER_SIZE);
  if (status == BITCASK_OK && !MUTANT(SEGMENT_NAME_UNFLUSHED))
    status = engine->directory->ops->sync(engine->directory);
  if (status == BITCASK_IO) engine_stop(engine, status);
  if (status == BITCASK_OK) status = engine_take_slot(engine, *out);
  if (status != BITCASK_OK) {
    drop(engine, *out);
    *out = NULL;
  }
  return status;
}

static enum bitcask_status name_it(struct engine *engine, struct segment *segment) {
  struct bitcask_buffer items = {0};
  const struct successor successor = {segment, NAMING_DUE};
  enum bitcask_status status = successor_name(&successor, &items);
  if (status == BITCASK_OK) status = engine_commit(engine, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  return status;
}

static struct segment *make_and_name(struct engine *engine) {
  struct segment *segment = NULL;
  if (engine_check_writable(engine) != BITCASK_OK) return NULL;
  if (make(engine, 0, &segment) != BITCASK_OK) return NULL;
  if (name_it(engine, segment) == BITCASK_OK) return segment;
  drop(engine, segment);
  return NULL;
}

/* A writer who waits for it has the write lock. */
static void deliver(struct engine *engine, struct segment *segment) {
  mutex_lock(&engine->delivery_lock);
  engine->delivery = segment;
  engine->is_delivered = true;
  condition_wake_all(&engine->delivered);
  mutex_unlock(&engine->delivery_lock);
}

/* In the background. Whoever needs the segment makes it himself where this has failed,
 * and tells. Appends may begin before it is ready for them, but not before its space is allocated:
 * they would wait for that in the file system. */
static void prepare(void *owner, void *context) {
  struct engine *engine = owner;
  (void)context;
  struct segment *segment = make_and_name(engine);
  struct ahead_plan plan = {0};
  if (segment != NULL) {
    plan = ahead_plan(engine, segment);
    ahead_allocate(segment, &plan);
    segment_ref(segment);
  }
  deliver(engine, segment);
  if (segment != NULL) ahead_prepare(segment, &plan);
  segment_unref(segment);
}

/* What has been delivered is the one that is prepared; `waits`: until it is. */
static void collect(struct engine *engine, bool waits) REQUIRES(engine->write_lock) {
  mutex_lock(&engine->delivery_lock);
  while (waits && !engine->is_delivered)
    condition_wait(&engine->delivered, &engine->delivery_lock);
  if (engine->is_delivered) {
    engine->prepared = engine->delivery;
    engine->has_prepare_failed = engine->delivery == NULL;
    engine->is_delivered = false;
  }
  mutex_unlock(&engine->delivery_lock);
}

/* The flusher may be at work for longer than it takes to fill the rest of a segment. */
static struct worker *maker(const struct engine *engine) {
  return engine->helper != NULL ? engine->helper : engine->flusher;
}

void successor_prepare(struct engine *engine) {
  uint64_t full = atomic_load_explicit(&engine->seal_size, memory_order_relaxed);
  if (maker(engine) == NULL || engine->is_prepare_asked || full < PREPARED_SIZE_MIN) return;
  if (engine->active->facts.length < full / PREPARED_FRACTION) return;
  engine->is_prepare_asked = worker_add(maker(engine), prepare, NULL);
}

static bool is_missing(const struct engine *engine) REQUIRES(engine->write_lock) {
  return engine->is_prepare_asked && engine->prepared == NULL && !engine->has_prepare_failed;
}

bool successor_is_under_way(struct engine *engine) {
  if (is_missing(engine)) collect(engine, false);
  return is_missing(engine);
}

struct segment *successor_prepared(struct engine *engine) {
  collect(engine, false);
  return engine->prepared;
}

/* One that is being made is there sooner than another would be, and that one would stand in its
 * way. Where no thread of its own makes it, its turn may be far off. */
static struct segment *wait_for_prepared(struct engine *engine) REQUIRES(engine->write_lock) {
  if (successor_is_under_way(engine) && engine->helper != NULL) collect(engine, true);
  return engine->prepared;
}

/* The manifest has it as open behind all others. */
static bool is_in_place(struct engine *engine, const struct segment *segment) {
  return atomic_load(&engine->newest_open) == segment->facts.id;
}

enum bitcask_status successor_take(struct engine *engine, uint64_t record_size,
                                   struct successor *out) {
  bool is_large = HEADER_SIZE + record_size > engine->options.segment_size;
  struct segment *prepared = is_large ? NULL : wait_for_prepared(engine);
  if (engine->has_prepare_failed) engine->is_prepare_asked = engine->has_prepare_failed = false;
  *out = (struct successor){.naming = NAMING_DUE};
  if (prepared == NULL) return make(engine, record_size, &out->segment);
  engine->prepared = NULL;
  engine->is_prepare_asked = false;
  out->segment = prepared;
  out->naming = is_in_place(engine, prepared) ? NAMING_DONE : NAMING_MISPLACED;
  return BITCASK_OK;
}

enum bitcask_status successor_name(const struct successor *successor,
                                   struct bitcask_buffer *items) {
  uint64_t id = successor->segment->facts.id;
  if (successor->naming == NAMING_DONE) return BITCASK_OK;
  if (successor->naming == NAMING_MISPLACED) TRY(edit_append_removed(items, id));
  return edit_append_open(items, id);
}

void successor_give_back(struct engine *engine, const struct successor *successor) {
  if (successor->segment == NULL) return;
  if (successor->naming == NAMING_DUE) {
    drop(engine, successor->segment);
    return;
  }
  engine->prepared = successor->segment;
  engine->is_prepare_asked = true;
}

void successor_drop_prepared(struct engine *engine) {
  struct segment *prepared = successor_prepared(engine);
  engine->prepared = NULL;
  engine->is_prepare_asked = false;
  if (prepared != NULL) drop(engine, prepared);
}
