/*
 * The operations of a simulated disk: each is counted, meets the faults that were set, makes
 * its changes to the image, and is written down.
 *
 * Threads: each operation takes the lock; what is read through a mapping was written before
 * the length that covers it, as on any disk.
 */
#ifndef BITCASK_DISK_SIM_DISK_H
#define BITCASK_DISK_SIM_DISK_H

#include "base/thread.h"
#include "disk/disk.h"
#include "disk/sim_fault.h"
#include "disk/sim_history.h"

struct sim_options {
  uint64_t seed;
  uint64_t sector_size; /* bytes that a power cut writes as one */
  uint64_t space;       /* bytes that fit on it; 0: no limit */
  uint64_t allocation;  /* bytes allocated ahead at the least */
  bool is_unmapped;     /* no file is read through a mapping */
};

struct sim {
  struct disk base;
  struct mutex lock;
  atomic_uint references;
  struct sim_options options;
  struct sim_image image;
  struct sim_faults faults;
  struct sim_trace trace;
  struct sim_history *recorded; /* changes go there too; NULL: they do not */
  struct sim_history *played;   /* this one is being played; NULL: none */
  size_t position;              /* the step of `played` that comes next */
  uint64_t ops;
  uint64_t serial;              /* no two sims of a process share one */
  uint64_t random;
  uint32_t boot;
  bool *locked;                 /* by folder */
  size_t locked_count;
};

extern const struct disk_ops sim_disk_ops;

/* Allocations of this thread are not refused in between, and the sim is its own. */
void sim_lock(struct sim *sim) ACQUIRES(sim->lock);
void sim_unlock(struct sim *sim) RELEASES(sim->lock);

/* Make a change and record it; under the lock. */
enum bitcask_status sim_change(struct sim *sim, const struct sim_change *change);

struct sim *sim_ref(struct sim *sim);
void sim_unref(struct sim *sim); /* NULL is fine */

#endif
