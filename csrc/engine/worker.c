#include "engine/worker.h"

#include "base/memory.h"

struct job {
  worker_function run;
  void *context;
  struct job *next;
};

struct worker {
  void *owner;
  struct worker_kind kind;
  double next_tick; /* by the clock of thread_seconds */
  pthread_t thread;
  struct mutex lock;
  struct condition changed;
  struct job *first GUARDED_BY(lock);
  struct job **last GUARDED_BY(lock);
  bool is_stopping GUARDED_BY(lock);
};

static void wait_for_work(struct worker *worker) REQUIRES(worker->lock) {
  double left = worker->next_tick - thread_seconds();
  if (worker->kind.tick_seconds > 0 && left > 0)
    condition_wait_seconds(&worker->changed, &worker->lock, left);
  else if (worker->kind.tick_seconds <= 0)
    condition_wait(&worker->changed, &worker->lock);
}

static struct job *take_job(struct worker *worker) REQUIRES(worker->lock) {
  struct job *job = worker->first;
  if (job == NULL) return NULL;
  worker->first = job->next;
  if (worker->first == NULL) worker->last = &worker->first;
  return job;
}

/* A tick comes when its time has come, however many jobs wait; but where ticks take longer than
 * the time between them, a job comes between two. */
static bool is_tick_due(const struct worker *worker) {
  return worker->kind.tick_seconds > 0 && thread_seconds() >= worker->next_tick;
}

static void run_tick(struct worker *worker) {
  worker->next_tick = thread_seconds() + worker->kind.tick_seconds;
  worker->kind.tick(worker->owner, NULL);
}

static void *run(void *context) {
  struct worker *worker = context;
  bool has_ticked = false;
  if (worker->kind.is_patient) thread_be_patient();
  thread_begin_background();
  mutex_lock(&worker->lock);
  for (;;) {
    bool is_due = is_tick_due(worker) && !(has_ticked && worker->first != NULL);
    struct job *job = is_due ? NULL : take_job(worker);
    if (job == NULL && worker->is_stopping && worker->first == NULL) break;
    if (job == NULL && !is_due) {
      wait_for_work(worker);
      continue;
    }
    mutex_unlock(&worker->lock);
    has_ticked = is_due;
    if (is_due)
      run_tick(worker);
    else
      job->run(worker->owner, job->context);
    memory_free(job);
    mutex_lock(&worker->lock);
  }
  mutex_unlock(&worker->lock);
  return NULL;
}

enum bitcask_status worker_start(void *owner, const struct worker_kind *kind,
                                 struct worker **out) {
  struct worker *worker = memory_zeroed(1, sizeof *worker);
  if (worker == NULL) return BITCASK_NOMEMORY;
  worker->owner = owner;
  worker->kind = *kind;
  worker->next_tick = thread_seconds() + kind->tick_seconds;
  worker->last = &worker->first;
  mutex_init(&worker->lock);
  condition_init(&worker->changed);
  enum bitcask_status status = thread_start(&worker->thread, kind->name, run, worker);
  if (status != BITCASK_OK) {
    memory_free(worker);
    return status;
  }
  *out = worker;
  return BITCASK_OK;
}

bool worker_add(struct worker *worker, worker_function function, void *context) {
  struct job *job = memory_new(sizeof *job);
  if (job == NULL) return false;
  *job = (struct job){function, context, NULL};
  mutex_lock(&worker->lock);
  *worker->last = job;
  worker->last = &job->next;
  mutex_unlock(&worker->lock);
  condition_wake_all(&worker->changed); /* behind the lock, which the thread wants first */
  return true;
}

/* Who waits for a patient one helps: its thread may be without a processor for long. */
static void help(struct worker *worker) REQUIRES(worker->lock) {
  struct job *job;
  while (worker->kind.is_patient && (job = take_job(worker)) != NULL) {
    mutex_unlock(&worker->lock);
    job->run(worker->owner, job->context);
    memory_free(job);
    mutex_lock(&worker->lock);
  }
}

void worker_stop(struct worker *worker) {
  if (worker == NULL) return;
  mutex_lock(&worker->lock);
  worker->is_stopping = true;
  condition_wake_all(&worker->changed);
  help(worker);
  mutex_unlock(&worker->lock);
  pthread_join(worker->thread, NULL);
  mutex_destroy(&worker->lock);
  condition_destroy(&worker->changed);
  memory_free(worker);
}
