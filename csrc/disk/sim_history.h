/*
 * What was done to a simulated disk: every operation in a line, for people; and, once it is
 * recorded, every change with its data, so that it can be made again, change by change.
 *
 * Threads: what is recorded may be played by several while nobody records.
 */
#ifndef BITCASK_DISK_SIM_HISTORY_H
#define BITCASK_DISK_SIM_HISTORY_H

#include <stdatomic.h>

#include "disk/sim_fault.h"
#include "disk/sim_image.h"

/* One operation, as the trace tells it. */
struct sim_entry {
  enum sim_op op;
  char name[SIM_NAME_SIZE];
  uint64_t offset; /* of appends and reads */
  uint64_t size;
  enum bitcask_status status;
};

struct sim_trace {
  struct sim_entry *all;
  size_t count;
};

/* Forgotten for want of memory: a trace is not what anything rests on. */
void sim_trace_add(struct sim_trace *trace, const struct sim_entry *entry);
void sim_trace_release(struct sim_trace *trace);

/* The lines, appended to *out. */
enum bitcask_status sim_trace_write(const struct sim_trace *trace, struct bitcask_buffer *out);

/* A change that was made, and the operation that made it. */
struct sim_step {
  struct sim_change change; /* owns its texts and data */
  uint64_t op;              /* number of the operation, from 1 */
};

struct sim_history {
  atomic_uint references;
  struct sim_image start; /* before the first step */
  uint64_t ops;           /* made before the first step */
  struct sim_step *steps;
  size_t count;
};

/* Begin with a copy of the image; NULL: no memory. */
struct sim_history *sim_history_new(const struct sim_image *image, uint64_t ops);
struct sim_history *sim_history_ref(struct sim_history *history);
void sim_history_unref(struct sim_history *history); /* NULL is fine */

enum bitcask_status sim_history_add(struct sim_history *history, const struct sim_change *change,
                                    uint64_t op);

#endif
