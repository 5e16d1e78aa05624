/*
 * What may survive a power cut, as a list of choices, and the image that a set of values for
 * them makes. Everything that is not durable is a choice, independent of the others:
 *
 *   a folder's name, a change of names     kept or lost
 *   the length of a file                   as it was after any of its pending changes
 *   a sector that was written              as it was after any of the writes to it, or
 *                                          with garbage where it was written to
 *
 * Sectors are chosen one by one, so writes can be torn, reordered, and present without the
 * length that covers them, or lengths without their data. A byte that is durable is never
 * harmed, also not when its sector is written again (powersafe overwrite).
 */
#ifndef BITCASK_DISK_SIM_CHOICE_H
#define BITCASK_DISK_SIM_CHOICE_H

#include "disk/sim_image.h"

enum sim_choice_kind { SIM_CHOICE_FOLDER, SIM_CHOICE_NAME, SIM_CHOICE_LENGTH, SIM_CHOICE_SECTOR };

/* One thing of which several values may survive: 0 is what is durable, sim_choice_all what
 * programs saw, and behind that there may be garbage. */
struct sim_choice {
  enum sim_choice_kind kind;
  size_t folder;    /* FOLDER, NAME */
  size_t change;    /* NAME: its index */
  size_t node;      /* LENGTH, SECTOR: index */
  uint64_t sector;  /* SECTOR: its number */
  unsigned values;  /* 2 and more, at most SIM_VALUES_MAX */
  bool has_garbage; /* the last value is garbage */
};

enum { SIM_VALUES_MAX = 36 };

struct sim_choices {
  const struct sim_image *image; /* borrowed */
  uint64_t sector_size;
  uint64_t seed; /* of the garbage */
  struct sim_choice *all;
  size_t count;
};

/* *choices is {0}; release it whatever is returned. */
enum bitcask_status sim_choices_find(const struct sim_image *image, uint64_t sector_size,
                                     uint64_t seed, struct sim_choices *choices);
void sim_choices_release(struct sim_choices *choices);

/* Number of combinations; UINT64_MAX: more than can be counted. */
uint64_t sim_choices_total(const struct sim_choices *choices);

/* The value of all that was written. */
static inline unsigned sim_choice_all(const struct sim_choice *choice) {
  return choice->values - (choice->has_garbage ? 2 : 1);
}

/* The value when everything up to the change number `when` survives. */
unsigned sim_choice_at(const struct sim_choices *choices, const struct sim_choice *choice,
                       uint64_t when);

/* The image that is left when values[i] is what becomes of choice i; *out is {0}, and to be
 * released whatever is returned. */
enum bitcask_status sim_choices_build(const struct sim_choices *choices, const unsigned *values,
                                      struct sim_image *out);

#endif
