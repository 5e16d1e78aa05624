/*
 * One thread for work that no caller should wait for: a queue of jobs, and a tick.
 *
 * Threads: adding is safe from any; starting and stopping belong to the owner.
 */
#ifndef BITCASK_ENGINE_WORKER_H
#define BITCASK_ENGINE_WORKER_H

#include "base/thread.h"

struct worker;

typedef void (*worker_function)(void *owner, void *context);

struct worker_kind {
  const char *name;     /* as for thread_start */
  worker_function tick; /* `tick(owner, NULL)` runs every `tick_seconds`, if that is above 0 */
  double tick_seconds;
  bool is_patient; /* its jobs can wait for a processor that nobody else wants */
};

enum bitcask_status worker_start(void *owner, const struct worker_kind *kind, struct worker **out);

/* Run `job(owner, context)` soon. False, for want of memory: it will not be run. */
bool worker_add(struct worker *worker, worker_function job, void *context);

/* Run what is queued, that of a patient one on the caller's thread, too; then end the thread. NULL
 * is fine. */
void worker_stop(struct worker *worker);

#endif
