#include "engine/event.h"

#include "base/memory.h"

enum { FIRST_CAPACITY = 16 };

void event_hub_init(struct event_hub *hub) {
  mutex_init(&hub->lock);
  hub->queues = NULL;
  hub->consulted = NULL;
}

void event_hub_release(struct event_hub *hub) { mutex_destroy(&hub->lock); }

bool event_subscribe(struct event_hub *hub, struct event_queue *queue) {
  mutex_lock(&hub->lock);
  bool is_refused = queue->consults == BITCASK_CONSULTS && hub->consulted != NULL;
  if (!is_refused) {
    queue->next = hub->queues;
    hub->queues = queue;
    if (queue->consults != BITCASK_CONSULTS_NOT && hub->consulted == NULL) hub->consulted = queue;
  }
  mutex_unlock(&hub->lock);
  return !is_refused;
}

void event_unsubscribe(struct event_hub *hub, struct event_queue *queue) {
  mutex_lock(&hub->lock);
  for (struct event_queue **at = &hub->queues; *at != NULL; at = &(*at)->next) {
    if (*at != queue) continue;
    *at = queue->next;
    break;
  }
  if (hub->consulted == queue) hub->consulted = NULL;
  mutex_unlock(&hub->lock);
}

void event_queue_release(struct event_queue *queue) {
  memory_free(queue->events);
  queue->events = NULL;
  queue->count = queue->capacity = 0;
}

static void grow(struct event_queue *queue) {
  size_t capacity = queue->capacity == 0 ? FIRST_CAPACITY : queue->capacity * 2;
  if (capacity > EVENT_QUEUE_LIMIT) capacity = EVENT_QUEUE_LIMIT;
  struct bitcask_event *events = memory_new(capacity * sizeof *events);
  if (events == NULL) return;
  for (size_t i = 0; i < queue->count; i++)
    events[i] = queue->events[(queue->first + i) % queue->capacity];
  memory_free(queue->events);
  queue->events = events;
  queue->first = 0;
  queue->capacity = capacity;
}

static void append(struct event_queue *queue, const struct bitcask_event *event) {
  if (!queue->wants_events) return;
  if (queue->count == queue->capacity && queue->capacity < EVENT_QUEUE_LIMIT) grow(queue);
  if (queue->capacity == 0) return;
  if (queue->count == queue->capacity) { /* the oldest is lost */
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
  }
  queue->events[(queue->first + queue->count) % queue->capacity] = *event;
  queue->count++;
  atomic_store_explicit(&queue->is_waiting, true, memory_order_release);
}

void event_publish(struct event_hub *hub, const struct bitcask_event *event) {
  mutex_lock(&hub->lock);
  for (struct event_queue *queue = hub->queues; queue != NULL; queue = queue->next)
    append(queue, event);
  mutex_unlock(&hub->lock);
}

void event_publish_to(struct event_hub *hub, struct event_queue *queue,
                      const struct bitcask_event *event) {
  mutex_lock(&hub->lock);
  append(queue, event);
  mutex_unlock(&hub->lock);
}

bool event_is_consulted(struct event_hub *hub, const struct event_queue *queue) {
  mutex_lock(&hub->lock);
  bool is_consulted = hub->consulted == queue;
  mutex_unlock(&hub->lock);
  return is_consulted;
}

void event_note_consult(struct event_hub *hub) {
  mutex_lock(&hub->lock);
  if (hub->consulted != NULL) atomic_fetch_or(&hub->consulted->notes, BITCASK_NOTE_CONSULT);
  mutex_unlock(&hub->lock);
}

void event_note_all(struct event_hub *hub, enum bitcask_note note) {
  mutex_lock(&hub->lock);
  for (struct event_queue *queue = hub->queues; queue != NULL; queue = queue->next)
    atomic_fetch_or(&queue->notes, note);
  mutex_unlock(&hub->lock);
}

unsigned event_take_notes(struct event_queue *queue) {
  if (atomic_load_explicit(&queue->notes, memory_order_relaxed) == 0) return 0;
  return atomic_exchange(&queue->notes, 0);
}

bool event_take(struct event_hub *hub, struct event_queue *queue, struct bitcask_event *out) {
  if (!atomic_load_explicit(&queue->is_waiting, memory_order_acquire)) return false;
  mutex_lock(&hub->lock);
  bool is_there = queue->count > 0;
  if (is_there) {
    *out = queue->events[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
  }
  atomic_store_explicit(&queue->is_waiting, queue->count > 0, memory_order_release);
  mutex_unlock(&hub->lock);
  return is_there;
}
