/*
 * Group commit: of all who wait until their writes are durable, one flushes for the others.
 *
 *   append ──> wait ──> lead: flush, publish ──> hand on
 *                │                  │ told
 *                └──────────────────┴──> return
 *
 * Who leads hands on to one who arrived during the flush, and wakes nobody else but those whose
 * writes are published: woken together, all the others would only find that they have to wait.
 *
 * Threads: any.
 */
#ifndef BITCASK_ENGINE_COMMIT_H
#define BITCASK_ENGINE_COMMIT_H

#include "base/thread.h"

struct commit_waiter;

struct commit {
  struct mutex lock;
  bool is_led GUARDED_BY(lock);
  struct commit_waiter *first GUARDED_BY(lock); /* of those who wait, in the order they came */
  struct commit_waiter **last GUARDED_BY(lock);
  uint64_t published GUARDED_BY(lock);          /* every ticket up to it */
};

void commit_init(struct commit *commit);
void commit_destroy(struct commit *commit);

/* Make durable and publish what has been appended by now, the ticket's writes at least, and say
 * so by commit_tell. */
typedef enum bitcask_status (*commit_flush)(void *context, uint64_t ticket);

/* Wait until the ticket is published, or fail as `flush` did when this thread called it. */
enum bitcask_status commit_wait(struct commit *commit, uint64_t ticket, commit_flush flush,
                                void *context);

/* Everything up to the ticket is published: whoever waits for it goes on. */
void commit_tell(struct commit *commit, uint64_t ticket);

#endif
