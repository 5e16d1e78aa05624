/*
 * What a power cut can leave of a simulated disk: one state for each set of values of what
 * may survive (disk/sim_choice.h).
 *
 * Where the product of all choices is small, all of them are made. Where not, families that
 * are known to break stores come first (everything up to a moment; all but one; only one;
 * names without data and the reverse; the last write torn at each byte), then what a seeded
 * generator draws. A state has a name that makes it again: a character for each choice, or
 * how many bytes of the last write are left.
 */
#ifndef BITCASK_DISK_SIM_CUT_H
#define BITCASK_DISK_SIM_CUT_H

#include "disk/sim_choice.h"

struct sim_cut;

/* The states of an image, which must outlive it and not change meanwhile. At most about
 * `limit` are made; `sector` is the size in bytes of what is written as one. */
enum bitcask_status sim_cut_new(const struct sim_image *image, uint64_t sector, uint64_t limit,
                                uint64_t seed, struct sim_cut **out);
void sim_cut_free(struct sim_cut *cut);

/* How many states there are, UINT64_MAX for more than can be counted. */
uint64_t sim_cut_total(const struct sim_cut *cut);

/* The next state, into *out, which is {0}, and its name, borrowed until the next call.
 * ABSENT at the end. Two states may turn out to be the same. */
enum bitcask_status sim_cut_next(struct sim_cut *cut, struct sim_image *out, const char **name);

/* The state of that name. INVALID where the image has no such state. */
enum bitcask_status sim_cut_named(struct sim_cut *cut, const char *name, struct sim_image *out);

#endif
