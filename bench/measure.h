/*
 * What is measured, and with what: clocks, latencies, memory, room on disk.
 *
 * The metrics are a list; the results of one engine in one round are an array of them.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* X(name, heading, unit, more is better). Zero or more metrics a workload. */
#define METRIC_LIST(X)                                              \
  X(fill, "fill", "k/s", true)                                      \
  X(get, "get", "k/s", true)                                        \
  X(get2, "get 2t", "k/s", true)                                    \
  X(absent, "absent", "k/s", true)                                  \
  X(a, "A", "k/s", true)                                            \
  X(a2, "A 2t", "k/s", true)                                        \
  X(b, "B", "k/s", true)                                            \
  X(b2, "B 2t", "k/s", true)                                        \
  X(scan, "scan", "k/s", true)                                      \
  X(overwrite, "overwrite", "k/s", true)                            \
  X(zipf, "ow zipf", "k/s", true)                                   \
  X(dirty, "no cleaning", "k/s", true)                              \
  X(delete, "delete", "k/s", true)                                  \
  X(sync1, "sync 1w", "k/s", true)                                  \
  X(sync8, "sync 8w", "k/s", true)                                  \
  X(fill_p50, "fill p50", "us", false)                              \
  X(fill_p99, "fill p99", "us", false)                              \
  X(fill_p999, "fill p99.9", "us", false)                           \
  X(fill_max, "fill max", "us", false)                              \
  X(overwrite_p50, "ow p50", "us", false)                           \
  X(overwrite_p99, "ow p99", "us", false)                           \
  X(overwrite_p999, "ow p99.9", "us", false)                        \
  X(overwrite_max, "ow max", "us", false)                           \
  X(overwrite_stolen, "ow taken", "ms", false)                      \
  X(zipf_p50, "zipf p50", "us", false)                              \
  X(zipf_p99, "zipf p99", "us", false)                              \
  X(zipf_p999, "zipf p99.9", "us", false)                           \
  X(zipf_max, "zipf max", "us", false)                              \
  X(zipf_stolen, "zipf taken", "ms", false)                         \
  X(overwrite_disk, "ow disk", "MB", false)                         \
  X(overwrite_peak, "ow peak", "MB", false)                         \
  X(zipf_disk, "zipf disk", "MB", false)                            \
  X(zipf_peak, "zipf peak", "MB", false)                            \
  X(merged_disk, "merged", "MB", false)                             \
  X(merge, "merge", "ms", false)                                    \
  X(reopen, "reopen", "ms", false)                                  \
  X(reopen_cold, "cold", "ms", false)                               \
  X(recover, "after kill", "ms", false)                             \
  X(recover_cold, "kill, cold", "ms", false)                        \
  X(lost, "lost", "puts", false)                                    \
  X(memory, "memory", "B/key", false)                               \
  X(memory_peak, "mem. peak", "B/key", false)                       \
  X(memory_reopened, "reopened", "B/key", false)                    \
  X(stolen, "stolen", "%", false)

enum metric {
#define METRIC_ENUM(name, heading, unit, more) METRIC_##name,
  METRIC_LIST(METRIC_ENUM)
#undef METRIC_ENUM
      METRIC_COUNT
};

struct metric_info {
  const char *name;
  const char *heading;
  const char *unit;
  bool more_is_better;
};

extern const struct metric_info metric_infos[METRIC_COUNT];

/* Curves: X(name, unit of x, unit of y). */
#define CURVE_LIST(X)                        \
  X(overwrite_latency, "quantile", "us")     \
  X(zipf_latency, "quantile", "us")          \
  X(overwrite_rate, "s", "k/s")              \
  X(zipf_rate, "s", "k/s")

enum curve_id {
#define CURVE_ENUM(name, x, y) CURVE_##name,
  CURVE_LIST(CURVE_ENUM)
#undef CURVE_ENUM
      CURVE_COUNT
};

struct curve_info {
  const char *name;
  const char *x_unit;
  const char *y_unit;
};

extern const struct curve_info curve_infos[CURVE_COUNT];

enum { CURVE_POINTS = 512 };

struct curve {
  size_t count;
  struct {
    float x, y;
  } points[CURVE_POINTS];
};

/* Not measured: NAN, and curves without a point. */
struct results {
  double value[METRIC_COUNT];
  struct curve curves[CURVE_COUNT];
};

void results_clear(struct results *results);

/* ---- Time ------------------------------------------------------------------------ */

double seconds_now(void);

/* Take the time in which a thread was ready and waited for a processor out of what is
 * measured: for a machine that others use too. What an engine's own threads cost the one that
 * is measured is taken out as well. */
void own_time_use(void);
bool own_time_is_used(void);

/* Seconds that this thread has waited for a processor; 0 where own_time is not used. */
double seconds_waited(void);

/* seconds_now less seconds_waited. */
double seconds_own(void);

/* Seconds that the machine's processors, all together, were ready to work and a hypervisor let
 * others use them; 0 where that is not known. */
double seconds_stolen(void);

/* The cheapest clock there is; ticks_a_second says how fast it runs. */
static inline uint64_t ticks_now(void) {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return (uint64_t)(seconds_now() * 1e9);
#endif
}

double ticks_a_second(void);

/* Latencies in ticks, each rounded by less than 2 %. */
enum { LATENCY_STEPS = 64, LATENCY_BUCKETS = 60 * LATENCY_STEPS };

struct latency {
  uint64_t count;
  uint64_t max;
  uint32_t buckets[LATENCY_BUCKETS];
};

static inline void latency_add(struct latency *latency, uint64_t ticks) {
  unsigned octave = ticks < LATENCY_STEPS ? 0 : 57 - (unsigned)__builtin_clzll(ticks);
  latency->buckets[octave * LATENCY_STEPS + (ticks >> octave)]++;
  latency->count++;
  if (ticks > latency->max) latency->max = ticks;
}

/* Microseconds that `quantile` of the latencies do not exceed; 1: the longest. */
double latency_quantile(const struct latency *latency, double quantile);

/* From the median to the longest. */
void latency_curve(const struct latency *latency, struct curve *curve);

/* Operations in each of equal stretches of time, one after the other. */
struct timeline {
  uint64_t stretch, next; /* ticks: the length of one, and when the current one ends */
  size_t now;
  uint32_t counts[CURVE_POINTS];
};

#define TIMELINE_SECONDS 0.1

void timeline_start(struct timeline *timeline, uint64_t ticks);

static inline void timeline_add(struct timeline *timeline, uint64_t ticks) {
  for (; ticks >= timeline->next && timeline->now < CURVE_POINTS - 1; timeline->now++)
    timeline->next += timeline->stretch;
  timeline->counts[timeline->now]++;
}

/* Thousand operations a second over time; the last stretch, being cut short, is left out. */
void timeline_curve(const struct timeline *timeline, struct curve *curve);

/* ---- Memory and disk ------------------------------------------------------------- */

/* Bytes of anonymous memory of this process: what is not a mapped file. */
double anonymous_bytes(void);

/* Bytes that the files of a directory take on disk, preallocated ones included. */
double disk_bytes(const char *directory);

/* Write the files of a directory back and drop them from the page cache. */
void make_cold(const char *directory);

/* Watches a sample from a thread of its own. */
struct watch;
typedef double (*watch_sample)(const char *directory);
struct watch *watch_start(watch_sample sample, const char *directory);
double watch_stop(struct watch *watch); /* the most that was seen */

/* anonymous_bytes, to be watched. */
double sample_memory(const char *directory);

void remove_tree(const char *directory);

#endif
