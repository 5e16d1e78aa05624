#include "workload.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory_limit.h"
#include "worker.h"

enum { OVERWRITES_A_KEY = 3, SYNC_PUTS_MAX = 4000 };

const struct workload_info workload_infos[WORKLOAD_COUNT] = {
#define WORKLOAD_INFO(name, text) {#name, text},
    WORKLOAD_LIST(WORKLOAD_INFO)
#undef WORKLOAD_INFO
};

const char *const stage_names[STAGE_COUNT] = {
#define STAGE_NAME(name, text) text,
    STAGE_LIST(STAGE_NAME)
#undef STAGE_NAME
};

static bool is_selected(const struct run *run, enum workload workload) {
  return (run->selected & 1u << workload) != 0;
}

static double *metric_of(const struct run *run, enum metric metric) {
  return &run->results->value[metric];
}

/* ---- Jobs ------------------------------------------------------------------------ */

static struct job job_of(const struct run *run, void *store, void (*work)(struct worker *),
                         uint64_t operations) {
  return (struct job){.driver = run->driver, .data = &run->data, .store = store, .threads = 1,
                      .plan = {.work = work, .operations = operations}};
}

static struct job job_within_time(const struct run *run, void *store,
                                  void (*work)(struct worker *), uint64_t operations) {
  struct job job = job_of(run, store, work, operations);
  job.plan.seconds = run->seconds;
  return job;
}

/* Run it and note how many thousand operations a second it did. */
static void job_measure(const struct run *run, const struct job *job, enum metric metric,
                        struct outcome *outcome) {
  static struct outcome own;
  if (outcome == NULL) outcome = &own;
  job_run(job, outcome);
  *metric_of(run, metric) = (double)outcome->operations / outcome->seconds / 1000;
}

static void *open_store(const struct run *run, bool sync) {
  static struct driver_config config;
  config = (struct driver_config){.directory = run->directory,
                                  .key_count = run->data.key_count + run->data.key_count / 5,
                                  .key_size = run->data.key_size,
                                  .value_size = run->data.value_size,
                                  .memory = run->memory,
                                  .sync = sync};
  return run->driver->open(&config);
}

/* p50, p99, p99.9 and the longest stand in this order from `first` on. */
static void note_latencies(const struct run *run, const struct latency *latency,
                           enum metric first) {
  static const double quantiles[] = {0.5, 0.99, 0.999, 1};
  for (unsigned i = 0; i < 4; i++)
    *metric_of(run, (enum metric)(first + i)) = latency_quantile(latency, quantiles[i]);
}

/* ---- Main ------------------------------------------------------------------------ */

static void fill(const struct run *run, void *store) {
  static struct outcome outcome;
  double count = (double)run->data.key_count;
  double before = anonymous_bytes();
  struct job job = job_of(run, store, work_fill, run->data.key_count);
  struct watch *watch = watch_start(sample_memory, run->directory);
  job_measure(run, &job, METRIC_fill, &outcome);
  *metric_of(run, METRIC_memory_peak) = (watch_stop(watch) - before) / count;
  *metric_of(run, METRIC_memory) = (anonymous_bytes() - before) / count;
  note_latencies(run, &outcome.latency, METRIC_fill_p50);
}

static void reads(const struct run *run, void *store) {
  uint64_t count = run->data.key_count;
  struct job one = job_within_time(run, store, work_get, count);
  struct job absent = job_within_time(run, store, work_absent, count);
  struct job scan = job_of(run, store, work_scan, count);
  one.plan.seed = 1;
  absent.plan.seed = 2;
  struct job two = one;
  two.threads = 2;
  if (is_selected(run, WORKLOAD_get)) job_measure(run, &one, METRIC_get, NULL);
  if (is_selected(run, WORKLOAD_absent)) job_measure(run, &absent, METRIC_absent, NULL);
  if (is_selected(run, WORKLOAD_get2)) job_measure(run, &two, METRIC_get2, NULL);
  if (is_selected(run, WORKLOAD_scan)) job_measure(run, &scan, METRIC_scan, NULL);
}

static void mix(const struct run *run, void *store, enum workload workload, unsigned threads,
                unsigned put_percent, enum metric metric) {
  uint64_t count = run->data.key_count;
  if (!is_selected(run, workload) || (threads > 1 && run->driver->one_thread)) return;
  uint32_t *ids = zipf_ids(count, count * threads, put_percent);
  struct job job = job_within_time(run, store, work_mix, count);
  job.threads = threads;
  job.plan.seed = job.plan.put_percent = put_percent;
  job.plan.ids = ids;
  job_measure(run, &job, metric, NULL);
  free(ids);
}

/* After `operations` of overwriting. */
static void verify(const struct run *run, void *store, const struct plan *overwriting,
                   uint64_t operations) {
  uint32_t *expected = plan_expected(overwriting, run->data.key_count, operations);
  struct job job = job_of(run, store, work_verify, run->data.key_count);
  job.plan.base = overwriting->base;
  job.plan.expected = expected;
  job_run(&job, NULL);
  free(expected);
}

/* What the two ways to overwrite note: metrics, the latencies beginning with `p50`. */
struct overwriting {
  enum metric rate, p50, stolen, disk, peak;
  enum curve_id latency, timeline;
};

static void overwrite(const struct run *run, void *store, const struct plan *plan,
                      const struct overwriting *notes) {
  static struct outcome outcome;
  struct job job = job_within_time(run, store, work_overwrite,
                                   OVERWRITES_A_KEY * run->data.key_count);
  job.plan.ids = plan->ids;
  job.plan.seed = plan->seed;
  job.plan.base = plan->base;
  struct watch *watch = watch_start(disk_bytes, run->directory);
  double stolen = seconds_stolen();
  job_measure(run, &job, notes->rate, &outcome);
  *metric_of(run, notes->stolen) = (seconds_stolen() - stolen) * 1e3;
  if (run->driver->settle != NULL) run->driver->settle(store);
  *metric_of(run, notes->peak) = watch_stop(watch) / 1e6;
  *metric_of(run, notes->disk) = disk_bytes(run->directory) / 1e6;
  note_latencies(run, &outcome.latency, notes->p50);
  latency_curve(&outcome.latency, &run->results->curves[notes->latency]);
  timeline_curve(&outcome.timeline, &run->results->curves[notes->timeline]);
  verify(run, store, &job.plan, outcome.operations);
}

static void overwrite_uniform(const struct run *run, void *store) {
  static const struct overwriting notes = {METRIC_overwrite,        METRIC_overwrite_p50,
                                           METRIC_overwrite_stolen, METRIC_overwrite_disk,
                                           METRIC_overwrite_peak,   CURVE_overwrite_latency,
                                           CURVE_overwrite_rate};
  struct plan plan = {.seed = 4};
  overwrite(run, store, &plan, &notes);
}

static void overwrite_zipf(const struct run *run, void *store) {
  static const struct overwriting notes = {METRIC_zipf,      METRIC_zipf_p50,
                                           METRIC_zipf_stolen, METRIC_zipf_disk,
                                           METRIC_zipf_peak, CURVE_zipf_latency,
                                           CURVE_zipf_rate};
  uint64_t count = run->data.key_count;
  uint32_t *ids = zipf_ids(count, OVERWRITES_A_KEY * count, 8);
  struct plan plan = {.ids = ids, .base = UINT64_C(1) << 40};
  overwrite(run, store, &plan, &notes);
  free(ids);
}

/* Where cleaning can be put off: from a clean start, everything that it would have done. */
static void overwrite_uncleaned(const struct run *run, void *store, const struct job *job,
                                struct outcome *outcome) {
  run->driver->set_cleaning(store, false);
  run->driver->merge(store);
  job_measure(run, job, METRIC_dirty, outcome);
}

/* What the store takes when nothing is written to it any more, in the background neither. */
static double disk_at_rest(const struct run *run) {
  enum { LOOK_US = 100000, LOOKS_ALIKE = 10, LOOKS_MAX = 100 };
  double bytes = disk_bytes(run->directory);
  for (int look = 0, alike = 0; alike < LOOKS_ALIKE && look < LOOKS_MAX; look++) {
    usleep(LOOK_US);
    double now = disk_bytes(run->directory);
    alike = now == bytes ? alike + 1 : 0;
    bytes = now;
  }
  return bytes;
}

static void merge(const struct run *run, void *store) {
  static struct outcome outcome;
  const struct driver *driver = run->driver;
  struct job job = job_of(run, store, work_overwrite, OVERWRITES_A_KEY * run->data.key_count);
  job.plan.seed = 5;
  job.plan.base = UINT64_C(2) << 40;
  bool can_put_off = driver->set_cleaning != NULL;
  if (driver->merge == NULL) return;
  if (can_put_off) overwrite_uncleaned(run, store, &job, &outcome);
  double begin = seconds_own();
  driver->merge(store);
  *metric_of(run, METRIC_merge) = (seconds_own() - begin) * 1e3;
  *metric_of(run, METRIC_merged_disk) = disk_at_rest(run) / 1e6;
  if (!can_put_off) return;
  driver->set_cleaning(store, true);
  verify(run, store, &job.plan, outcome.operations);
}

static void run_main(const struct run *run) {
  void *store = open_store(run, false);
  fill(run, store);
  reads(run, store);
  mix(run, store, WORKLOAD_a, 1, 50, METRIC_a);
  mix(run, store, WORKLOAD_b, 1, 5, METRIC_b);
  mix(run, store, WORKLOAD_a2, 2, 50, METRIC_a2);
  mix(run, store, WORKLOAD_b2, 2, 5, METRIC_b2);
  if (is_selected(run, WORKLOAD_overwrite)) overwrite_uniform(run, store);
  if (is_selected(run, WORKLOAD_zipf)) overwrite_zipf(run, store);
  if (is_selected(run, WORKLOAD_merge)) merge(run, store);
  run->driver->close(store);
}

/* ---- Opening --------------------------------------------------------------------- */

/* Until the first key can be read. */
static void *open_timed(const struct run *run, enum metric metric) {
  double begin = seconds_own();
  void *store = open_store(run, false);
  struct job job = job_of(run, store, work_get, 1);
  job.plan.seed = 6;
  job_run(&job, NULL);
  *metric_of(run, metric) = (seconds_own() - begin) * 1e3;
  return store;
}

static void run_reopen(const struct run *run) {
  double before = anonymous_bytes();
  void *store = open_timed(run, METRIC_reopen);
  *metric_of(run, METRIC_memory_reopened) =
      (anonymous_bytes() - before) / (double)run->data.key_count;
  run->driver->close(store);
  make_cold(run->directory);
  run->driver->close(open_timed(run, METRIC_reopen_cold));
}

/* The ids of the keys that are put before the first crash and the second one. */
static uint64_t first_id(const struct run *run, enum stage crash) {
  uint64_t count = run->data.key_count;
  return crash == STAGE_CRASH ? count : count + count / 10;
}

static void run_crash(const struct run *run, enum stage crash) {
  void *store = open_store(run, false);
  struct job job = job_of(run, store, work_fill, run->data.key_count / 10);
  job.plan.first = first_id(run, crash);
  job_run(&job, NULL);
  kill(getpid(), SIGKILL);
}

static void count_lost(const struct run *run, void *store, enum stage crash) {
  static struct outcome outcome;
  struct job fresh = job_of(run, store, work_count_missing, run->data.key_count / 10);
  struct job old = job_of(run, store, work_get, run->data.key_count / 10);
  fresh.plan.first = first_id(run, crash);
  old.plan.seed = 7;
  job_run(&fresh, &outcome);
  job_run(&old, NULL);
  *metric_of(run, METRIC_lost) = (double)outcome.missing;
}

static void run_recover(const struct run *run) {
  void *store = open_timed(run, METRIC_recover);
  count_lost(run, store, STAGE_CRASH);
  run->driver->close(store);
}

static void run_recover_cold(const struct run *run) {
  make_cold(run->directory);
  run->driver->close(open_timed(run, METRIC_recover_cold));
}

/* ---- The rest -------------------------------------------------------------------- */

static void run_delete(const struct run *run) {
  void *store = open_store(run, false);
  struct job job = job_within_time(run, store, work_delete, run->data.key_count);
  job_measure(run, &job, METRIC_delete, NULL);
  run->driver->close(store);
}

static void run_durable(const struct run *run) {
  uint64_t puts = run->data.key_count / 100;
  if (puts > SYNC_PUTS_MAX) puts = SYNC_PUTS_MAX;
  void *store = open_store(run, true);
  struct job one = job_within_time(run, store, work_fill, puts);
  struct job eight = job_within_time(run, store, work_fill, puts / 2);
  eight.threads = 8;
  eight.plan.first = puts;
  job_measure(run, &one, METRIC_sync1, NULL);
  job_measure(run, &eight, METRIC_sync8, NULL);
  run->driver->close(store);
}

bool stage_is_wanted(const struct run *run, enum stage stage) {
  switch (stage) {
    case STAGE_MAIN: return (run->selected & ~(1u << WORKLOAD_sync)) != 0;
    case STAGE_REOPEN: return is_selected(run, WORKLOAD_reopen);
    case STAGE_CRASH:
    case STAGE_RECOVER:
    case STAGE_CRASH_AGAIN:
    case STAGE_RECOVER_COLD: return is_selected(run, WORKLOAD_recover);
    case STAGE_DELETE: return is_selected(run, WORKLOAD_delete);
    case STAGE_DURABLE: return is_selected(run, WORKLOAD_sync) && run->driver->can_sync;
    default: return false;
  }
}

bool stage_is_crash(enum stage stage) {
  return stage == STAGE_CRASH || stage == STAGE_CRASH_AGAIN;
}

/* An engine that gets nowhere is ended by SIGALRM. */
static unsigned patience(const struct run *run) { return 120 + (unsigned)(40 * run->seconds); }

void stage_run(const struct run *run, enum stage stage) {
  alarm(patience(run));
  if (run->memory > 0) memory_limit_enter();
  switch (stage) {
    case STAGE_MAIN: run_main(run); break;
    case STAGE_REOPEN: run_reopen(run); break;
    case STAGE_CRASH:
    case STAGE_CRASH_AGAIN: run_crash(run, stage); break;
    case STAGE_RECOVER: run_recover(run); break;
    case STAGE_RECOVER_COLD: run_recover_cold(run); break;
    case STAGE_DELETE: run_delete(run); break;
    case STAGE_DURABLE: run_durable(run); break;
    default: break;
  }
}
