#include "engine/settle.h"

#include "base/mutant.h"
#include "engine/flush.h"
#include "engine/hints.h"
#include "engine/reserve.h"
#include "engine/worker.h"

void settle_add(struct engine *engine, struct segment *segment) {
  engine->full[engine->full_count++] = segment; /* the list of sealed ones holds the reference */
}

bool settle_is_full(const struct engine *engine, const struct segment *segment) {
  for (size_t i = 0; i < engine->full_count; i++)
    if (engine->full[i] == segment) return true;
  return false;
}

/* Without a thread to settle them, one that is full is all there may be. */
static bool has_room(const struct engine *engine) REQUIRES(engine->set_lock) {
  uint64_t bytes = 0;
  if (engine->flusher == NULL) return engine->full_count == 0;
  for (size_t i = 0; i < engine->full_count; i++) bytes += engine->full[i]->facts.length;
  return engine->full_count < ENGINE_FULL_MAX &&
         bytes < ENGINE_FULL_TIMES * engine->options.segment_size;
}

/* A reference on the oldest; NULL: none is full, or there is room for one more and that is all
 * that is wanted. */
static struct segment *ref_oldest(struct engine *engine, enum settle_need need) {
  mutex_lock(&engine->set_lock);
  bool is_done = engine->full_count == 0 || (need == SETTLE_FOR_ROOM && has_room(engine));
  struct segment *oldest = is_done ? NULL : segment_ref(engine->full[0]);
  mutex_unlock(&engine->set_lock);
  return oldest;
}

static void remove_oldest(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  engine->full_count--;
  memmove(&engine->full[0], &engine->full[1], engine->full_count * sizeof engine->full[0]);
  mutex_unlock(&engine->set_lock);
}

static enum bitcask_status make_durable(struct engine *engine, struct segment *segment) {
  mutex_lock(&engine->flush_lock);
  enum bitcask_status status = engine_check_writable(engine);
  if (status == BITCASK_OK) status = segment->file->ops->finish(segment->file);
  if (status == BITCASK_OK && !MUTANT(SEAL_UNFLUSHED)) status = flush_segment(engine, segment);
  mutex_unlock(&engine->flush_lock);
  return status;
}

/* Unless somebody has to have it sealed, it can wait until there is room for the edit. */
static enum bitcask_status commit_sealed(struct engine *engine, const struct segment *segment,
                                         enum settle_need need) {
  struct bitcask_buffer items = {0};
  enum bitcask_status status = edit_append_facts(&items, EDIT_SEALED, &segment->facts);
  bitcask_bytes all = bytes_of(items.data, items.size);
  if (status == BITCASK_OK)
    status = need == SETTLE_ALL ? reserve_commit(engine, all) : engine_commit(engine, all);
  bitcask_buffer_release(&items);
  return status;
}

void settle_finish(struct engine *engine, struct segment *segment) {
  mutex_lock(&engine->flush_lock);
  segment->file->ops->freeze(segment->file);
  mutex_unlock(&engine->flush_lock);
  engine_write_hint_later(engine, segment);
}

/* The facts are read without a lock: nobody changes those of a full segment. */
static enum bitcask_status settle_oldest(struct engine *engine, struct segment *oldest,
                                         enum settle_need need) REQUIRES(engine->settle_lock) {
  TRY(make_durable(engine, oldest));
  TRY(commit_sealed(engine, oldest, need));
  settle_finish(engine, oldest);
  remove_oldest(engine);
  return BITCASK_OK;
}

static enum bitcask_status settle_one(struct engine *engine, enum settle_need need, bool *done)
    EXCLUDES(engine->settle_lock) {
  mutex_lock(&engine->settle_lock);
  struct segment *oldest = ref_oldest(engine, need);
  *done = oldest == NULL;
  enum bitcask_status status = *done ? BITCASK_OK : settle_oldest(engine, oldest, need);
  mutex_unlock(&engine->settle_lock);
  segment_unref(oldest);
  return status;
}

bool settle_has_room(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  bool result = has_room(engine);
  mutex_unlock(&engine->set_lock);
  return result;
}

static size_t count_full(struct engine *engine) {
  mutex_lock(&engine->set_lock);
  size_t count = engine->full_count;
  mutex_unlock(&engine->set_lock);
  return count;
}

bool settle_is_due(struct engine *engine) { return count_full(engine) > 0; }

/* Where there is room, nobody waits for the one that is being settled. Later, a writer beside us
 * may fill them as fast as we settle them. */
enum bitcask_status settle_full(struct engine *engine, enum settle_need need) {
  enum bitcask_status status = BITCASK_OK;
  if (need == SETTLE_FOR_ROOM && settle_has_room(engine)) return BITCASK_OK;
  size_t left = need == SETTLE_LATER ? count_full(engine) : SIZE_MAX;
  for (bool done = false; status == BITCASK_OK && !done && left > 0; left--)
    status = settle_one(engine, need, &done);
  return status;
}

/* One for each that has become full: between two of them there may be other work, and ticks. */
static void settle_in_background(void *owner, void *context) {
  struct engine *engine = owner;
  bool done = false;
  (void)context;
  enum bitcask_status status = settle_one(engine, SETTLE_LATER, &done);
  bool is_told_elsewhere = status == BITCASK_STOPPED || status == BITCASK_NOSPACE;
  if (status != BITCASK_OK && !is_told_elsewhere) engine_report_failure(engine, status);
}

/* Without memory for the job, or space, the writer settles it when he needs room. */
void settle_later(struct engine *engine) {
  if (engine->flusher != NULL) worker_add(engine->flusher, settle_in_background, NULL);
}
