#include "engine/write.h"

#include <inttypes.h>

#include "base/mutant.h"
#include "engine/ahead.h"
#include "engine/checkpointing.h"
#include "engine/closing.h"
#include "engine/flush.h"
#include "engine/lookup.h"
#include "engine/publish.h"
#include "engine/reserve.h"
#include "engine/rotation.h"
#include "engine/settle.h"

/* A request on its way to the segment. */
struct write {
  struct record record;
  struct pending_write pending;
};

/* Records and writes of one group; the first `count` are to be written. */
struct group {
  struct write *writes;
  struct record **records; /* of the writes, for the segment */
  uint64_t *offsets;
  size_t count;
  uint64_t bytes;
  bool has_only_deletes;
  struct keydir_entry found; /* what the key of a single write had in the keydir */
};

/* No segment, however large a batch makes it, may go beyond what a place can tell. */
#define GROUP_BYTES_MAX (UINT64_C(1) << 34)

/* ---- Conditions ---- */

/* The version that the key has, as far as was published; 0: there is no such key. */
static enum bitcask_status current_version(struct engine *engine, bitcask_bytes key,
                                           uint64_t hash, uint64_t *out)
    REQUIRES(engine->write_lock) {
  struct bitcask_buffer scratch = {0};
  struct located located;
  enum bitcask_status status = engine_locate_live(engine, key, hash, &scratch, &located);
  *out = status == BITCASK_OK ? located.record.version : 0;
  buffer_release(&scratch);
  return status == BITCASK_ABSENT ? BITCASK_OK : status;
}

static enum bitcask_status check_version(struct engine *engine, bitcask_bytes key, uint64_t hash,
                                         uint64_t expected)
    REQUIRES(engine->write_lock) {
  uint64_t version = 0;
  TRY(current_version(engine, key, hash, &version));
  if (version == expected) return BITCASK_OK;
  if (version == 0)
    return status_fail(BITCASK_CONFLICT, "the key was to have version %" PRIu64 ", and is not there",
                       expected);
  if (expected == 0)
    return status_fail(BITCASK_CONFLICT, "the key was not to be there, and has version %" PRIu64,
                       version);
  return status_fail(BITCASK_CONFLICT,
                     "the key was to have version %" PRIu64 ", and has version %" PRIu64, expected,
                     version);
}

/* ---- From requests to records ---- */

static uint64_t expires_at(struct engine *engine, uint64_t ttl_ms) {
  if (ttl_ms == BITCASK_TTL_DEFAULT) ttl_ms = engine->options.ttl_ms;
  if (ttl_ms == 0 || ttl_ms == BITCASK_TTL_NEVER) return 0;
  uint64_t now = engine->disk->ops->now_ms(engine->disk);
  return ttl_ms > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + ttl_ms;
}

static enum bitcask_status prepare(struct engine *engine, const struct write_request *request,
                                   struct write *out) {
  *out = (struct write){.record = {.key = request->key}};
  TRY(hash_of(&engine->hash, request->key, &out->pending.hash));
  keydir_prefetch(engine->keydir, out->pending.hash);
  struct record *record = &out->record;
  if (request->is_delete) {
    record->flags = RECORD_TOMBSTONE;
  } else {
    record->value = request->value;
    record->expires = request->expires > 0 ? request->expires
                                            : expires_at(engine, request->ttl_ms);
    if (record->expires > 0) record->flags = RECORD_EXPIRES;
  }
  record->value_check = record_value_check(record->value);
  out->pending.key = request->key;
  out->pending.expires = record->expires;
  out->pending.is_tombstone = request->is_delete;
  out->pending.size = record_size_of(record);
  return BITCASK_OK;
}

/* Is there anything to delete: published, or put earlier in the same group? A damaged record
 * counts: it can be deleted. */
static bool is_there(struct engine *engine, const struct group *group,
                     const struct write *write) REQUIRES(engine->write_lock) {
  uint64_t version = 0;
  enum bitcask_status status =
      current_version(engine, write->record.key, write->pending.hash, &version);
  if (status != BITCASK_OK || version != 0) return true;
  for (size_t i = 0; !group->has_only_deletes && i < group->count; i++)
    if (group->writes[i].pending.hash == write->pending.hash) return true;
  return false;
}

/* ---- Appending ---- */

static void number(struct engine *engine, struct group *group) REQUIRES(engine->write_lock) {
  uint64_t version = atomic_load_explicit(&engine->last_version, memory_order_relaxed);
  for (size_t i = 0; i < group->count; i++) {
    struct write *write = &group->writes[i];
    write->record.version = write->pending.version = ++version;
    if (i + 1 < group->count) write->record.flags |= RECORD_CONTINUES;
    group->records[i] = &write->record;
  }
}

static void place_writes(struct engine *engine, struct group *group) REQUIRES(engine->write_lock) {
  uint64_t ticket = atomic_load_explicit(&engine->appended_ticket, memory_order_relaxed) + 1;
  for (size_t i = 0; i < group->count; i++) {
    struct pending_write *pending = &group->writes[i].pending;
    pending->at = place_make(engine->active->slot, group->offsets[i],
                             pending->expires > 0 ? PLACE_EXPIRES : 0);
    pending->ticket = ticket;
  }
  atomic_store_explicit(&engine->last_version, group->writes[group->count - 1].pending.version,
                        memory_order_relaxed);
  atomic_store_explicit(&engine->appended_ticket, ticket, memory_order_release);
}

static enum bitcask_status reserve(struct engine *engine, struct group *group)
    REQUIRES(engine->write_lock) {
  if (group->count == 1) {
    TRY(publish_reserve_one(engine, &group->writes[0].pending, &group->found));
    engine_prefetch(engine, &group->found); /* to be compared with after the append */
    return BITCASK_OK;
  }
  struct pending_write *all = memory_new(group->count * sizeof *all);
  if (all == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < group->count; i++) all[i] = group->writes[i].pending;
  enum bitcask_status status = publish_reserve(engine, all, group->count);
  memory_free(all);
  return status;
}

static enum bitcask_status try_append(struct engine *engine, struct group *group)
    REQUIRES(engine->write_lock) {
  if (group->bytes > GROUP_BYTES_MAX)
    return status_fail(BITCASK_TOOLARGE,
                       "the batch is %" PRIu64 " bytes; at most %" PRIu64
                       " can be written as one",
                       group->bytes, GROUP_BYTES_MAX);
  TRY(rotation_make_room(engine, group->bytes, group->has_only_deletes));
  TRY(reserve(engine, group));
  number(engine, group);
  size_t headroom = group->has_only_deletes ? 0 : engine_headroom(engine);
  TRY(segment_append_all(engine->active, group->records, group->count, headroom, group->offsets));
  place_writes(engine, group);
  engine_add(&engine->counters.bytes_written, group->bytes);
  engine_add(&engine->counters.records_written, group->count);
  rotation_flush_ahead(engine);
  ahead_look(engine, group->bytes);
  rotation_note_growth(engine);
  checkpointing_look(engine);
  return BITCASK_OK;
}

/* What a merge has replaced may not be closed yet, and the next segment has space already. What is
 * full has space beyond its end, which settling gives back, even where there is none for the
 * edit. */
static bool has_given_back(struct engine *engine) REQUIRES(engine->write_lock) {
  bool is_any = engine_finish_closing(engine);
  is_any |= rotation_give_back_next(engine);
  if (!settle_is_due(engine)) return is_any;
  enum bitcask_status status = settle_full(engine, SETTLE_LATER);
  return is_any || status == BITCASK_OK || status == BITCASK_NOSPACE;
}

/* For deletes the reserve may be given up: they come before the merge that frees space. */
static enum bitcask_status append(struct engine *engine, struct group *group)
    REQUIRES(engine->write_lock) {
  enum bitcask_status status = try_append(engine, group);
  if (status == BITCASK_NOSPACE) {
    struct status_text cause = status_text_keep();
    bool is_worth_another = has_given_back(engine);
    status_text_restore(&cause);
    if (is_worth_another) status = try_append(engine, group);
  }
  if (status != BITCASK_NOSPACE || !group->has_only_deletes || !reserve_spend(engine, RESERVE_WORK))
    return status;
  return try_append(engine, group);
}

static void count_in_group(struct group *group, const struct write *write) {
  group->count++;
  group->bytes += write->pending.size;
  group->has_only_deletes &= write->pending.is_tombstone;
}

static void add_to_group(struct group *group, const struct write *write) {
  group->writes[group->count] = *write;
  count_in_group(group, write);
}

/* ---- Making it durable and visible ---- */

/* Flush what was appended up to the ticket, and more, unless that was done; publish it. */
static enum bitcask_status flush_and_publish(void *context, uint64_t ticket) {
  struct engine *engine = context;
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&engine->flush_lock);
  if (atomic_load(&engine->durable_ticket) < ticket) {
    if (MUTANT(ACKNOWLEDGED_UNFLUSHED))
      atomic_store(&engine->durable_ticket, ticket);
    else
      status = flush_all(engine);
  }
  mutex_unlock(&engine->flush_lock);
  if (status != BITCASK_OK) return status;
  mutex_lock(&engine->write_lock);
  publish_durable(engine);
  mutex_unlock(&engine->write_lock);
  return BITCASK_OK;
}

static enum bitcask_status finish_durably(struct engine *engine, struct group *group)
    EXCLUDES(engine->write_lock) {
  enum bitcask_status status = commit_wait(&engine->commit, group->writes[0].pending.ticket,
                                           flush_and_publish, engine);
  if (status == BITCASK_OK) return BITCASK_OK;
  mutex_lock(&engine->write_lock);
  for (size_t i = 0; i < group->count; i++) publish_never(engine, &group->writes[i].pending);
  mutex_unlock(&engine->write_lock);
  return status;
}

/* Without a thread to do it: flush when the interval has passed. */
static enum bitcask_status flush_if_due(struct engine *engine) REQUIRES(engine->write_lock) {
  if (engine->options.sync != BITCASK_SYNC_INTERVAL || engine->worker != NULL) return BITCASK_OK;
  uint64_t now = engine->disk->ops->monotonic_us(engine->disk);
  uint64_t interval = (uint64_t)(engine->options.sync_seconds * 1e6);
  if (now - engine->last_interval_sync_us < interval) return BITCASK_OK;
  engine->last_interval_sync_us = now;
  mutex_lock(&engine->flush_lock);
  enum bitcask_status status = flush_all(engine);
  mutex_unlock(&engine->flush_lock);
  return status;
}

static bool is_flushed_first(const struct engine *engine) {
  return engine->options.sync == BITCASK_SYNC_ALWAYS;
}

static enum bitcask_status append_and_publish(struct engine *engine, struct group *group)
    REQUIRES(engine->write_lock) {
  TRY(append(engine, group));
  for (size_t i = 0; i < group->count; i++) {
    struct pending_write *pending = &group->writes[i].pending;
    if (is_flushed_first(engine))
      publish_later(engine, pending);
    else
      publish_now(engine, pending, group->count == 1 ? &group->found : NULL);
  }
  return flush_if_due(engine);
}

/* ---- One write ---- */

static enum bitcask_status check_one(struct engine *engine, const struct write_request *request,
                                     const struct group *group, const struct write *write)
    REQUIRES(engine->write_lock) {
  TRY(engine_check_writable(engine));
  publish_expired(engine);
  if (request->condition.is_set) {
    TRY(rotation_publish_pending(engine)); /* it counts for conditions */
    TRY(check_version(engine, request->key, write->pending.hash, request->condition.version));
  }
  if (request->is_delete && !is_there(engine, group, write)) return BITCASK_ABSENT;
  return BITCASK_OK;
}

/* While another one writes: have ready what is going to be looked at. */
static void fetch(struct engine *engine, uint64_t hash) {
  guard_token token = guard_enter(&engine->guard);
  struct keydir_entry entry = keydir_find_only(engine->keydir, hash);
  engine_prefetch(engine, &entry);
  guard_leave(token);
}

static void lock_to_write(struct engine *engine, uint64_t hash)
    ACQUIRES(engine->write_lock) UNCHECKED {
  if (mutex_try_lock(&engine->write_lock)) return;
  fetch(engine, hash);
  mutex_lock_soon(&engine->write_lock);
}

enum bitcask_status engine_write(struct engine *engine, const struct write_request *request,
                                 uint64_t *version) {
  struct write write;
  struct record *record = NULL;
  uint64_t offset = 0;
  struct group group = {
      .writes = &write, .records = &record, .offsets = &offset, .has_only_deletes = true};
  TRY(engine_check_writable(engine));
  TRY(prepare(engine, request, &write));
  lock_to_write(engine, write.pending.hash);
  enum bitcask_status status = check_one(engine, request, &group, &write);
  if (status == BITCASK_OK) {
    count_in_group(&group, &write);
    status = append_and_publish(engine, &group);
  }
  mutex_unlock(&engine->write_lock);
  if (status == BITCASK_OK && is_flushed_first(engine)) status = finish_durably(engine, &group);
  if (status == BITCASK_OK && version != NULL) *version = write.pending.version;
  return status;
}

/* ---- A group ---- */

static enum bitcask_status check_expected(struct engine *engine,
                                          const struct write_expectation *expected,
                                          const uint64_t *hashes, size_t count)
    REQUIRES(engine->write_lock) {
  for (size_t i = 0; i < count; i++)
    TRY(check_version(engine, expected[i].key, hashes[i], expected[i].version));
  return BITCASK_OK;
}

static enum bitcask_status check_conditions(struct engine *engine,
                                            const struct write_request *requests,
                                            const struct write *prepared, size_t count)
    REQUIRES(engine->write_lock) {
  for (size_t i = 0; i < count; i++)
    if (requests[i].condition.is_set && !requests[i].condition.is_optional)
      TRY(check_version(engine, requests[i].key, prepared[i].pending.hash,
                        requests[i].condition.version));
  return BITCASK_OK;
}

/* One that is left out has nothing to delete, or an optional condition that does not hold. */
static enum bitcask_status add_if_wanted(struct engine *engine, struct group *group,
                                         const struct write_request *request,
                                         const struct write *prepared)
    REQUIRES(engine->write_lock) {
  if (request->condition.is_set && request->condition.is_optional) {
    uint64_t version = 0;
    TRY(current_version(engine, request->key, prepared->pending.hash, &version));
    if (version != request->condition.version) return BITCASK_OK;
  }
  if (!request->is_delete || is_there(engine, group, prepared)) add_to_group(group, prepared);
  return BITCASK_OK;
}

/* Hashes first, without any lock: they may be a caller's own function. */
static enum bitcask_status prepare_all(struct engine *engine, const struct write_request *requests,
                                       struct write *prepared, size_t count,
                                       const struct write_expectation *expected, uint64_t *hashes,
                                       size_t expected_count) {
  for (size_t i = 0; i < count; i++) TRY(prepare(engine, &requests[i], &prepared[i]));
  for (size_t i = 0; i < expected_count; i++)
    TRY(hash_of(&engine->hash, expected[i].key, &hashes[i]));
  return BITCASK_OK;
}

static enum bitcask_status write_group_locked(struct engine *engine,
                                              const struct write_request *requests,
                                              const struct write *prepared, size_t count,
                                              const struct write_expectation *expected,
                                              const uint64_t *hashes, size_t expected_count,
                                              struct group *group, uint64_t *version)
    REQUIRES(engine->write_lock) {
  TRY(engine_check_writable(engine));
  publish_expired(engine);
  TRY(rotation_publish_pending(engine)); /* it counts for conditions */
  TRY(check_expected(engine, expected, hashes, expected_count));
  TRY(check_conditions(engine, requests, prepared, count));
  for (size_t i = 0; i < count; i++)
    TRY(add_if_wanted(engine, group, &requests[i], &prepared[i]));
  *version = engine->published_version;
  if (group->count == 0) return BITCASK_OK;
  TRY(append_and_publish(engine, group));
  *version = group->writes[group->count - 1].pending.version;
  return BITCASK_OK;
}

enum bitcask_status engine_write_group(struct engine *engine, const struct write_request *requests,
                                       size_t count, const struct write_expectation *expected,
                                       size_t expected_count, struct write_outcome *outcome) {
  TRY(engine_check_writable(engine));
  struct write *prepared = memory_zeroed(count, sizeof *prepared);
  uint64_t *hashes = memory_zeroed(expected_count, sizeof *hashes);
  struct group group = {.writes = memory_zeroed(count, sizeof *group.writes),
                        .records = memory_zeroed(count, sizeof *group.records),
                        .offsets = memory_zeroed(count, sizeof *group.offsets),
                        .has_only_deletes = true};
  uint64_t written = 0;
  enum bitcask_status status = BITCASK_NOMEMORY;
  if (prepared != NULL && hashes != NULL && group.writes != NULL && group.records != NULL &&
      group.offsets != NULL)
    status = prepare_all(engine, requests, prepared, count, expected, hashes, expected_count);
  if (status == BITCASK_OK) {
    mutex_lock(&engine->write_lock);
    status = write_group_locked(engine, requests, prepared, count, expected, hashes,
                                expected_count, &group, &written);
    mutex_unlock(&engine->write_lock);
  }
  if (status == BITCASK_OK && group.count > 0 && is_flushed_first(engine))
    status = finish_durably(engine, &group);
  if (status == BITCASK_OK) *outcome = (struct write_outcome){written, group.count};
  memory_free(prepared);
  memory_free(hashes);
  memory_free(group.writes);
  memory_free(group.records);
  memory_free(group.offsets);
  return status;
}
