#include "engine/checkpointing.h"

#include <stdlib.h>

#include "engine/flush.h"
#include "engine/publish.h"
#include "engine/reserve.h"
#include "engine/rotation.h"
#include "engine/settle.h"
#include "engine/worker.h"
#include "store/checkpoint.h"

/* In the background one is due when so much was written since the last, and so many times the
 * size of the keydir: then checkpoints add a third at most to what is written. Of large records
 * that takes few: to load those is nothing, and every checkpoint flushes. */
#define DUE_BYTES_MIN ((int64_t)32 << 20)
enum { DUE_TIMES_KEYDIR = 3, DUE_RECORDS_MIN = 16 << 10 };

/* At close none is taken for less than a 1024th of the keydir's size. */
enum { CLOSE_PART_OF_KEYDIR = 1024 };

/* What expires is copied under a lock that puts take; more of it is left out, and found out at
 * open from the entries. */
enum { ITEMS_MAX = 1 << 16 };

/* What was found in the slots of one segment. */
struct tally {
  uint64_t live_bytes;
  uint64_t live_records;
  uint64_t reached;
};

struct taking {
  struct engine *engine;
  bool is_closing;
  struct checkpoint_writer *writer;
  struct bitcask_buffer rows;    /* struct checkpoint_segment */
  struct bitcask_buffer slots;   /* of one shard */
  struct bitcask_buffer items;
  struct bitcask_buffer tallies; /* struct tally, by slot */
  struct segment_facts active;   /* id 0: there was none */
  uint64_t expiring;
  uint64_t begun_ms;
  int64_t bytes, records; /* written by then, in this session */
  uint64_t merges;
};

/* ---- Is it due? ---- */

static int64_t bytes_written(struct engine *engine) {
  return (int64_t)atomic_load(&engine->counters.bytes_written) +
         (int64_t)atomic_load(&engine->counters.merge_bytes_written);
}

static int64_t bytes_since(struct engine *engine) {
  return bytes_written(engine) - atomic_load(&engine->checkpoint_bytes);
}

/* Could the next session use one? Of two functions nobody can say whether they are the same. */
static bool has_use(const struct engine *engine) {
  return CHECKPOINT_IS_SUPPORTED && engine->hash.built_in != NULL;
}

/* Where damage was met, the next opening is to meet it again: with a checkpoint it would not
 * read the segment, and a merge would take for known what nobody can tell. */
static bool is_possible(struct engine *engine) {
  return has_use(engine) && !engine->is_readonly && !atomic_load(&engine->is_stopped) &&
         !atomic_load(&engine->is_short_of_space) &&
         atomic_load(&engine->counters.corruptions) == 0;
}

static enum bitcask_status check_undamaged(struct engine *engine) {
  if (atomic_load(&engine->counters.corruptions) == 0) return BITCASK_OK;
  return status_fail(BITCASK_CORRUPT,
                     "damage was met since the store was opened: with a checkpoint "
                     "the next opening would not meet it");
}

static int64_t records_written(struct engine *engine) {
  return (int64_t)atomic_load(&engine->counters.records_written) +
         (int64_t)atomic_load(&engine->counters.merge_records_written);
}

static uint64_t entry_bytes(const struct engine *engine) {
  return keydir_count(engine->keydir) * sizeof(struct keydir_entry);
}

static bool is_due(struct engine *engine) {
  int64_t since = bytes_since(engine);
  int64_t records = records_written(engine) - atomic_load(&engine->checkpoint_records);
  return since >= DUE_BYTES_MIN && since >= DUE_TIMES_KEYDIR * (int64_t)entry_bytes(engine) &&
         records >= DUE_RECORDS_MIN;
}

/* Without a merge, and for next to nothing, the one there is will do. */
static bool is_worth_it(struct engine *engine) {
  int64_t since = bytes_since(engine);
  if (atomic_load(&engine->counters.merges) != atomic_load(&engine->checkpoint_merges))
    return true;
  return since > 0 && since >= (int64_t)(entry_bytes(engine) / CLOSE_PART_OF_KEYDIR);
}

/* ---- Beginning ---- */

static enum bitcask_status add_row(struct taking *taking, const struct segment *segment,
                                   uint64_t covered) {
  struct checkpoint_segment row = {.slot = segment->slot,
                                   .id = segment->facts.id,
                                   .salt = segment->salt,
                                   .covered = covered};
  return buffer_append(&taking->rows, bytes_of(&row, sizeof row));
}

static enum bitcask_status note_segments(struct taking *taking, struct engine *engine)
    REQUIRES(engine->write_lock) {
  enum bitcask_status status = BITCASK_OK;
  mutex_lock(&engine->set_lock);
  /* Entries of inputs and of outputs are found: nothing could be said to be covered. */
  if (engine->is_switching)
    status = status_fail(BITCASK_BUSY, "a merge is changing over to its outputs");
  for (size_t i = 0; status == BITCASK_OK && i < engine->sealed_count; i++)
    status = add_row(taking, engine->sealed[i], engine->sealed[i]->facts.length);
  mutex_unlock(&engine->set_lock);
  if (status != BITCASK_OK || engine->active == NULL) return status;
  taking->active = engine->active->facts;
  return add_row(taking, engine->active, taking->active.length);
}

static enum bitcask_status note_expiring(struct taking *taking) {
  struct expiry *expiry = &taking->engine->expiry;
  bool is_left_out = !taking->is_closing && expiry_count(expiry) > ITEMS_MAX;
  return is_left_out ? BITCASK_OK : expiry_copy(expiry, &taking->items);
}

/* All that is appended by now is to be published, so that entries tell of it. */
static enum bitcask_status begin_locked(struct taking *taking, struct engine *engine)
    REQUIRES(engine->write_lock) {
  TRY(rotation_publish_pending(engine));
  publish_expired(engine);
  taking->begun_ms = engine->disk->ops->now_ms(engine->disk);
  taking->bytes = bytes_written(engine);
  taking->records = records_written(engine);
  taking->merges = atomic_load(&engine->counters.merges);
  TRY(note_segments(taking, engine));
  return note_expiring(taking);
}

static enum bitcask_status begin(struct taking *taking) {
  struct engine *engine = taking->engine;
  mutex_lock(&engine->write_lock);
  enum bitcask_status status = begin_locked(taking, engine);
  mutex_unlock(&engine->write_lock);
  TRY(status);
  return checkpoint_begin(engine->disk, engine->directory, engine->manifest.store,
                          taking->begun_ms, &taking->writer);
}

/* ---- Copying ---- */

static struct tally *tally_of(struct taking *taking, uint32_t slot) {
  size_t needed = ((size_t)slot + 1) * sizeof(struct tally), had = taking->tallies.size;
  if (had < needed) {
    if (buffer_reserve(&taking->tallies, needed - had) != BITCASK_OK) return NULL;
    memset((uint8_t *)taking->tallies.data + had, 0, needed - had);
    taking->tallies.size = needed;
  }
  return (struct tally *)taking->tallies.data + slot;
}

static enum bitcask_status count_entries(struct taking *taking, const struct keydir_table *table) {
  for (uint32_t i = 0; i < table->used_end; i++) {
    const struct keydir_entry *entry = &table->slots[i];
    if (entry->at == 0) continue;
    struct tally *tally = tally_of(taking, place_slot(entry->at));
    if (tally == NULL) return BITCASK_NOMEMORY;
    uint64_t size = keydir_entry_size(entry), end = place_offset(entry->at) + size;
    tally->live_bytes += size;
    tally->live_records++;
    if (end > tally->reached) tally->reached = end;
    if (entry->at & PLACE_EXPIRES) taking->expiring++;
  }
  return BITCASK_OK;
}

static enum bitcask_status copy_shards(struct taking *taking) {
  struct engine *engine = taking->engine;
  for (unsigned shard = 0; shard < KEYDIR_SHARDS; shard++) {
    struct keydir_table table;
    TRY(keydir_copy_table(engine->keydir, shard, &taking->slots, &table));
    TRY(count_entries(taking, &table));
    TRY(checkpoint_add_shard(taking->writer, &table));
    thread_step_aside();
  }
  if (taking->items.size == 0 && taking->expiring > 0) return BITCASK_OK;
  return checkpoint_add_items(taking->writer, taking->items.data,
                              taking->items.size / sizeof(struct expiry_item));
}

/* ---- Ending ---- */

static enum bitcask_status changed_hands(void) {
  return status_fail(BITCASK_BUSY, "a merge has given a slot to another segment meanwhile");
}

/* Segments that came since the beginning have rows too, with nothing covered. Their slots may
 * be those of no segment that was there before. */
static enum bitcask_status note_later_segments(struct taking *taking) {
  struct engine *engine = taking->engine;
  struct checkpoint_segment *rows = taking->rows.data;
  size_t count = taking->rows.size / sizeof *rows;
  struct tally *tallies = taking->tallies.data;
  size_t slots = taking->tallies.size / sizeof *tallies;
  enum bitcask_status status = BITCASK_OK;
  uint8_t *is_known = memory_sparse(PLACE_SLOT_MAX + 1, 1);
  if (is_known == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < count; i++) is_known[rows[i].slot] = 1;
  mutex_lock(&engine->set_lock); /* no slot is taken meanwhile */
  guard_token token = guard_enter(&engine->guard); /* and no segment freed */
  for (size_t i = 0; status == BITCASK_OK && i < count; i++) {
    const struct segment *segment = atomic_load(&engine->slots[rows[i].slot]);
    if (segment != NULL && segment->facts.id != rows[i].id) status = changed_hands();
  }
  for (size_t slot = 0; status == BITCASK_OK && slot < slots; slot++) {
    if (is_known[slot] || tallies[slot].live_records == 0) continue;
    const struct segment *segment = atomic_load(&engine->slots[slot]);
    status = segment == NULL ? changed_hands() : add_row(taking, segment, HEADER_SIZE);
  }
  guard_leave(token);
  mutex_unlock(&engine->set_lock);
  memory_sparse_free(is_known, PLACE_SLOT_MAX + 1, 1);
  return status;
}

static int compare_rows(const void *left, const void *right) {
  const struct checkpoint_segment *a = left, *b = right;
  return (a->id > b->id) - (a->id < b->id);
}

static void note_expired(struct checkpoint_segment *row, struct segment *segment) {
  if (segment == NULL) return;
  row->expired_bytes = atomic_load(&segment->expired_bytes);
  row->last_expired_ms = atomic_load(&segment->last_expired_ms);
}

static void fill_rows(struct taking *taking) {
  struct engine *engine = taking->engine;
  struct checkpoint_segment *rows = taking->rows.data;
  size_t count = taking->rows.size / sizeof *rows;
  size_t slots = taking->tallies.size / sizeof(struct tally);
  guard_token token = guard_enter(&engine->guard); /* none that is found goes away */
  for (size_t i = 0; i < count; i++) {
    note_expired(&rows[i], atomic_load(&engine->slots[rows[i].slot]));
    if (rows[i].slot >= slots) continue;
    const struct tally *tally = (struct tally *)taking->tallies.data + rows[i].slot;
    rows[i].live_bytes = tally->live_bytes;
    rows[i].live_records = tally->live_records;
    rows[i].reached = tally->reached;
  }
  guard_leave(token);
  if (count > 0) qsort(rows, count, sizeof *rows, compare_rows);
}

static void fill_index(struct taking *taking) {
  const struct hash *hash = &taking->engine->hash;
  struct checkpoint_index *index = &taking->writer->index;
  strncpy(index->hash, hash->name, sizeof index->hash - 1);
  index->hash_seed = hash->seed;
  index->expiring = taking->expiring;
  index->active = taking->active;
  index->segments = taking->rows.data; /* the writer's now */
  index->segment_count = (uint32_t)(taking->rows.size / sizeof *index->segments);
  taking->rows = (struct bitcask_buffer){0};
}

static enum bitcask_status name_it(struct taking *taking) {
  struct engine *engine = taking->engine;
  struct bitcask_buffer items = {0};
  enum bitcask_status status = edit_append_checkpoint(&items, taking->writer->salt);
  if (status == BITCASK_OK) status = engine_commit(engine, bytes_of(items.data, items.size));
  bitcask_buffer_release(&items);
  if (status != BITCASK_OK) return status;
  atomic_store(&engine->checkpoint_bytes, taking->bytes);
  atomic_store(&engine->checkpoint_records, taking->records);
  atomic_store(&engine->checkpoint_merges, taking->merges);
  return BITCASK_OK;
}

/* What the checkpoint leads to. What was full when it was begun has to be sealed as well: of what is
 * not, nobody could tell after a crash how far it goes. */
static enum bitcask_status make_durable(const struct taking *taking) {
  TRY(settle_full(taking->engine, SETTLE_LATER));
  return taking->is_closing ? BITCASK_OK : engine_flush(taking->engine);
}

static enum bitcask_status take_steps(struct taking *taking) {
  TRY(begin(taking));
  TRY(copy_shards(taking));
  TRY(note_later_segments(taking));
  fill_rows(taking);
  TRY(make_durable(taking));
  fill_index(taking);
  TRY(checkpoint_finish(taking->writer));
  TRY(check_undamaged(taking->engine)); /* a shard may have been found out anew meanwhile */
  return name_it(taking);
}

static enum bitcask_status take(struct engine *engine, bool is_closing) {
  struct taking taking = {.engine = engine, .is_closing = is_closing};
  mutex_lock(&engine->checkpoint_lock);
  enum bitcask_status status = take_steps(&taking);
  checkpoint_end(taking.writer);
  mutex_unlock(&engine->checkpoint_lock);
  bitcask_buffer_release(&taking.rows);
  bitcask_buffer_release(&taking.slots);
  bitcask_buffer_release(&taking.items);
  bitcask_buffer_release(&taking.tallies);
  return status;
}

/* ---- When ---- */

/* One that nobody asked for only saves time: what fails in it, fails for itself, unless it has
 * stopped the engine. */
static enum bitcask_status take_quietly(struct engine *engine, bool is_closing) {
  enum bitcask_status status = take(engine, is_closing);
  return atomic_load(&engine->is_stopped) ? status : BITCASK_OK;
}

static void take_if_due(void *owner, void *context) {
  struct engine *engine = owner;
  (void)context;
  atomic_store(&engine->is_checkpoint_queued, false);
  if (!is_possible(engine) || !is_due(engine)) return;
  enum bitcask_status status = take_quietly(engine, false);
  if (status != BITCASK_OK) engine_report_failure(engine, status);
}

void checkpointing_consider(struct engine *engine) {
  enum { LOOK_STEP = 4 << 20 };
  atomic_store(&engine->checkpoint_look, atomic_load(&engine->counters.bytes_written) + LOOK_STEP);
  if (engine->worker == NULL || !is_possible(engine) || !is_due(engine)) return;
  if (atomic_exchange(&engine->is_checkpoint_queued, true)) return;
  if (!worker_add(engine->worker, take_if_due, NULL))
    atomic_store(&engine->is_checkpoint_queued, false);
}

enum bitcask_status checkpointing_now(struct engine *engine) {
  TRY(engine_check_writable(engine));
  if (!has_use(engine)) return BITCASK_ABSENT;
  TRY(check_undamaged(engine));
  return take(engine, false);
}

enum bitcask_status checkpointing_close(struct engine *engine) {
  return is_possible(engine) && is_worth_it(engine) ? take_quietly(engine, true) : BITCASK_OK;
}
