#include "worker.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct worker {
  const struct job *job;
  const struct plan *plan;
  unsigned index;
  void *session;
  uint64_t done;
  uint64_t deadline; /* ticks, less those waited */
  double begin, end; /* seconds_own */
  uint64_t waited;   /* ticks, as they were when last looked at */
  struct value_maker maker;
  struct outcome outcome;
  pthread_barrier_t *barrier;
  pthread_t thread;
};

/* ---- Operations ------------------------------------------------------------------ */

/* Ticks that the thread has waited for a processor since this was last called. To ask takes a
 * microsecond or two: only what took long is asked for it. */
static uint64_t waited_since(struct worker *worker) {
  uint64_t before = worker->waited;
  worker->waited = (uint64_t)(seconds_waited() * ticks_a_second());
  return worker->waited - before;
}

/* The time in which it waited does not count. */
static bool is_past_deadline(struct worker *worker) {
  if (ticks_now() - worker->waited < worker->deadline) return false;
  waited_since(worker);
  return ticks_now() - worker->waited >= worker->deadline;
}

/* Whether operation i is still to be done. The clock is looked at now and then. */
static bool goes_on(struct worker *worker, uint64_t i) {
  worker->done = i;
  if (i == worker->plan->operations) return false;
  return (i & 31) != 31 || !is_past_deadline(worker);
}

static void put(struct worker *worker, uint64_t id, uint64_t generation) {
  char bytes[KEY_BUFFER_SIZE];
  driver_bytes key = key_make(worker->job->data, id, bytes);
  driver_bytes value = value_make(&worker->maker, id, generation);
  worker->job->driver->put(worker->session, key, value);
}

static void timed_put(struct worker *worker, uint64_t id, uint64_t generation) {
  enum { LONG_TICKS = 100000 }; /* some 40 microseconds */
  uint64_t begin = ticks_now();
  put(worker, id, generation);
  uint64_t end = ticks_now(), taken = end - begin;
  if (taken > LONG_TICKS && own_time_is_used()) {
    uint64_t waited = waited_since(worker);
    taken -= waited < taken ? waited : taken;
  }
  latency_add(&worker->outcome.latency, taken);
  timeline_add(&worker->outcome.timeline, end - worker->waited);
}

static bool find(struct worker *worker, uint64_t id, driver_bytes *value) {
  char bytes[KEY_BUFFER_SIZE];
  driver_bytes key = key_make(worker->job->data, id, bytes);
  return worker->job->driver->get(worker->session, key, value);
}

/* The generation of the value of a key that must be there. */
static uint64_t get(struct worker *worker, uint64_t id) {
  driver_bytes value;
  if (!find(worker, id, &value)) driver_die("key %llu is missing", (unsigned long long)id);
  return value_check(worker->job->data, id, value);
}

/* ---- Works ----------------------------------------------------------------------- */

static struct rng rng_of(uint64_t seed, unsigned index) {
  return (struct rng){mix64(seed * UINT64_C(1000003) + index)};
}

static uint64_t id_of(const struct plan *plan, struct rng *rng, uint64_t key_count, uint64_t i) {
  return plan->ids != NULL ? plan->ids[i] : rng_below(rng, key_count);
}

void work_fill(struct worker *worker) {
  uint64_t first = worker->plan->first + worker->index * worker->plan->operations;
  for (uint64_t i = 0; goes_on(worker, i); i++) timed_put(worker, first + i, 0);
}

void work_get(struct worker *worker) {
  struct rng rng = rng_of(worker->plan->seed, worker->index);
  for (uint64_t i = 0; goes_on(worker, i); i++)
    get(worker, rng_below(&rng, worker->job->data->key_count));
}

void work_absent(struct worker *worker) {
  struct rng rng = rng_of(worker->plan->seed, worker->index);
  driver_bytes value;
  for (uint64_t i = 0; goes_on(worker, i); i++)
    if (find(worker, ABSENT_ID + rng_below(&rng, ABSENT_ID), &value))
      driver_die("a key was found that was never put");
}

void work_overwrite(struct worker *worker) {
  const struct plan *plan = worker->plan;
  uint64_t key_count = worker->job->data->key_count;
  struct rng rng = rng_of(plan->seed, 0);
  for (uint64_t i = 0; goes_on(worker, i); i++)
    timed_put(worker, id_of(plan, &rng, key_count, i), plan->base + i + 1);
}

uint32_t *plan_expected(const struct plan *plan, uint64_t key_count, uint64_t operations) {
  uint32_t *expected = driver_allocate(key_count * sizeof *expected);
  memset(expected, 0, key_count * sizeof *expected);
  struct rng rng = rng_of(plan->seed, 0);
  for (uint64_t i = 0; i < operations; i++)
    expected[id_of(plan, &rng, key_count, i)] = (uint32_t)(i + 1);
  return expected;
}

void work_verify(struct worker *worker) {
  const struct plan *plan = worker->plan;
  for (uint64_t id = 0; goes_on(worker, id); id++) {
    uint64_t generation = get(worker, id);
    if (plan->expected[id] != 0 && plan->base + plan->expected[id] != generation)
      driver_die("key %llu has an old value", (unsigned long long)id);
  }
}

void work_mix(struct worker *worker) {
  const struct plan *plan = worker->plan;
  struct rng rng = rng_of(plan->seed, worker->index);
  const uint32_t *ids = plan->ids + worker->index * plan->operations;
  for (uint64_t i = 0; goes_on(worker, i); i++) {
    if (rng_below(&rng, 100) < plan->put_percent)
      put(worker, ids[i], MIXED_GENERATION + i);
    else
      get(worker, ids[i]);
  }
}

void work_delete(struct worker *worker) {
  char bytes[KEY_BUFFER_SIZE];
  for (uint64_t i = 0; goes_on(worker, i); i++)
    worker->job->driver->remove(worker->session, key_make(worker->job->data, i, bytes));
}

void work_count_missing(struct worker *worker) {
  driver_bytes value;
  for (uint64_t i = 0; goes_on(worker, i); i++)
    if (!find(worker, worker->plan->first + i, &value)) worker->outcome.missing++;
}

struct tally {
  const struct data *data;
  uint64_t pairs;
  uint64_t keys; /* the sum of their first words: no key stands for another */
};

static uint64_t key_word(const char *key) {
  uint64_t word;
  memcpy(&word, key, 8);
  return word;
}

static void count_pair(void *context, driver_bytes key, driver_bytes value) {
  struct tally *tally = context;
  value_check(tally->data, key_id(tally->data, key), value);
  tally->pairs++;
  tally->keys += key_word(key.data);
}

static uint64_t sum_of_keys(const struct data *data, uint64_t count) {
  char bytes[KEY_BUFFER_SIZE];
  uint64_t sum = 0;
  for (uint64_t id = 0; id < count; id++) sum += key_word(key_make(data, id, bytes).data);
  return sum;
}

void work_scan(struct worker *worker) {
  struct tally tally = {.data = worker->job->data};
  worker->job->driver->scan(worker->session, count_pair, &tally);
  worker->done = tally.pairs;
  if (tally.pairs != worker->plan->operations)
    driver_die("the scan yields %llu pairs", (unsigned long long)tally.pairs);
  worker->end = seconds_own();
  if (tally.keys != sum_of_keys(worker->job->data, worker->plan->operations))
    driver_die("the scan yields a key twice, and another not at all");
}

/* ---- Running them ---------------------------------------------------------------- */

static void *run_worker(void *context) {
  struct worker *worker = context;
  const struct job *job = worker->job;
  value_maker_init(&worker->maker, job->data);
  worker->session = job->driver->session_open(job->store);
  pthread_barrier_wait(worker->barrier);
  waited_since(worker);
  timeline_start(&worker->outcome.timeline, ticks_now() - worker->waited);
  worker->deadline = UINT64_MAX;
  if (worker->plan->seconds > 0)
    worker->deadline = ticks_now() - worker->waited + (uint64_t)(worker->plan->seconds * ticks_a_second());
  worker->begin = seconds_own();
  worker->plan->work(worker);
  if (worker->end == 0) worker->end = seconds_own();
  pthread_barrier_wait(worker->barrier);
  job->driver->session_close(worker->session);
  value_maker_release(&worker->maker);
  return NULL;
}

static void start_worker(struct worker *worker, const struct job *job, unsigned index,
                         pthread_barrier_t *barrier) {
  memset(worker, 0, sizeof *worker);
  worker->job = job;
  worker->plan = &job->plan;
  worker->index = index;
  worker->barrier = barrier;
  if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
    driver_die("cannot start a thread");
}

static void sum_up(const struct worker *workers, unsigned threads, struct outcome *outcome) {
  *outcome = workers[0].outcome;
  outcome->operations = workers[0].done;
  outcome->seconds = workers[0].end - workers[0].begin;
  for (unsigned i = 1; i < threads; i++) {
    outcome->seconds = fmax(outcome->seconds, workers[i].end - workers[i].begin);
    outcome->operations += workers[i].done;
    outcome->missing += workers[i].outcome.missing;
  }
}

void job_run(const struct job *job, struct outcome *outcome) {
  struct worker *workers = driver_allocate(job->threads * sizeof *workers);
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, job->threads);
  for (unsigned i = 0; i < job->threads; i++) start_worker(&workers[i], job, i, &barrier);
  for (unsigned i = 0; i < job->threads; i++) pthread_join(workers[i].thread, NULL);
  pthread_barrier_destroy(&barrier);
  if (outcome != NULL) sum_up(workers, job->threads, outcome);
  free(workers);
}
