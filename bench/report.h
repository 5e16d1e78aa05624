/* The results of a run, for a person and for a program. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "measure.h"
#include "options.h"

enum { ENGINES_MAX = 16, ROUNDS_MAX = 25 };

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

/* One object a line, each with the name of the part:
 *   what was run        {"part": "main", "keys": 1000000, "key_size": 16, ...}
 *   each measurement    {"part": "main", "round": 1, "engine": "lmdb", "metric": "get",
 *                        "value": 837.1, "unit": "k/s"}, and the median over the rounds
 *                       with "round": "median"
 *   points of a curve   {"part": "main", "round": 1, "engine": "lmdb",
 *                        "curve": "overwrite_rate", "x": 0.1, "y": 74} */
void report_json(const struct report *report, const struct options *options, FILE *out);

#endif
