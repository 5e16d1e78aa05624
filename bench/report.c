#include "report.h"

#include <math.h>
#include <stdlib.h>

enum { NAME_WIDTH = 19, COLUMN_WIDTH = 11, COLUMNS_A_LINE = 10 };

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

static bool has_no_ratio(enum metric metric) {
  return metric == METRIC_lost || metric == METRIC_stolen || metric == METRIC_overwrite_stolen ||
         metric == METRIC_zipf_stolen;
}

/* The metrics that were measured, as many to a table as fit on a line. */
static void print_tables(const struct report *report, cell_value cell, FILE *out) {
  enum metric columns[COLUMNS_A_LINE];
  size_t count = 0;
  for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
    if (!is_measured(report, metric)) continue;
    if (cell == ratio_to && has_no_ratio(metric)) continue;
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

struct json {
  const struct report *report;
  const char *part;
  FILE *out;
};

static void json_value(const struct json *json, const char *round, size_t engine,
                       enum metric metric, double value) {
  if (isnan(value)) return;
  fprintf(json->out,
          "{\"part\": \"%s\", \"round\": %s, \"engine\": \"%s\", \"metric\": \"%s\", "
          "\"value\": %.6g, \"unit\": \"%s\"}\n",
          json->part, round, json->report->names[engine], metric_infos[metric].name, value,
          metric_infos[metric].unit);
}

static void json_values(const struct json *json, size_t engine, enum metric metric) {
  const struct report *report = json->report;
  for (size_t round = 0; round < report->round_count; round++) {
    char number[24];
    snprintf(number, sizeof number, "%zu", round + 1);
    json_value(json, number, engine, metric, report->results[round][engine].value[metric]);
  }
  json_value(json, "\"median\"", engine, metric, median_of(report, engine, metric));
}

static void json_curve(const struct json *json, size_t round, size_t engine, enum curve_id id) {
  const struct curve *curve = &json->report->results[round][engine].curves[id];
  for (size_t i = 0; i < curve->count; i++)
    fprintf(json->out,
            "{\"part\": \"%s\", \"round\": %zu, \"engine\": \"%s\", \"curve\": \"%s\", "
            "\"x\": %.7g, \"y\": %.6g}\n",
            json->part, round + 1, json->report->names[engine], curve_infos[id].name,
            (double)curve->points[i].x, (double)curve->points[i].y);
}

void report_json(const struct report *report, const struct options *options, FILE *out) {
  struct json json = {report, options->part, out};
  fprintf(out,
          "{\"part\": \"%s\", \"keys\": %llu, \"key_size\": %zu, \"value_size\": %zu, "
          "\"rounds\": %zu, \"seconds\": %g, \"memory\": %llu, "
          "\"own_time\": %d}\n",
          options->part, (unsigned long long)options->keys, options->key_size,
          options->value_size, report->round_count, options->seconds,
          (unsigned long long)options->memory, options->own_time);
  for (size_t engine = 0; engine < report->engine_count; engine++) {
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
      json_values(&json, engine, metric);
    for (size_t round = 0; round < report->round_count; round++)
      for (enum curve_id id = 0; id < CURVE_COUNT; id++) json_curve(&json, round, engine, id);
  }
}
