/*
 * Events: what happened in the background, kept for each handle that asked until it
 * fetches them.
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
  struct event_queue *next;
};

/* The queues of one engine. */
struct event_hub {
  struct mutex lock;
  struct event_queue *queues;
};

void event_hub_init(struct event_hub *hub);
void event_hub_release(struct event_hub *hub);

void event_subscribe(struct event_hub *hub, struct event_queue *queue);
void event_unsubscribe(struct event_hub *hub, struct event_queue *queue);
/* Forget what an unsubscribed queue still holds. */
void event_queue_release(struct event_queue *queue);

/* Give the event to every queue. For want of memory it may be lost. */
void event_publish(struct event_hub *hub, const struct bitcask_event *event);

/* Give the event to one queue. */
void event_publish_to(struct event_hub *hub, struct event_queue *queue,
                      const struct bitcask_event *event);

bool event_take(struct event_hub *hub, struct event_queue *queue, struct bitcask_event *out);

#endif
