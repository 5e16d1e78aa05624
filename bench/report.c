#include "report.h"

#include <math.h>
#include <stdlib.h>

enum { NAME_WIDTH = 14, COLUMN_WIDTH = 11, COLUMNS_A_LINE = 10 };

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Of the first `count`, those that are NAN left out. */
static double median(double *values, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (!isnan(values[i])) values[kept++] = values[i];
  if (kept == 0) return NAN;
  qsort(values, kept, sizeof *values, compare);
  return (values[(kept - 1) / 2] + values[kept / 2]) / 2;
}

static double median_of(const struct report *report, size_t engine, enum metric metric) {
  double values[ROUNDS_MAX];
  for (size_t round = 0; round < report->round_count; round++)
    values[round] = report->results[round][engine].value[metric];
  return median(values, report->round_count);
}

/* How many times better ours is than `engine`. */
static double ratio_to(const struct report *report, size_t engine, enum metric metric) {
  double values[ROUNDS_MAX];
  for (size_t round = 0; round < report->round_count; round++) {
    double ours = report->results[round][report->ours].value[metric];
    double other = report->results[round][engine].value[metric];
    values[round] = metric_infos[metric].more_is_better ? ours / other : other / ours;
    if (!isfinite(values[round])) values[round] = NAN;
  }
  return median(values, report->round_count);
}

/* ---- Tables ---------------------------------------------------------------------- */

typedef double (*cell_value)(const struct report *report, size_t engine, enum metric metric);

static bool is_measured(const struct report *report, enum metric metric) {
  for (size_t engine = 0; engine < report->engine_count; engine++)
    if (!isnan(median_of(report, engine, metric))) return true;
  return false;
}

static void print_number(double value, FILE *out) {
  int digits = fabs(value) >= 100 || value == 0 ? 0 : fabs(value) >= 10 ? 1 : 2;
  if (isnan(value))
    fprintf(out, "%*s", COLUMN_WIDTH, "-");
  else
    fprintf(out, "%*.*f", COLUMN_WIDTH, digits, value);
}

static void print_heading(const enum metric *columns, size_t count, bool units, FILE *out) {
  fprintf(out, "\n%-*s", NAME_WIDTH, "");
  for (size_t i = 0; i < count; i++)
    fprintf(out, "%*s", COLUMN_WIDTH, metric_infos[columns[i]].heading);
  if (units) fprintf(out, "\n%-*s", NAME_WIDTH, "");
  for (size_t i = 0; units && i < count; i++)
    fprintf(out, "%*s", COLUMN_WIDTH, metric_infos[columns[i]].unit);
  fputc('\n', out);
}

static void print_table(const struct report *report, const enum metric *columns, size_t count,
                        cell_value cell, FILE *out) {
  print_heading(columns, count, cell == median_of, out);
  for (size_t engine = 0; engine < report->engine_count; engine++) {
    if (cell == ratio_to && engine == report->ours) continue;
    fprintf(out, "%-*s", NAME_WIDTH, report->names[engine]);
    for (size_t i = 0; i < count; i++) print_number(cell(report, engine, columns[i]), out);
    fputc('\n', out);
  }
}

/* The metrics that were measured, as many to a table as fit on a line. */
static void print_tables(const struct report *report, cell_value cell, FILE *out) {
  enum metric columns[COLUMNS_A_LINE];
  size_t count = 0;
  for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
    if (!is_measured(report, metric)) continue;
    if (cell == ratio_to && metric == METRIC_lost) continue;
    columns[count++] = metric;
    if (count < COLUMNS_A_LINE) continue;
    print_table(report, columns, count, cell, out);
    count = 0;
  }
  if (count > 0) print_table(report, columns, count, cell, out);
}

void report_print(const struct report *report, FILE *out) {
  fprintf(out, "\nMedians of %zu round(s)\n", report->round_count);
  print_tables(report, median_of, out);
  if (report->ours >= report->engine_count || report->engine_count < 2) return;
  fprintf(out, "\nHow many times better %s is; less than 1: worse\n",
          report->names[report->ours]);
  print_tables(report, ratio_to, out);
}

/* ---- JSON ------------------------------------------------------------------------ */

static void json_line(const struct report *report, const char *round, size_t engine,
                      enum metric metric, double value, FILE *out) {
  if (isnan(value)) return;
  fprintf(out,
          "{\"round\": %s, \"engine\": \"%s\", \"metric\": \"%s\", \"value\": %.6g, "
          "\"unit\": \"%s\"}\n",
          round, report->names[engine], metric_infos[metric].name, value,
          metric_infos[metric].unit);
}

static void json_lines(const struct report *report, size_t engine, FILE *out) {
  for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
    for (size_t round = 0; round < report->round_count; round++) {
      char number[24];
      snprintf(number, sizeof number, "%zu", round + 1);
      json_line(report, number, engine, metric, report->results[round][engine].value[metric],
                out);
    }
    json_line(report, "\"median\"", engine, metric, median_of(report, engine, metric), out);
  }
}

void report_json(const struct report *report, FILE *out) {
  for (size_t engine = 0; engine < report->engine_count; engine++)
    json_lines(report, engine, out);
}
