#include "engine/commit.h"

enum fate { WAITS, LEADS, TOLD };

struct commit_waiter {
  uint64_t ticket;
  enum fate fate;
  struct condition changed;
  struct commit_waiter *next;
};

void commit_init(struct commit *commit) {
  *commit = (struct commit){0};
  mutex_init(&commit->lock);
  commit->last = &commit->first;
}

void commit_destroy(struct commit *commit) { mutex_destroy(&commit->lock); }

/* ---- Waiting ---- */

static void wait_for_fate(struct commit *commit, struct commit_waiter *me)
    REQUIRES(commit->lock) {
  me->fate = WAITS;
  condition_init(&me->changed);
  *commit->last = me;
  commit->last = &me->next;
  while (me->fate == WAITS) condition_wait(&me->changed, &commit->lock);
  condition_destroy(&me->changed);
}

/* Take the waiter that *link leads to out of the list. */
static void decide(struct commit *commit, struct commit_waiter **link, enum fate fate)
    REQUIRES(commit->lock) {
  struct commit_waiter *waiter = *link;
  *link = waiter->next;
  if (waiter->next == NULL) commit->last = link;
  waiter->fate = fate;
  condition_wake_all(&waiter->changed); /* under the lock: it is gone as soon as it knows */
}

void commit_tell(struct commit *commit, uint64_t ticket) {
  mutex_lock(&commit->lock);
  commit->published = ticket;
  for (struct commit_waiter **link = &commit->first; *link != NULL;) {
    if ((*link)->ticket > ticket)
      link = &(*link)->next;
    else
      decide(commit, link, TOLD);
  }
  mutex_unlock(&commit->lock);
}

/* ---- Leading ---- */

static void hand_on(struct commit *commit) REQUIRES(commit->lock) {
  commit->is_led = commit->first != NULL;
  if (commit->is_led) decide(commit, &commit->first, LEADS);
}

static enum bitcask_status lead(struct commit *commit, uint64_t ticket, commit_flush flush,
                                void *context) REQUIRES(commit->lock) UNCHECKED {
  mutex_unlock(&commit->lock);
  enum bitcask_status status = flush(context, ticket);
  mutex_lock(&commit->lock);
  hand_on(commit);
  return status;
}

enum bitcask_status commit_wait(struct commit *commit, uint64_t ticket, commit_flush flush,
                                void *context) {
  struct commit_waiter me = {.ticket = ticket, .fate = LEADS};
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&commit->lock);
  if (commit->published >= ticket)
    me.fate = TOLD;
  else if (commit->is_led)
    wait_for_fate(commit, &me);
  if (me.fate == LEADS) {
    commit->is_led = true;
    status = lead(commit, ticket, flush, context);
  }
  mutex_unlock(&commit->lock);
  return status;
}
