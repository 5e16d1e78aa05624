/*
 * The machine that a simulated disk stands in: what the disk holds, the faults that it will
 * meet, what was done so far; and the frame of every operation, which is counted, meets the
 * faults that were set, and is written down.
 *
 *   begin ── changes to the image, recorded if that was asked for ── end
 *
 * Threads: sim_begin takes the lock, and sim_end, or what ends in it, gives it back.
 */
#ifndef BITCASK_DISK_SIM_MACHINE_H
#define BITCASK_DISK_SIM_MACHINE_H

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

struct sim *sim_ref(struct sim *sim);
void sim_unref(struct sim *sim); /* NULL is fine */

/* Allocations of this thread are not refused in between, and the sim is its own. */
void sim_lock(struct sim *sim) ACQUIRES(sim->lock);
void sim_unlock(struct sim *sim) RELEASES(sim->lock);

/* Make a change and record it; under the lock. */
enum bitcask_status sim_change(struct sim *sim, const struct sim_change *change);

/* Whether so many more bytes fit; under the lock. */
bool sim_has_space(const struct sim *sim, uint64_t more);

/* ---- Operations ---- */

/* One operation, from when the disk begins it until sim_end. */
struct sim_operation {
  struct sim *sim;
  const struct sim_fault *fault; /* how it is to fail, or NULL */
  struct sim_entry entry;
};

struct sim_operation sim_begin(struct sim *sim, enum sim_op op, const char *name);
enum bitcask_status sim_end(struct sim_operation *operation, enum bitcask_status status);

/* Whether the fault keeps the operation from being done. */
bool sim_prevents(const struct sim_operation *operation);

/* The failure that the fault makes. */
enum bitcask_status sim_failure(const struct sim_operation *operation);

/* End an operation that was done, or could not be. */
enum bitcask_status sim_finish(struct sim_operation *operation, enum bitcask_status status);

/* End an operation that nobody could do. */
enum bitcask_status sim_refuse(struct sim_operation *operation, enum bitcask_status status,
                               const char *why);

#endif
