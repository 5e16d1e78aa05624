#include "engine/inputs.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/closing.h"
#include "engine/rotation.h"
#include "engine/settle.h"

/* ---- Choosing ---- */

static bool has_anything_to_drop(const struct segment *segment) {
  uint64_t live = atomic_load(&segment->live_bytes);
  uint64_t kept = atomic_load(&segment->kept_tombstone_bytes);
  return segment->facts.length - HEADER_SIZE > live + kept && !atomic_load(&segment->is_damaged);
}

static int compare_ids(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

/* What a plan names, rising; each once. */
struct named {
  uint64_t *ids; /* NULL: there is no plan */
  size_t count;
};

static bool is_named(const struct named *named, uint64_t id) {
  return named->count > 0 &&
         bsearch(&id, named->ids, named->count, sizeof id, compare_ids) != NULL;
}

static enum bitcask_status sort_named(const struct bitcask_merge_options *options,
                                      struct named *out) {
  size_t count = options->segment_count;
  *out = (struct named){0};
  if (options->segments == NULL) return BITCASK_OK;
  uint64_t *ids = memory_new(count * sizeof *ids);
  if (ids == NULL) return BITCASK_NOMEMORY;
  if (count > 0) {
    memcpy(ids, options->segments, count * sizeof *ids);
    qsort(ids, count, sizeof *ids, compare_ids);
  }
  *out = (struct named){ids, count};
  for (size_t i = 1; i < count; i++)
    if (ids[i] == ids[i - 1])
      return status_fail(BITCASK_INVALID, "the plan names segment %" PRIu64 " twice", ids[i]);
  return BITCASK_OK;
}

static bool is_chosen(const struct bitcask_merge_options *options, const struct named *named,
                      const struct segment *segment) {
  if (named->ids != NULL) return is_named(named, segment->facts.id);
  if (options->asks) return !atomic_load(&segment->is_damaged);
  return has_anything_to_drop(segment);
}

static bool is_found(const struct inputs *inputs, uint64_t id) {
  for (size_t i = 0; i < inputs->count; i++)
    if (inputs->items[i].segment->facts.id == id) return true;
  return false;
}

/* Fewer were found than are named. */
static enum bitcask_status refuse_plan(const struct inputs *inputs, const struct named *named) {
  size_t i = 0;
  while (is_found(inputs, named->ids[i])) i++;
  return status_fail(BITCASK_INVALID,
                     "the plan names segment %" PRIu64 ", which is not a sealed segment of the "
                     "store",
                     named->ids[i]);
}

static enum bitcask_status choose(struct inputs *inputs, struct engine *engine,
                                  const struct bitcask_merge_options *options,
                                  const struct named *named) REQUIRES(engine->set_lock) {
  inputs->items = memory_zeroed(engine->sealed_count + 1, sizeof *inputs->items);
  if (inputs->items == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < engine->sealed_count; i++) {
    struct segment *segment = engine->sealed[i];
    if (settle_is_full(engine, segment)) continue; /* since a moment ago */
    if (!is_chosen(options, named, segment)) continue;
    inputs->items[inputs->count++].segment = segment_ref(segment);
    segment->is_input = true;
  }
  return BITCASK_OK;
}

/* What was full by now shall be sealed in the manifest, too. Nobody who writes waits for that,
 * unless there is no room for the edit. */
static enum bitcask_status settle(struct engine *engine) {
  enum bitcask_status status = settle_full(engine, SETTLE_LATER);
  if (status != BITCASK_NOSPACE) return status;
  mutex_lock(&engine->write_lock);
  status = rotation_settle(engine);
  mutex_unlock(&engine->write_lock);
  return status;
}

enum bitcask_status inputs_choose(struct inputs *inputs, struct engine *engine,
                                  const struct bitcask_merge_options *options) {
  struct named named;
  *inputs = (struct inputs){.engine = engine};
  TRY(settle(engine));
  enum bitcask_status status = sort_named(options, &named);
  if (status == BITCASK_OK) {
    mutex_lock(&engine->write_lock);
    status = rotation_publish_pending(engine); /* what has no entry would be taken for dead */
    mutex_lock(&engine->set_lock);
    if (status == BITCASK_OK) status = choose(inputs, engine, options, &named);
    mutex_unlock(&engine->set_lock);
    mutex_unlock(&engine->write_lock);
  }
  if (status == BITCASK_OK && inputs->count < named.count) status = refuse_plan(inputs, &named);
  memory_free(named.ids);
  if (status != BITCASK_OK) inputs_release(inputs);
  return status;
}

uint64_t inputs_bytes(const struct inputs *inputs) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < inputs->count; i++)
    bytes += inputs->items[i].segment->facts.length - HEADER_SIZE;
  return bytes;
}

enum bitcask_status inputs_ref_others(struct inputs *inputs, struct bitcask_buffer *out) {
  struct engine *engine = inputs->engine;
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; status == BITCASK_OK && i < engine->sealed_count; i++) {
    struct segment *segment = engine->sealed[i];
    if (segment->is_input) continue;
    status = buffer_append(out, bytes_of(&segment, sizeof segment));
    if (status == BITCASK_OK) segment_ref(segment);
  }
  mutex_unlock(&engine->set_lock);
  return status;
}

/* ---- Letting go ---- */

static void let_go(struct inputs *inputs, struct segment *segment) {
  mutex_lock(&inputs->engine->set_lock);
  segment->is_input = false;
  mutex_unlock(&inputs->engine->set_lock);
  engine_unref_later(inputs->engine, segment);
}

void inputs_leave_out(struct inputs *inputs, size_t index) {
  let_go(inputs, inputs->items[index].segment);
  inputs->items[index] = inputs->items[--inputs->count];
}

static int compare_live_bytes(const void *left, const void *right) {
  uint64_t a = atomic_load(&((const struct input *)left)->segment->live_bytes);
  uint64_t b = atomic_load(&((const struct input *)right)->segment->live_bytes);
  return (a > b) - (a < b);
}

void inputs_leave_out_half(struct inputs *inputs) {
  if (inputs->count == 0) return;
  qsort(inputs->items, inputs->count, sizeof *inputs->items, compare_live_bytes);
  for (size_t kept = (inputs->count + 1) / 2; inputs->count > kept;)
    inputs_leave_out(inputs, inputs->count - 1);
}

void inputs_release(struct inputs *inputs) {
  while (inputs->count > 0) let_go(inputs, inputs->items[--inputs->count].segment);
  memory_free(inputs->items);
  inputs->items = NULL;
}

/* ---- Retiring ---- */

static void take_from_set(struct engine *engine) REQUIRES(engine->set_lock) {
  size_t kept = 0;
  for (size_t i = 0; i < engine->sealed_count; i++)
    if (!engine->sealed[i]->is_input) engine->sealed[kept++] = engine->sealed[i];
  engine->sealed_count = kept;
}

void inputs_retire(struct inputs *inputs) {
  struct engine *engine = inputs->engine;
  mutex_lock(&engine->set_lock);
  take_from_set(engine);
  engine->is_switching = false;
  mutex_unlock(&engine->set_lock);
  /* No entry leads to them any more; wait for readers who found one before, and for the
   * writer, who is behind the write lock instead of the guard. */
  guard_wait(&engine->guard);
  mutex_lock(&engine->write_lock);
  mutex_unlock(&engine->write_lock);
  for (size_t i = 0; i < inputs->count; i++) engine_clear_slot(engine, inputs->items[i].segment);
  /* Who looks at a slot without having found an entry has looked before it was empty. */
  guard_wait(&engine->guard);
  for (size_t i = 0; i < inputs->count; i++) {
    struct segment *segment = inputs->items[i].segment;
    atomic_fetch_add(&engine->obsolete_count, 1);
    atomic_store(&segment->is_obsolete, true);
    segment_unref(segment); /* the store's reference; the other is the merge's */
  }
  inputs_release(inputs);
}
