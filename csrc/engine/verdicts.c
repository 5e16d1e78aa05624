#include "engine/verdicts.h"

#include "base/memory.h"
#include "engine/write.h"

static enum bitcask_status make_room(struct verdicts *verdicts) {
  if (verdicts->count < verdicts->capacity) return BITCASK_OK;
  size_t capacity = verdicts->capacity * 2 + 64;
  struct verdict *items = memory_resize(verdicts->items, capacity, sizeof *items);
  if (items == NULL) return BITCASK_NOMEMORY;
  verdicts->items = items;
  verdicts->capacity = capacity;
  return BITCASK_OK;
}

static enum bitcask_status add(struct verdicts *verdicts, const struct record *record,
                               bitcask_bytes value, bool is_delete) {
  TRY(make_room(verdicts));
  uint8_t *bytes = memory_new(record->key.size + value.size + 1);
  if (bytes == NULL) return BITCASK_NOMEMORY;
  if (record->key.size > 0) memcpy(bytes, record->key.data, record->key.size);
  if (value.size > 0) memcpy(bytes + record->key.size, value.data, value.size);
  verdicts->items[verdicts->count++] =
      (struct verdict){.key = bytes_of(bytes, record->key.size),
                       .value = bytes_of(bytes + record->key.size, value.size),
                       .version = record->version,
                       .expires = record->expires,
                       .is_delete = is_delete};
  return BITCASK_OK;
}

enum bitcask_status verdicts_add_drop(struct verdicts *verdicts, const struct record *record) {
  return add(verdicts, record, bytes_of(NULL, 0), true);
}

enum bitcask_status verdicts_add_rewrite(struct verdicts *verdicts, const struct record *record,
                                         bitcask_bytes value) {
  return add(verdicts, record, value, false);
}

static struct write_request request_of(const struct verdict *verdict) {
  return (struct write_request){
      .key = verdict->key,
      .value = verdict->value,
      .ttl_ms = BITCASK_TTL_NEVER,
      .expires = verdict->expires,
      .is_delete = verdict->is_delete,
      .condition = {.is_set = true, .is_optional = true, .version = verdict->version}};
}

/* So many at a time: writers and readers are not kept waiting for long. */
enum { GROUP_SIZE = 256 };

/* Drops and rewrites are written apart, so that each is counted, and that drops alone, which
 * free space, may use what is kept for deletes. */
static size_t take_group(const struct verdicts *verdicts, uint64_t budget,
                         struct write_request requests[GROUP_SIZE]) {
  const struct verdict *first = &verdicts->items[verdicts->done];
  size_t left = verdicts->count - verdicts->done, count = 0;
  for (uint64_t bytes = 0; count < left && count < GROUP_SIZE && bytes < budget; count++) {
    if (first[count].is_delete != first->is_delete) break;
    requests[count] = request_of(&first[count]);
    bytes += record_size(first[count].key.size, first[count].value.size, 0);
  }
  return count;
}

static void count_done(struct verdicts *verdicts, size_t count, size_t written) {
  bool is_delete = verdicts->items[verdicts->done].is_delete;
  *(is_delete ? &verdicts->keys_dropped : &verdicts->keys_rewritten) += written;
  for (size_t i = 0; i < count; i++) {
    struct verdict *verdict = &verdicts->items[verdicts->done++];
    memory_free((void *)verdict->key.data);
    verdict->key = verdict->value = bytes_of(NULL, 0);
  }
}

enum bitcask_status verdicts_carry_out(struct verdicts *verdicts, struct engine *engine,
                                       uint64_t budget) {
  struct write_request requests[GROUP_SIZE];
  struct write_outcome outcome;
  if (verdicts_are_done(verdicts)) return BITCASK_OK;
  size_t count = take_group(verdicts, budget, requests);
  TRY(engine_write_group(engine, requests, count, NULL, 0, &outcome));
  count_done(verdicts, count, outcome.count);
  return BITCASK_OK;
}

void verdicts_clear(struct verdicts *verdicts) {
  for (size_t i = verdicts->done; i < verdicts->count; i++)
    memory_free((void *)verdicts->items[i].key.data);
  memory_free(verdicts->items);
  *verdicts = (struct verdicts){.keys_dropped = verdicts->keys_dropped,
                                .keys_rewritten = verdicts->keys_rewritten};
}
