#include "engine/ahead.h"

#include "engine/worker.h"

enum {
  ALLOCATED_SIZE = 16 << 20, /* for large appends; what a killed process has left is read through */
  AHEAD_SIZE = 4 << 20, /* large values fill it in ten milliseconds, and a thread may come late */
  ASK_FRACTION = 4,     /* more is asked for when this part of it is used */
  AHEAD_SIZE_MIN = 64 << 10, /* less is not worth a thread */
  SELDOM_SIZE = 256 << 10    /* more than this between two flushes: they come seldom */
};

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t written(const struct engine *engine) {
  return atomic_load_explicit(&engine->counters.bytes_written, memory_order_relaxed);
}

/* How far a segment of so many bytes is prepared: `most` of what comes, no further than it will be
 * filled. */
static uint64_t end_for(const struct engine *engine, uint64_t length, uint64_t most) {
  uint64_t full = atomic_load_explicit(&engine->seal_size, memory_order_relaxed);
  if (length >= full) full = engine->options.segment_size; /* the next one is late */
  return smaller(length + smaller(most, written(engine) / 2), full);
}

static void make_ready(void *owner, void *context) {
  struct engine *engine = owner;
  struct segment *segment = context;
  struct disk_file *file = segment->file;
  atomic_store(&engine->is_ahead_queued, false);
  file->ops->make_ready(file, end_for(engine, disk_file_size(file), AHEAD_SIZE));
  segment_unref(segment);
}

/* What is flushed often is better made ready piece by piece by the appends themselves. */
static bool is_worth_asking(const struct engine *engine, const struct segment *active,
                            uint64_t end) {
  uint64_t length = active->facts.length;
  return engine->helper != NULL && end >= length + AHEAD_SIZE_MIN &&
         length - atomic_load_explicit(&active->synced_length, memory_order_relaxed) > SELDOM_SIZE;
}

void ahead_ask(struct engine *engine) {
  struct segment *active = engine->active;
  uint64_t length = active->facts.length, end = end_for(engine, length, AHEAD_SIZE);
  active->ahead_length = length + AHEAD_SIZE_MIN / 2;
  if (!is_worth_asking(engine, active, end)) return;
  if (atomic_exchange(&engine->is_ahead_queued, true)) return;
  segment_ref(active);
  if (worker_add(engine->helper, make_ready, active)) {
    active->ahead_length = length + (end - length) / ASK_FRACTION;
  } else {
    segment_unref(active);
    atomic_store(&engine->is_ahead_queued, false);
  }
}

/* Do most of the bytes come in appends that are written to the file itself? */
static bool has_large_appends(const struct engine *engine) {
  uint64_t records = atomic_load_explicit(&engine->counters.records_written, memory_order_relaxed);
  return written(engine) >= records * AHEAD_APPEND_MAX;
}

struct ahead_plan ahead_plan(const struct engine *engine, struct segment *segment) {
  struct ahead_plan plan = {0};
  uint64_t end = end_for(engine, HEADER_SIZE, AHEAD_SIZE);
  if (engine->helper == NULL || end < AHEAD_SIZE_MIN) return plan;
  if (!has_large_appends(engine)) {
    plan.ready = end;
    segment->ahead_length = end / ASK_FRACTION;
  } else if (engine_has_room_to_spare(engine)) {
    plan.allocated = end_for(engine, HEADER_SIZE, ALLOCATED_SIZE);
  }
  return plan;
}

void ahead_allocate(struct segment *segment, const struct ahead_plan *plan) {
  if (plan->allocated > 0) segment->file->ops->allocate(segment->file, plan->allocated);
}

void ahead_prepare(struct segment *segment, const struct ahead_plan *plan) {
  if (plan->ready > 0) segment->file->ops->make_ready(segment->file, plan->ready);
}
