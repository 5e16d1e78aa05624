#include "disk/sim_history.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- For people ---- */

void sim_trace_add(struct sim_trace *trace, const struct sim_entry *entry) {
  bool is_full = (trace->count & (trace->count - 1)) == 0; /* at powers of two, and none */
  if (is_full) {
    size_t capacity = trace->count > 0 ? trace->count * 2 : 1;
    struct sim_entry *all = memory_resize(trace->all, capacity, sizeof *all);
    if (all == NULL) return;
    trace->all = all;
  }
  trace->all[trace->count++] = *entry;
}

void sim_trace_release(struct sim_trace *trace) { memory_free(trace->all); }

static bool moves_bytes(enum sim_op op) {
  return op == SIM_OP_APPEND || op == SIM_OP_READ || op == SIM_OP_WRITE_AT;
}

static int write_line(char *text, size_t size, size_t number, const struct sim_entry *entry) {
  int length = snprintf(text, size, "%6zu  %-14s %s", number, sim_op_name(entry->op), entry->name);
  if (moves_bytes(entry->op))
    length += snprintf(text + length, size - (size_t)length, " %" PRIu64 " bytes at %" PRIu64,
                       entry->size, entry->offset);
  if (entry->op == SIM_OP_CUT)
    length += snprintf(text + length, size - (size_t)length, " to %" PRIu64 " bytes",
                       entry->offset);
  if (entry->status != BITCASK_OK)
    length += snprintf(text + length, size - (size_t)length, ": %s",
                       bitcask_status_name(entry->status));
  return length + snprintf(text + length, size - (size_t)length, "\n");
}

enum bitcask_status sim_trace_write(const struct sim_trace *trace, struct bitcask_buffer *out) {
  char text[256];
  for (size_t i = 0; i < trace->count; i++) {
    int length = write_line(text, sizeof text, i + 1, &trace->all[i]);
    TRY(buffer_append(out, bytes_of(text, (size_t)length)));
  }
  return BITCASK_OK;
}

/* ---- To be made again ---- */

struct sim_history *sim_history_new(const struct sim_image *image, uint64_t ops) {
  struct sim_history *history = memory_zeroed(1, sizeof *history);
  if (history == NULL) return NULL;
  if (sim_image_copy(image, &history->start) != BITCASK_OK) {
    memory_free(history);
    return NULL;
  }
  history->ops = ops;
  atomic_init(&history->references, 1);
  return history;
}

struct sim_history *sim_history_ref(struct sim_history *history) {
  atomic_fetch_add(&history->references, 1);
  return history;
}

static void step_release(struct sim_step *step) {
  memory_free((void *)(uintptr_t)step->change.name);
  memory_free((void *)(uintptr_t)step->change.to);
  memory_free((void *)(uintptr_t)step->change.data);
}

void sim_history_unref(struct sim_history *history) {
  if (history == NULL || atomic_fetch_sub(&history->references, 1) != 1) return;
  for (size_t i = 0; i < history->count; i++) step_release(&history->steps[i]);
  memory_free(history->steps);
  sim_image_release(&history->start);
  memory_free(history);
}

/* Replace what is borrowed in the step by copies; false: no memory. */
static bool own(struct sim_step *step) {
  struct sim_change *change = &step->change;
  const char *name = change->name, *to = change->to;
  const uint8_t *data = change->data;
  uint8_t *copy = data != NULL ? memory_new((size_t)change->size) : NULL;
  if (copy != NULL) memcpy(copy, data, (size_t)change->size);
  change->name = name != NULL ? memory_string(name) : NULL;
  change->to = to != NULL ? memory_string(to) : NULL;
  change->data = copy;
  return (name == NULL || change->name != NULL) && (to == NULL || change->to != NULL) &&
         (data == NULL || copy != NULL);
}

enum bitcask_status sim_history_add(struct sim_history *history, const struct sim_change *change,
                                    uint64_t op) {
  struct sim_step *steps = memory_resize(history->steps, history->count + 1, sizeof *steps);
  if (steps == NULL) return BITCASK_NOMEMORY;
  history->steps = steps;
  struct sim_step *step = &steps[history->count];
  *step = (struct sim_step){*change, op};
  if (!own(step)) {
    step_release(step);
    return BITCASK_NOMEMORY;
  }
  history->count++;
  return BITCASK_OK;
}
