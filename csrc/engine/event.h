/*
 * Events: what happened in the background, kept for each handle that asked until it
 * fetches them. And notes: marks that say no more than that something is worth a look, for the
 * handle whose policy may be asked, and for those who wait for a merge.
 *
 * Threads: safe. A queue is a leaf lock: nothing else is taken while it is held.
 */
#ifndef BITCASK_ENGINE_EVENT_H
#define BITCASK_ENGINE_EVENT_H

#include <stdatomic.h>

#include "base/thread.h"

enum { EVENT_QUEUE_LIMIT = 1000 };

struct event_queue {
  struct bitcask_event *events; /* a ring of `capacity`; allocated when the first comes */
  size_t first, count, capacity;
  atomic_bool is_waiting; /* so that looking for events costs one load */
  atomic_uint notes;      /* enum bitcask_note, not taken yet */
  bool wants_events;
  enum bitcask_consults consults;
  struct event_queue *next;
};

/* The queues of one engine. */
struct event_hub {
  struct mutex lock;
  struct event_queue *queues;
  struct event_queue *consulted; /* the one whose handle has a policy, or NULL */
};

void event_hub_init(struct event_hub *hub);
void event_hub_release(struct event_hub *hub);

/* False: the handle is to have the policy, and another has it. Else, if it wants to and none
 * has it, it has. */
bool event_subscribe(struct event_hub *hub, struct event_queue *queue);
void event_unsubscribe(struct event_hub *hub, struct event_queue *queue);
/* Forget what an unsubscribed queue still holds. */
void event_queue_release(struct event_queue *queue);

/* Give the event to every queue. For want of memory it may be lost. */
void event_publish(struct event_hub *hub, const struct bitcask_event *event);

/* Give the event to one queue. */
void event_publish_to(struct event_hub *hub, struct event_queue *queue,
                      const struct bitcask_event *event);

bool event_is_consulted(struct event_hub *hub, const struct event_queue *queue);

/* Leave a note for the handle that has the policy, or for all. */
void event_note_consult(struct event_hub *hub);
void event_note_all(struct event_hub *hub, enum bitcask_note note);

/* The notes since the last time, of enum bitcask_note. */
unsigned event_take_notes(struct event_queue *queue);

static inline bool event_has_news(const struct event_queue *queue) {
  return atomic_load_explicit(&queue->is_waiting, memory_order_relaxed) ||
         atomic_load_explicit(&queue->notes, memory_order_relaxed) != 0;
}

bool event_take(struct event_hub *hub, struct event_queue *queue, struct bitcask_event *out);

#endif
