/*
 * A simulated disk: a disk (disk/disk.h) in memory on which the engine runs unchanged, and
 * of which can be asked what a power cut, or the death of the process, would leave.
 *
 *   sim ── run the engine on it, recording ──> history
 *   history ── sim_replay, sim_step ──> a sim as it was after each change
 *   that ── sim_cut, sim_cut_next, sim_survivor ──> sims as a power cut can leave it
 *
 * It allocates space ahead, in powers of two, and lets files be read through mappings, as the
 * real one does. Its clock stands still unless it is moved, and its random bytes follow from
 * the seed: the same program meets the same disk.
 *
 * Threads: safe, as any disk. Replaying, cutting and damaging are for one thread at a time,
 * with no engine running on that sim.
 */
#ifndef BITCASK_DISK_SIM_H
#define BITCASK_DISK_SIM_H

#include "disk/sim_cut.h"
#include "disk/sim_disk.h"

/* Seed 1, sectors of 512 bytes, no limit, 1 KiB ahead, mappings. */
void sim_options_default(struct sim_options *out);

/* A new empty disk with one reference. */
enum bitcask_status sim_new(const struct sim_options *options, struct sim **out);

/* The disk to open stores on; the sim has to outlive them. */
struct disk *sim_disk(struct sim *sim);

/* An independent copy as another machine would have it, without faults and locks. */
enum bitcask_status sim_copy(struct sim *sim, struct sim **out);

uint64_t sim_ops(struct sim *sim); /* operations so far */
enum bitcask_status sim_fail(struct sim *sim, const struct sim_fault *fault);
void sim_heal(struct sim *sim); /* no more faults */
enum bitcask_status sim_advance(struct sim *sim, int64_t milliseconds); /* the clock */
enum bitcask_status sim_write_trace(struct sim *sim, struct bitcask_buffer *out);
uint64_t sim_fingerprint(struct sim *sim);

/* Forget what was recorded before, and record every change from now on. */
enum bitcask_status sim_record(struct sim *sim);

/* How many changes were recorded so far. */
uint64_t sim_recorded(struct sim *sim);

/* A disk as it was when recording began, on which sim_step makes the recorded changes. */
enum bitcask_status sim_replay(struct sim *sim, struct sim **out);

/* Make the next recorded change; ABSENT behind the last one. *op gets the number of
 * operations that had begun. */
enum bitcask_status sim_step(struct sim *sim, uint64_t *op);

/* What is left when the process dies at this moment: all that was written, as long as the
 * machine runs. `torn`: of the write that comes next when replaying, that many bytes;
 * ABSENT where that is none, or has no more bytes. */
enum bitcask_status sim_kill(struct sim *sim, uint64_t torn, struct sim **out);

/* The states that a power cut at this moment can leave; see disk/sim_cut.h. The sim must not
 * change while they are made. */
enum bitcask_status sim_cut(struct sim *sim, uint64_t limit, uint64_t seed,
                            struct sim_cut **out);

/* A disk that holds the image, whose contents it takes over, after the machine has started
 * anew. */
enum bitcask_status sim_survivor(struct sim *sim, struct sim_image *image, struct sim **out);

/* ---- For looking at it, and for damage ---- */

/* Call `each` with the name of every file in the directory; NOTFOUND. */
enum bitcask_status sim_list(struct sim *sim, const char *path, disk_name_function each,
                             void *context);

/* The bytes of a file, into *into; NOTFOUND. */
enum bitcask_status sim_read(struct sim *sim, const char *path, const char *name,
                             struct bitcask_buffer *into);

/* Let a file hold `bytes`, durably, whatever was there before; the directory is made. */
enum bitcask_status sim_put(struct sim *sim, const char *path, const char *name,
                            bitcask_bytes bytes);

/* Take a file away, durably; NOTFOUND. */
enum bitcask_status sim_take(struct sim *sim, const char *path, const char *name);

#endif
