#include "base/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/membarrier.h>)
#define HAS_MEMBARRIER
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif
#include <sys/resource.h>
#include <time.h>

void mutex_init(struct mutex *mutex) { pthread_mutex_init(&mutex->os, NULL); }
void mutex_destroy(struct mutex *mutex) { pthread_mutex_destroy(&mutex->os); }
void mutex_lock(struct mutex *mutex) UNCHECKED { pthread_mutex_lock(&mutex->os); }
void mutex_unlock(struct mutex *mutex) UNCHECKED { pthread_mutex_unlock(&mutex->os); }

bool mutex_try_lock(struct mutex *mutex) UNCHECKED {
  return pthread_mutex_trylock(&mutex->os) == 0;
}

/* Between two tries there are several breaths: each try takes the lock's cache line away from
 * who holds it. */
void mutex_lock_soon(struct mutex *mutex) UNCHECKED {
  enum { TRIES = 100, BREATHS = 4 };
  for (int try = 0; try < TRIES; try++) {
    if (mutex_try_lock(mutex)) return;
    for (int i = 0; i < BREATHS; i++) thread_breathe();
  }
  mutex_lock(mutex);
}

void condition_init(struct condition *condition) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&condition->os, &attributes);
  pthread_condattr_destroy(&attributes);
}

void condition_destroy(struct condition *condition) { pthread_cond_destroy(&condition->os); }

void condition_wait(struct condition *condition, struct mutex *mutex) {
  pthread_cond_wait(&condition->os, &mutex->os);
}

double thread_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void condition_wait_seconds(struct condition *condition, struct mutex *mutex, double seconds) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  if (seconds > 1e6) seconds = 1e6;
  time_t whole = (time_t)seconds;
  until.tv_sec += whole;
  until.tv_nsec += (long)((seconds - (double)whole) * 1e9);
  if (until.tv_nsec >= 1000000000L) {
    until.tv_nsec -= 1000000000L;
    until.tv_sec += 1;
  }
  pthread_cond_timedwait(&condition->os, &mutex->os, &until);
}

void condition_wake_all(struct condition *condition) { pthread_cond_broadcast(&condition->os); }

enum bitcask_status thread_start(pthread_t *out, const char *name, void *(*body)(void *),
                                 void *context) {
  /* The host's signal handlers are the host's business: none runs on our threads. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(out, NULL, body, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0) pthread_setname_np(*out, name);
  if (error != 0)
    return status_fail(BITCASK_NOMEMORY, "cannot start a thread: %s", strerror(error));
  return BITCASK_OK;
}

void thread_be_patient(void) {
  enum { STEPS = 10 }; /* a tenth of what one gets beside it */
  struct sched_param none = {0};
  if (sched_getscheduler(0) == SCHED_OTHER) sched_setscheduler(0, SCHED_BATCH, &none);
  /* Of the calling thread alone, on Linux. */
  setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + STEPS);
}

unsigned thread_processors(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static _Thread_local bool is_background;

void thread_begin_background(void) { is_background = true; }

/* Where all processors are wanted it may take long until this thread has one again: then it works
 * for half as long before it offers it, and so gets a third at least. */
void thread_step_aside(void) {
  const double AT_MOST_EVERY = 100e-6;
  static _Thread_local double next;
  if (!is_background) return;
  double now = thread_seconds();
  if (now < next) return;
  sched_yield();
  double again = thread_seconds(), half = (again - now) / 2;
  next = again + (half > AT_MOST_EVERY ? half : AT_MOST_EVERY);
}

void thread_pause(void) {
  struct timespec moment = {0, 50000};
  nanosleep(&moment, NULL);
}

/* ---- Barriers ---- */

#ifdef HAS_MEMBARRIER
static long membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

/* Registering holds for this process: a forked child asks again when it opens a store. */
bool thread_fence_all_is_here(void) {
  int before = errno;
  bool is_here = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
  errno = before;
  return is_here;
}

/* The other one takes longer, and asks for no registration. */
bool thread_fence_all(void) {
  int before = errno;
  bool is_done = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0 ||
                 membarrier(MEMBARRIER_CMD_GLOBAL) == 0;
  errno = before;
  return is_done;
}
#else
bool thread_fence_all_is_here(void) { return false; }
bool thread_fence_all(void) { return false; }
#endif

/* ---- Forks ---- */

atomic_uint thread_generation_now = 1;

static void count_fork(void) { atomic_fetch_add(&thread_generation_now, 1); }

static void watch_forks(void) { pthread_atfork(NULL, NULL, count_fork); }

unsigned thread_process_generation(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  return atomic_load_explicit(&thread_generation_now, memory_order_relaxed);
}
