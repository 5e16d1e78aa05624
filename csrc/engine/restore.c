#include "engine/restore.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/load.h"
#include "engine/lookup.h"
#include "format/filename.h"
#include "store/checkpoint.h"

struct restore {
  struct engine *engine;
  struct checkpoint_file *file;
  uint64_t *reached; /* by slot: no entry leads behind it; 0: none leads there */
  uint32_t slots;    /* how many there are of these */
  bool has_gone;     /* segments were replaced since */
  uint64_t expected; /* so many records are to be loaded, */
  bool is_rewritten; /* so many that most of its pages would be written to */
  bool is_open;      /* the engine is: others may look into the keydir */
};

/* ---- Is it of use? ---- */

static bool is_named(const struct engine *engine) {
  return engine->manifest.state.checkpoint != 0 && engine->hash.built_in != NULL &&
         !engine->options.salvage;
}

/* Half of all slots are left for segments that it does not know. */
static enum bitcask_status collect_slots(struct restore *restore) {
  const struct checkpoint_index *index = &restore->file->index;
  uint32_t last = 0;
  for (uint32_t i = 0; i < index->segment_count; i++) {
    uint32_t slot = index->segments[i].slot;
    if (slot == 0 || slot > PLACE_SLOT_MAX / 2)
      return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": slot %u is not for use", slot);
    if (i > 0 && index->segments[i - 1].id >= index->segments[i].id)
      return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": segments without order");
    if (slot > last) last = slot;
  }
  restore->reached = memory_zeroed((size_t)last + 1, sizeof *restore->reached);
  if (restore->reached == NULL) return BITCASK_NOMEMORY;
  restore->slots = last + 1;
  for (uint32_t i = 0; i < index->segment_count; i++) {
    const struct checkpoint_segment *row = &index->segments[i];
    if (restore->reached[row->slot] != 0)
      return status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": slot %u twice", row->slot);
    restore->reached[row->slot] = row->reached > HEADER_SIZE ? row->reached : HEADER_SIZE;
  }
  return BITCASK_OK;
}

struct restore *restore_open(struct engine *engine) {
  if (!is_named(engine)) return NULL;
  struct restore *restore = memory_zeroed(1, sizeof *restore);
  if (restore == NULL) return NULL;
  restore->engine = engine;
  enum bitcask_status status =
      checkpoint_open(engine->directory, engine->manifest.store,
                      engine->manifest.state.checkpoint, &restore->file);
  if (status == BITCASK_OK && strcmp(restore->file->index.hash, engine->hash.name) != 0)
    status = BITCASK_NOTFOUND;
  if (status == BITCASK_OK) status = collect_slots(restore);
  if (status != BITCASK_OK) {
    restore_close(restore);
    return NULL;
  }
  /* Segments that it does not know get slots that none of its entries names. */
  engine->slot_hint = restore->slots;
  return restore;
}

void restore_close(struct restore *restore) {
  if (restore == NULL) return;
  checkpoint_close(restore->file);
  memory_free(restore->reached);
  memory_free(restore);
}

/* ---- Segments ---- */

static int compare_ids(const void *id, const void *row) {
  uint64_t a = *(const uint64_t *)id, b = ((const struct checkpoint_segment *)row)->id;
  return (a > b) - (a < b);
}

static const struct checkpoint_segment *row_of(const struct restore *restore, uint64_t id) {
  if (restore == NULL || restore->file->index.segment_count == 0) return NULL;
  const struct checkpoint_index *index = &restore->file->index;
  return bsearch(&id, index->segments, index->segment_count, sizeof *index->segments, compare_ids);
}

enum bitcask_status restore_take_slot(struct restore *restore, struct engine *engine,
                                      struct segment *segment) {
  const struct checkpoint_segment *row = row_of(restore, segment->facts.id);
  if (row == NULL || atomic_load(&engine->slots[row->slot]) != NULL)
    return engine_take_slot(engine, segment);
  uint32_t hint = engine->slot_hint;
  engine->slot_hint = row->slot - 1;
  enum bitcask_status status = engine_take_slot(engine, segment);
  engine->slot_hint = hint;
  return status;
}

struct segment_facts restore_known(const struct restore *restore, const struct segment *segment) {
  const struct segment_facts *facts = &segment->facts;
  const struct checkpoint_segment *row = row_of(restore, facts->id);
  if (row != NULL && row->covered > HEADER_SIZE && row->salt == segment->salt) {
    if (row->covered == facts->length && facts->records > 0) return *facts;
    if (restore->file->index.active.id == facts->id) return restore->file->index.active;
  }
  return segment_facts_empty(facts->id, facts->created_ms);
}

/* Is the segment the one that was told of, and does it hold all that entries lead to? */
static bool fits(const struct restore *restore, const struct checkpoint_segment *row,
                 const struct segment *segment) {
  const struct segment_facts *active = &restore->file->index.active;
  if (row->salt != segment->salt || row->slot != segment->slot) return false;
  if (row->reached > segment->facts.length) return false;
  if (active->id == row->id && active->length != row->covered) return false;
  return row->covered == HEADER_SIZE || row->covered == segment->facts.length ||
         (active->id == row->id && row->covered < segment->facts.length);
}

/* Compare what it tells of a segment with what there is, and take over what it counted. */
static bool take_segment(struct restore *restore, struct segment *segment, uint32_t *taken) {
  const struct checkpoint_segment *row = row_of(restore, segment->facts.id);
  if (row == NULL) return true;
  if (!fits(restore, row, segment)) return false;
  atomic_store(&segment->live_bytes, row->live_bytes);
  atomic_store(&segment->live_records, row->live_records);
  atomic_store(&segment->expired_bytes, row->expired_bytes);
  atomic_store(&segment->last_expired_ms, row->last_expired_ms);
  ++*taken;
  return true;
}

static bool take_segments(struct restore *restore, struct segment *const *open, size_t count) {
  const struct engine *engine = restore->engine;
  uint32_t taken = 0;
  for (size_t i = 0; i < count; i++)
    if (!take_segment(restore, open[i], &taken)) return false;
  for (size_t i = 0; i < engine->sealed_count; i++)
    if (!take_segment(restore, engine->sealed[i], &taken)) return false;
  restore->has_gone = taken < restore->file->index.segment_count;
  return true;
}

uint64_t restore_taken_ms(const struct restore *restore) { return restore->file->taken_ms; }

bool restore_has_gone(const struct restore *restore) {
  return restore != NULL && restore->has_gone;
}

static bool is_known_whole(const struct restore *restore, const struct segment *segment) {
  return restore_known(restore, segment).length == segment->facts.length;
}

/* Is there nothing to load? */
static bool is_all(const struct restore *restore, struct segment *const *open, size_t count) {
  const struct engine *engine = restore->engine;
  if (restore->has_gone) return false;
  for (size_t i = 0; i < count; i++)
    if (!is_known_whole(restore, open[i])) return false;
  for (size_t i = 0; i < engine->sealed_count; i++)
    if (!is_known_whole(restore, engine->sealed[i])) return false;
  return true;
}

/* ---- Waking ---- */

/* Does every entry lead to a place that there is? */
static bool leads_somewhere(const struct restore *restore, const struct keydir_table *table) {
  for (uint32_t i = 0; i < table->used_end; i++) {
    const struct keydir_entry *entry = &table->slots[i];
    uint32_t slot = place_slot(entry->at);
    uint64_t offset = place_offset(entry->at), size = keydir_entry_size(entry);
    if (entry->at == 0) continue;
    if (slot >= restore->slots || offset < HEADER_SIZE || size == 0 ||
        offset + size > restore->reached[slot] || (entry->at & PLACE_TOMBSTONE))
      return false;
  }
  return true;
}

static void report_rebuilt(struct engine *engine, unsigned shard) {
  struct bitcask_event event = {.kind = BITCASK_EVENT_CORRUPTION, .status = BITCASK_CORRUPT};
  atomic_fetch_add(&engine->counters.corruptions, 1);
  snprintf(event.file, sizeof event.file, FILENAME_CHECKPOINT);
  snprintf(event.message, sizeof event.message,
           "shard %u fails its check; the segments were read instead", shard);
  engine_report(engine, &event);
}

/* Before the engine is open CORRUPT says that the checkpoint is of no use. Later the segments
 * are what they were then, as far as this shard goes: a write to it would have woken it. */
static enum bitcask_status wake(void *context, unsigned shard, struct keydir_table *out,
                                bool *is_given) {
  struct restore *restore = context;
  enum bitcask_status status = checkpoint_table(restore->file, shard, out);
  if (status == BITCASK_OK && !leads_somewhere(restore, out))
    status = status_fail(BITCASK_CORRUPT, FILENAME_CHECKPOINT ": shard %u leads nowhere", shard);
  if (status == BITCASK_OK || !restore->is_open) return status;
  report_rebuilt(restore->engine, shard);
  *is_given = true;
  status = load_shard(restore->engine, shard, restore->file->taken_ms, out);
  /* To those who look for a key CORRUPT would mean that its record is. */
  return status == BITCASK_CORRUPT ? BITCASK_IO : status;
}

static void drop(void *context, unsigned shard) {
  checkpoint_forget(((struct restore *)context)->file, shard);
}

static void release(void *context) { restore_close(context); }

static void put_to_sleep(struct restore *restore) {
  const struct keydir_waker waker = {wake, drop, release, restore};
  uint32_t counts[KEYDIR_SHARDS];
  for (unsigned i = 0; i < KEYDIR_SHARDS; i++) counts[i] = restore->file->index.shards[i].count;
  keydir_sleep(restore->engine->keydir, &waker, counts);
}

/* ---- What is done to all shards, by several threads ---- */

struct sweeper {
  struct restore *restore;
  unsigned first, step;
  pthread_t thread;
  enum bitcask_status status;
};

static void mark_gone(void *context, uint64_t hash, struct keydir_entry *entry) {
  struct engine *engine = context;
  (void)hash;
  if (engine_segment(engine, entry->at) == NULL) entry->at |= PLACE_TOMBSTONE;
}

/* With room for its share of what is to be loaded, if not much more is asked for than it would
 * grow by anyway: they may all be records of keys that are there. */
static enum bitcask_status own_shard(struct restore *restore, unsigned shard) {
  unsigned room = restore->file->index.shards[shard].count / 8;
  uint64_t share = restore->expected / KEYDIR_SHARDS;
  return keydir_own(restore->engine->keydir, shard, share < room ? (unsigned)share : room);
}

/* Wake a shard, and take out of it what leads to segments that are gone. */
static enum bitcask_status settle_shard(struct restore *restore, unsigned shard) {
  struct engine *engine = restore->engine;
  TRY(keydir_wake(engine->keydir, shard));
  if (restore->is_rewritten) TRY(own_shard(restore, shard));
  if (!restore->has_gone) return BITCASK_OK;
  TRY(keydir_visit_shard(engine->keydir, shard, mark_gone, engine));
  keydir_drop_tombstones(engine->keydir, shard);
  return BITCASK_OK;
}

static void *settle_some(void *context) {
  struct sweeper *sweeper = context;
  for (unsigned shard = sweeper->first; shard < KEYDIR_SHARDS; shard += sweeper->step)
    if (sweeper->status == BITCASK_OK)
      sweeper->status = settle_shard(sweeper->restore, shard);
  return NULL;
}

/* Each record changes an entry somewhere. To write to a page of the checkpoint's private mapping
 * is to have it copied by a fault, which interrupts the other threads, too: that costs more than a
 * copy of all that is made at once. */
static bool is_rewritten(const struct restore *restore) {
  enum { PAGE_SIZE = 4096 };
  return restore->expected >= disk_file_size(restore->file->file) / PAGE_SIZE / 2;
}

static bool settle_all(struct restore *restore, uint64_t expected) {
  enum { THREADS = 2, SHARED_KEYS_MIN = 100000 };
  struct engine *engine = restore->engine;
  bool is_shared = !engine->options.no_threads && thread_processors() > 1 &&
                   keydir_count(engine->keydir) >= SHARED_KEYS_MIN;
  restore->expected = expected;
  restore->is_rewritten = is_rewritten(restore);
  struct sweeper mine = {.restore = restore, .step = is_shared ? THREADS : 1}, other = mine;
  other.first = 1;
  if (is_shared && thread_start(&other.thread, "bitcask-open", settle_some, &other) != BITCASK_OK) {
    is_shared = false;
    mine.step = 1;
  }
  settle_some(&mine);
  if (is_shared) pthread_join(other.thread, NULL);
  return mine.status == BITCASK_OK && other.status == BITCASK_OK;
}

/* ---- What expires ---- */

struct expiring {
  struct engine *engine;
  struct bitcask_buffer scratch;
  enum bitcask_status status;
};

/* One that cannot be read stays, and answers that it is damaged. */
static void await(void *context, uint64_t hash, const struct keydir_entry *entry) {
  struct expiring *expiring = context;
  struct located located;
  if (!(entry->at & PLACE_EXPIRES) || expiring->status != BITCASK_OK) return;
  enum bitcask_status status =
      engine_examine(expiring->engine, engine_segment(expiring->engine, entry->at), entry,
                     bytes_of(NULL, 0), &expiring->scratch, &located);
  if (status == BITCASK_OK || status == BITCASK_ABSENT)
    expiring->status =
        expiry_put(&expiring->engine->expiry, located.record.expires, hash);
}

/* A checkpoint of a busy store leaves out what expires when there is much of it. */
static bool find_expiring(struct restore *restore) {
  struct engine *engine = restore->engine;
  struct expiring expiring = {.engine = engine};
  struct bitcask_buffer entries = {0};
  for (unsigned shard = 0; shard < KEYDIR_SHARDS && expiring.status == BITCASK_OK; shard++) {
    enum bitcask_status status =
        keydir_read_shard(engine->keydir, shard, &entries, await, &expiring);
    if (status != BITCASK_OK) expiring.status = status;
  }
  bitcask_buffer_release(&entries);
  bitcask_buffer_release(&expiring.scratch);
  return expiring.status == BITCASK_OK;
}

static bool restore_expiry(struct restore *restore) {
  const struct checkpoint_index *index = &restore->file->index;
  bitcask_bytes items;
  if (index->items == CHECKPOINT_NO_ITEMS)
    return index->expiring == 0 || find_expiring(restore);
  return checkpoint_items(restore->file, &items) == BITCASK_OK &&
         expiry_restore(&restore->engine->expiry, items) == BITCASK_OK;
}

/* ---- Adopting ---- */

static void forget_counts(struct segment *segment) {
  atomic_store(&segment->live_bytes, 0);
  atomic_store(&segment->live_records, 0);
  atomic_store(&segment->expired_bytes, 0);
  atomic_store(&segment->last_expired_ms, 0);
}

/* As if there had been none. The caller closes what the keydir has not released. */
static void give_up(struct restore *restore, struct segment *const *open, size_t count) {
  struct engine *engine = restore->engine;
  for (size_t i = 0; i < count; i++) forget_counts(open[i]);
  for (size_t i = 0; i < engine->sealed_count; i++) forget_counts(engine->sealed[i]);
  keydir_clear(engine->keydir);
  expiry_clear(&engine->expiry);
}

bool restore_adopt(struct restore *restore, struct segment *const *open, size_t count,
                   uint64_t expected) {
  struct engine *engine = restore->engine;
  uint64_t seed = engine->hash.seed;
  if (!take_segments(restore, open, count)) {
    give_up(restore, open, count);
    return false;
  }
  put_to_sleep(restore);
  engine->hash.seed = restore->file->index.hash_seed;
  bool is_sound = (is_all(restore, open, count) || settle_all(restore, expected)) &&
                  restore_expiry(restore);
  if (!is_sound) {
    engine->hash.seed = seed;
    give_up(restore, open, count);
    return false;
  }
  if (restore->is_rewritten) checkpoint_forget_all(restore->file);
  restore->is_open = true;
  return true;
}
