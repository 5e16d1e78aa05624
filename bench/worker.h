/*
 * A job: threads that do the same to a store, each with a session and values of its own, and
 * what came of it. Every value that is read is checked against what was written.
 */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include "data.h"
#include "driver.h"
#include "measure.h"

enum { THREADS_MAX = 8, MIXED_GENERATION = 1 << 30 };

struct worker;

/* What each thread does. */
struct plan {
  void (*work)(struct worker *worker);
  uint64_t operations;
  uint64_t first;           /* id, for what goes through ids in order */
  uint64_t seed;            /* for what picks them by chance */
  uint64_t base;            /* of the generations of an overwriting */
  unsigned put_percent;     /* of a mix */
  const uint32_t *ids;      /* `operations` for each thread; NULL: uniform */
  const uint32_t *expected; /* by id: generation less base, 0 if it was passed by */
  double seconds;           /* stop then, if there is more to do; 0: never */
};

struct job {
  const struct driver *driver;
  const struct data *data;
  void *store;
  unsigned threads;
  struct plan plan;
};

struct outcome {
  uint64_t operations; /* of all threads */
  double seconds;      /* that the slowest thread took */
  uint64_t missing;    /* keys that were not there */
  struct latency latency;   /* of the first thread's puts where each is timed */
  struct timeline timeline; /* and when they were done */
};

/* `outcome` may be NULL. */
void job_run(const struct job *job, struct outcome *outcome);

/* The works. */
void work_fill(struct worker *worker);          /* put ids from `first` on, timed */
void work_get(struct worker *worker);           /* uniform ids that are there */
void work_absent(struct worker *worker);        /* ids that are not */
void work_scan(struct worker *worker);          /* all pairs, `operations` of them */
void work_mix(struct worker *worker);           /* puts and gets of `ids` */
void work_overwrite(struct worker *worker);     /* timed puts of `ids`, or uniform ones */
void work_delete(struct worker *worker);        /* ids from 0 on */
void work_verify(struct worker *worker);        /* every id has its expected generation */
void work_count_missing(struct worker *worker); /* ids from `first` on */

/* What work_overwrite of this plan leaves behind after `operations`, for work_verify; to be
 * given back with free. */
uint32_t *plan_expected(const struct plan *plan, uint64_t key_count, uint64_t operations);

#endif
