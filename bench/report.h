/* The results of a run, for a person and for a program. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "measure.h"

enum { ENGINES_MAX = 16, ROUNDS_MAX = 99 };

struct report {
  size_t engine_count;
  size_t round_count; /* that are complete */
  const char *names[ENGINES_MAX];
  struct results results[ROUNDS_MAX][ENGINES_MAX];
  size_t ours; /* the engine that the others are compared with */
};

/* Medians over the rounds, then how many times better our engine is than each of the
 * others: the median of the ratios in each round. */
void report_print(const struct report *report, FILE *out);

/* One object a line: every result of a round; with the round "median", those. */
void report_json(const struct report *report, FILE *out);

#endif
