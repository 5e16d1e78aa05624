/*
 * Mutexes, condition variables, threads, and what tells a forked child from its parent.
 *
 * The annotations are checked by clang's -Wthread-safety; GUARDED_BY cannot be in C and
 * is for the reader.
 */
#ifndef BITCASK_BASE_THREAD_H
#define BITCASK_BASE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#if defined(__clang__)
#define THREAD_ANNOTATION(x) __attribute__((x))
#else
#define THREAD_ANNOTATION(x)
#endif
#define GUARDED_BY(lock)
#define REQUIRES(...) THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define ACQUIRES(...) THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRES(...) THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define RELEASES(...) THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define EXCLUDES(...) THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define UNCHECKED THREAD_ANNOTATION(no_thread_safety_analysis)

struct THREAD_ANNOTATION(capability("mutex")) mutex {
  pthread_mutex_t os;
};

void mutex_init(struct mutex *mutex);
void mutex_destroy(struct mutex *mutex);
void mutex_lock(struct mutex *mutex) ACQUIRES(*mutex);
void mutex_unlock(struct mutex *mutex) RELEASES(*mutex);

/* Lock it if nobody holds it. */
bool mutex_try_lock(struct mutex *mutex) TRY_ACQUIRES(true, *mutex);

/* The same as mutex_lock, for what is mostly held for less than it takes to sleep and to be
 * woken: looks again for a moment first. */
void mutex_lock_soon(struct mutex *mutex) ACQUIRES(*mutex);

struct condition {
  pthread_cond_t os;
};

void condition_init(struct condition *condition);
void condition_destroy(struct condition *condition);
void condition_wait(struct condition *condition, struct mutex *mutex) REQUIRES(*mutex);
/* Seconds of a clock that only goes on. */
double thread_seconds(void);

/* Wait at most `seconds`; real time, for housekeeping only. */
void condition_wait_seconds(struct condition *condition, struct mutex *mutex, double seconds)
    REQUIRES(*mutex);
void condition_wake_all(struct condition *condition);

/* Run `body(context)` on a thread of its own, all signals blocked there. `name`, of at most 15
 * bytes, is what tools of the system show. */
enum bitcask_status thread_start(pthread_t *out, const char *name, void *(*body)(void *),
                                 void *context);

/* What this thread does can wait: it takes no processor away from one that runs, and gets a small
 * part of one that others want. Advice; it may be ignored. */
void thread_be_patient(void);

/* How many threads of this one's kind can run at once; at least 1. */
unsigned thread_processors(void);

/* What tells this thread from all that live; one that has ended may leave it to another. */
static inline uintptr_t thread_identity(void) {
#if defined(__x86_64__) && defined(__linux__)
  uintptr_t self;
  __asm__("mov %%fs:0, %0" : "=r"(self)); /* its control block, which begins with its address */
  return self;
#else
  return (uintptr_t)pthread_self();
#endif
}

/* Can thread_fence_all be called from now on? */
bool thread_fence_all_is_here(void);

/* Have every thread of this process pass a full memory barrier, before this returns, at some place
 * in what it does. False: the system refuses it all of a sudden, as under a filter of calls. */
bool thread_fence_all(void);

/* Let the processor wait for some dozens of nanoseconds, between two looks at what another one is
 * about to change. */
static inline void thread_breathe(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/* This thread works behind the backs of others: from now on it steps aside. */
void thread_begin_background(void);

/* In long work, every few microseconds: lets a thread that wants this processor have it by now, and
 * not only when the system's clock ticks next, milliseconds later. Does nothing if it did something
 * a moment ago, or if somebody may wait for this thread: one that is not in the background. */
void thread_step_aside(void);

/* Let others run for a moment. */
void thread_pause(void);

/* Differs between a process and its forked children: forks are counted from the first call on. */
unsigned thread_process_generation(void);

extern atomic_uint thread_generation_now; /* for the next function alone */

/* Is this still the process that had that generation? Two instructions. */
static inline bool thread_is_process(unsigned generation) {
  return atomic_load_explicit(&thread_generation_now, memory_order_relaxed) == generation;
}

#endif
