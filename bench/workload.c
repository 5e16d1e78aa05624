#include "workload.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OVERWRITES_A_KEY = 3, SYNC_PUTS_MAX = 1000, MIXED_GENERATION = 1 << 30 };

const struct workload_info workload_infos[WORKLOAD_COUNT] = {
#define WORKLOAD_INFO(name, text) {#name, text},
    WORKLOAD_LIST(WORKLOAD_INFO)
#undef WORKLOAD_INFO
};

static bool is_selected(const struct run *run, enum workload workload) {
  return (run->selected & 1u << workload) != 0;
}

/* ---- Workers --------------------------------------------------------------------- */

enum { THREADS_MAX = 8 };

/* One thread's part of a workload. */
struct worker {
  void (*work)(struct worker *worker);
  uint64_t operations;      /* of each worker */
  uint64_t first;           /* id, for what goes through ids in order */
  uint64_t seed;            /* for what picks them by chance */
  unsigned put_percent;     /* of a mix */
  const uint32_t *ids;      /* of a mix: `operations` for each worker */
  const uint32_t *expected; /* generations, by id */

  const struct run *run;
  void *store;
  void *session;
  unsigned index;
  uint64_t missing;
  double begin, end;
  struct value_maker maker;
  struct latency latency; /* of puts, where they are timed one by one */
  pthread_barrier_t *barrier;
  pthread_t thread;
};

static void put(struct worker *worker, uint64_t id, uint64_t generation) {
  char bytes[KEY_SIZE_MAX + 8];
  driver_bytes key = key_make(&worker->run->data, id, bytes);
  driver_bytes value = value_make(&worker->maker, id, generation);
  worker->run->driver->put(worker->session, key, value);
}

static void timed_put(struct worker *worker, uint64_t id, uint64_t generation) {
  uint64_t begin = ticks_now();
  put(worker, id, generation);
  latency_add(&worker->latency, ticks_now() - begin);
}

static bool find(struct worker *worker, uint64_t id, driver_bytes *value) {
  char bytes[KEY_SIZE_MAX + 8];
  driver_bytes key = key_make(&worker->run->data, id, bytes);
  return worker->run->driver->get(worker->session, key, value);
}

/* The generation of the value of a key that must be there. */
static uint64_t get(struct worker *worker, uint64_t id) {
  driver_bytes value;
  if (!find(worker, id, &value)) driver_die("key %llu is missing", (unsigned long long)id);
  return value_check(&worker->run->data, id, value);
}

static struct rng rng_of(uint64_t seed, unsigned index) {
  return (struct rng){mix64(seed * UINT64_C(1000003) + index)};
}

static void work_fill(struct worker *worker) {
  uint64_t first = worker->first + worker->index * worker->operations;
  for (uint64_t i = 0; i < worker->operations; i++) timed_put(worker, first + i, 0);
}

static void work_get(struct worker *worker) {
  struct rng rng = rng_of(worker->seed, worker->index);
  for (uint64_t i = 0; i < worker->operations; i++)
    get(worker, rng_below(&rng, worker->run->data.key_count));
}

static void work_absent(struct worker *worker) {
  struct rng rng = rng_of(worker->seed, worker->index);
  driver_bytes value;
  for (uint64_t i = 0; i < worker->operations; i++)
    if (find(worker, ABSENT_ID + rng_below(&rng, ABSENT_ID), &value))
      driver_die("a key was found that was never put");
}

static void work_overwrite(struct worker *worker) {
  struct rng rng = rng_of(worker->seed, worker->index);
  for (uint64_t i = 0; i < worker->operations; i++)
    timed_put(worker, rng_below(&rng, worker->run->data.key_count), i + 1);
}

static void work_mix(struct worker *worker) {
  struct rng rng = rng_of(worker->seed, worker->index);
  const uint32_t *ids = worker->ids + worker->index * worker->operations;
  for (uint64_t i = 0; i < worker->operations; i++) {
    if (rng_below(&rng, 100) < worker->put_percent)
      put(worker, ids[i], MIXED_GENERATION + i);
    else
      get(worker, ids[i]);
  }
}

static void work_delete(struct worker *worker) {
  char bytes[KEY_SIZE_MAX + 8];
  for (uint64_t i = 0; i < worker->operations; i++)
    worker->run->driver->remove(worker->session, key_make(&worker->run->data, i, bytes));
}

/* Every key has the generation that is expected of it. */
static void work_verify(struct worker *worker) {
  for (uint64_t id = 0; id < worker->operations; id++) {
    uint64_t generation = get(worker, id);
    if (worker->expected[id] != 0 && worker->expected[id] != generation)
      driver_die("key %llu has an old value", (unsigned long long)id);
  }
}

static void work_count_missing(struct worker *worker) {
  driver_bytes value;
  for (uint64_t i = 0; i < worker->operations; i++)
    if (!find(worker, worker->first + i, &value)) worker->missing++;
}

struct tally {
  const struct data *data;
  uint64_t pairs;
  uint64_t sum; /* of bytes of the values, so that they are looked at */
};

static void count_pair(void *context, driver_bytes key, driver_bytes value) {
  struct tally *tally = context;
  if (key.size != tally->data->key_size || value.size != tally->data->value_size)
    driver_die("the scan yields a wrong pair");
  tally->pairs++;
  tally->sum += (unsigned char)value.data[value.size - 1];
}

static void work_scan(struct worker *worker) {
  struct tally tally = {.data = &worker->run->data};
  worker->run->driver->scan(worker->session, count_pair, &tally);
  if (tally.pairs != worker->operations || tally.sum == 0)
    driver_die("the scan yields %llu pairs", (unsigned long long)tally.pairs);
}

/* ---- Running workers ------------------------------------------------------------- */

static void *run_worker(void *context) {
  struct worker *worker = context;
  const struct driver *driver = worker->run->driver;
  value_maker_init(&worker->maker, &worker->run->data);
  worker->session = driver->session_open(worker->store);
  pthread_barrier_wait(worker->barrier);
  worker->begin = seconds_now();
  worker->work(worker);
  worker->end = seconds_now();
  pthread_barrier_wait(worker->barrier);
  driver->session_close(worker->session);
  value_maker_release(&worker->maker);
  return NULL;
}

/* A workload in progress: what all its workers share. */
struct job {
  const struct run *run;
  void *store;
  unsigned threads; /* 0: one */
  struct worker plan;
};

/* From the first to begin until the last to end. */
static double seconds_of(const struct worker *workers, unsigned threads) {
  double begin = workers[0].begin, end = workers[0].end;
  for (unsigned i = 1; i < threads; i++) {
    begin = fmin(begin, workers[i].begin);
    end = fmax(end, workers[i].end);
  }
  return end - begin;
}

/* Returns the seconds it took; *first, which may be NULL, is what the first worker knows
 * at the end. */
static double job_run(const struct job *job, struct worker *first) {
  struct worker *workers = driver_allocate(THREADS_MAX * sizeof *workers);
  unsigned threads = job->threads > 0 ? job->threads : 1;
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, threads);
  for (unsigned i = 0; i < threads; i++) {
    workers[i] = job->plan;
    workers[i].run = job->run;
    workers[i].store = job->store;
    workers[i].index = i;
    workers[i].barrier = &barrier;
    if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
      driver_die("cannot start a thread");
  }
  for (unsigned i = 0; i < threads; i++) pthread_join(workers[i].thread, NULL);
  double seconds = seconds_of(workers, threads);
  pthread_barrier_destroy(&barrier);
  if (first != NULL) *first = workers[0];
  free(workers);
  return seconds;
}

/* ... and notes how many thousand operations a second it did. */
static void job_measure(const struct job *job, enum metric metric, struct worker *first) {
  unsigned threads = job->threads > 0 ? job->threads : 1;
  double seconds = job_run(job, first);
  job->run->results->value[metric] = (double)(job->plan.operations * threads) / seconds / 1000;
}

/* ---- Stages ---------------------------------------------------------------------- */

static void *open_store(const struct run *run, bool sync) {
  static struct driver_config config;
  config = (struct driver_config){.directory = run->directory,
                                  .key_count = run->data.key_count + run->data.key_count / 10,
                                  .key_size = run->data.key_size,
                                  .value_size = run->data.value_size,
                                  .sync = sync};
  return run->driver->open(&config);
}

static void fill(const struct run *run, void *store) {
  static struct worker first;
  double before = anonymous_bytes();
  struct job job = {run, store, 1, {.work = work_fill, .operations = run->data.key_count}};
  job_measure(&job, METRIC_fill, &first);
  double *value = run->results->value;
  value[METRIC_memory] = (anonymous_bytes() - before) / (double)run->data.key_count;
  value[METRIC_fill_p999] = latency_quantile(&first.latency, 0.999);
  value[METRIC_fill_max] = latency_quantile(&first.latency, 1);
}

static void mix(const struct run *run, void *store, unsigned threads, unsigned put_percent,
                enum metric metric) {
  uint64_t count = run->data.key_count;
  if (threads > 1 && run->driver->one_thread) return;
  uint32_t *ids = zipf_ids(count, count * threads, put_percent);
  struct job job = {run, store, threads,
                    {.work = work_mix, .operations = count, .put_percent = put_percent,
                     .ids = ids, .seed = put_percent}};
  job_measure(&job, metric, NULL);
  free(ids);
}

/* What work_overwrite leaves behind: the generation of every key, 0 if it passed it by. */
static void verify_overwritten(const struct run *run, void *store, const struct worker *plan) {
  uint64_t count = run->data.key_count;
  uint32_t *expected = driver_allocate(count * sizeof *expected);
  memset(expected, 0, count * sizeof *expected);
  struct rng rng = rng_of(plan->seed, 0);
  for (uint64_t i = 0; i < plan->operations; i++)
    expected[rng_below(&rng, count)] = (uint32_t)(i + 1);
  struct job job = {run, store, 1,
                    {.work = work_verify, .operations = count, .expected = expected}};
  job_run(&job, NULL);
  free(expected);
}

static void overwrite(const struct run *run, void *store) {
  static struct worker first;
  double *value = run->results->value;
  struct job job = {run, store, 1,
                    {.work = work_overwrite, .seed = 4,
                     .operations = OVERWRITES_A_KEY * run->data.key_count}};
  struct disk_watch *watch = disk_watch_start(run->directory);
  job_measure(&job, METRIC_overwrite, &first);
  if (run->driver->settle != NULL) run->driver->settle(store);
  value[METRIC_disk_peak] = disk_watch_stop(watch) / 1e6;
  value[METRIC_disk] = disk_bytes(run->directory) / 1e6;
  value[METRIC_overwrite_p50] = latency_quantile(&first.latency, 0.5);
  value[METRIC_overwrite_p99] = latency_quantile(&first.latency, 0.99);
  value[METRIC_overwrite_p999] = latency_quantile(&first.latency, 0.999);
  value[METRIC_overwrite_max] = latency_quantile(&first.latency, 1);
  verify_overwritten(run, store, &job.plan);
}

/* Where cleaning can be put off: from a clean start, everything that it would have done. */
static void overwrite_uncleaned(const struct run *run, void *store, struct job *job) {
  run->driver->set_cleaning(store, false);
  run->driver->merge(store);
  job_measure(job, METRIC_dirty, NULL);
}

static void merge(const struct run *run, void *store) {
  struct job job = {run, store, 1,
                    {.work = work_overwrite, .seed = 5,
                     .operations = OVERWRITES_A_KEY * run->data.key_count}};
  bool can_put_off = run->driver->set_cleaning != NULL;
  if (run->driver->merge == NULL) return;
  if (can_put_off) overwrite_uncleaned(run, store, &job);
  double begin = seconds_now();
  run->driver->merge(store);
  run->results->value[METRIC_merge] = (seconds_now() - begin) * 1e3;
  if (!can_put_off) return;
  run->driver->set_cleaning(store, true);
  verify_overwritten(run, store, &job.plan);
}

static void run_main(const struct run *run) {
  uint64_t count = run->data.key_count;
  void *store = open_store(run, false);
  struct job one = {run, store, 1, {.work = work_get, .operations = count, .seed = 1}};
  struct job two = one;
  two.threads = 2;
  struct job absent = {run, store, 1, {.work = work_absent, .operations = count, .seed = 2}};
  struct job scan = {run, store, 1, {.work = work_scan, .operations = count}};

  fill(run, store);
  if (is_selected(run, WORKLOAD_get)) job_measure(&one, METRIC_get, NULL);
  if (is_selected(run, WORKLOAD_absent)) job_measure(&absent, METRIC_absent, NULL);
  if (is_selected(run, WORKLOAD_get2)) job_measure(&two, METRIC_get2, NULL);
  if (is_selected(run, WORKLOAD_scan)) job_measure(&scan, METRIC_scan, NULL);
  if (is_selected(run, WORKLOAD_a)) mix(run, store, 1, 50, METRIC_a);
  if (is_selected(run, WORKLOAD_b)) mix(run, store, 1, 5, METRIC_b);
  if (is_selected(run, WORKLOAD_a2)) mix(run, store, 2, 50, METRIC_a2);
  if (is_selected(run, WORKLOAD_b2)) mix(run, store, 2, 5, METRIC_b2);
  if (is_selected(run, WORKLOAD_overwrite)) overwrite(run, store);
  if (is_selected(run, WORKLOAD_merge)) merge(run, store);
  run->driver->close(store);
}

/* Until the first key can be read. */
static void *open_timed(const struct run *run, enum metric metric) {
  double begin = seconds_now();
  void *store = open_store(run, false);
  struct job job = {run, store, 1, {.work = work_get, .operations = 1, .seed = 6}};
  job_run(&job, NULL);
  run->results->value[metric] = (seconds_now() - begin) * 1e3;
  return store;
}

static void run_reopen(const struct run *run) {
  double before = anonymous_bytes();
  void *store = open_timed(run, METRIC_reopen);
  run->results->value[METRIC_memory_reopened] =
      (anonymous_bytes() - before) / (double)run->data.key_count;
  run->driver->close(store);
  make_cold(run->directory);
  run->driver->close(open_timed(run, METRIC_reopen_cold));
}

static void run_crash(const struct run *run) {
  uint64_t count = run->data.key_count;
  void *store = open_store(run, false);
  struct job job = {run, store, 1,
                    {.work = work_fill, .operations = count / 10, .first = count}};
  job_run(&job, NULL);
  kill(getpid(), SIGKILL);
}

static void count_lost(const struct run *run, void *store) {
  static struct worker first;
  uint64_t count = run->data.key_count;
  struct job fresh = {run, store, 1,
                      {.work = work_count_missing, .operations = count / 10, .first = count}};
  struct job old = {run, store, 1, {.work = work_get, .operations = count / 10, .seed = 7}};
  job_run(&fresh, &first);
  job_run(&old, NULL);
  run->results->value[METRIC_lost] = (double)first.missing;
}

static void run_recover(const struct run *run) {
  struct job job = {run, NULL, 1, {.work = work_delete, .operations = run->data.key_count}};
  bool was_killed = is_selected(run, WORKLOAD_recover);
  job.store = was_killed ? open_timed(run, METRIC_recover) : open_store(run, false);
  if (was_killed) count_lost(run, job.store);
  if (is_selected(run, WORKLOAD_delete)) job_measure(&job, METRIC_delete, NULL);
  run->driver->close(job.store);
}

static void run_durable(const struct run *run) {
  uint64_t puts = run->data.key_count / 100;
  if (puts > SYNC_PUTS_MAX) puts = SYNC_PUTS_MAX;
  void *store = open_store(run, true);
  struct job one = {run, store, 1, {.work = work_fill, .operations = puts}};
  struct job eight = {run, store, 8, {.work = work_fill, .operations = puts / 2, .first = puts}};
  job_measure(&one, METRIC_sync1, NULL);
  job_measure(&eight, METRIC_sync8, NULL);
  run->driver->close(store);
}

bool stage_is_wanted(const struct run *run, enum stage stage) {
  switch (stage) {
    case STAGE_MAIN: return (run->selected & ~(1u << WORKLOAD_sync)) != 0;
    case STAGE_REOPEN: return is_selected(run, WORKLOAD_reopen);
    case STAGE_CRASH: return is_selected(run, WORKLOAD_recover);
    case STAGE_RECOVER:
      return is_selected(run, WORKLOAD_recover) || is_selected(run, WORKLOAD_delete);
    case STAGE_DURABLE: return is_selected(run, WORKLOAD_sync) && run->driver->can_sync;
    default: return false;
  }
}

void stage_run(const struct run *run, enum stage stage) {
  switch (stage) {
    case STAGE_MAIN: run_main(run); break;
    case STAGE_REOPEN: run_reopen(run); break;
    case STAGE_CRASH: run_crash(run); break;
    case STAGE_RECOVER: run_recover(run); break;
    case STAGE_DURABLE: run_durable(run); break;
    default: break;
  }
}
