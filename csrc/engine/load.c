#include "engine/load.h"

#include "engine/lookup.h"

#include "store/hint_file.h"

/* What of a record decides about its entry. */
struct loaded {
  struct segment *segment;
  bitcask_bytes key;
  uint64_t version;
  uint64_t offset;
  uint64_t size;
  uint64_t expires;
  uint64_t hash;
  uint8_t flags;
};

enum { RING_SIZE = 16 };

/* Who loads: into which keydir, and which shards of it. */
struct loader {
  struct engine *engine;
  struct keydir *keydir;
  uint64_t now;
  unsigned mask; /* its shards are those whose number, of these bits, is `share` */
  unsigned share;
  bool is_counting; /* what is live, and what expires */
  bool wants_gone;  /* nothing but tombstones, and what has expired */
  bool is_first;    /* of several: the one that reports */
  bool is_late;     /* reads again what others may have read, and reported, before */
  struct bitcask_buffer scratch;
  struct loaded ring[RING_SIZE];
  unsigned begun, done; /* entries that came into the ring, and that left it */
};

/* What is loaded: all that stands behind `before` and begins before `end`. */
struct source {
  struct segment *segment;
  const struct segment_facts *before;
  uint64_t end;
  struct hint_file *hint; /* NULL: the records themselves are read */
};

/* A record that has expired hides what is older, as a tombstone does, and like one it is no
 * entry once everything is loaded. */
static bool is_gone(const struct loaded *loaded, uint64_t now) {
  return (loaded->flags & RECORD_TOMBSTONE) ||
         ((loaded->flags & RECORD_EXPIRES) && loaded->expires <= now);
}

static place place_of(const struct loaded *loaded, bool gone) {
  uint64_t marks = (gone ? PLACE_TOMBSTONE : 0) |
                   (loaded->flags & RECORD_EXPIRES ? PLACE_EXPIRES : 0);
  return place_make(loaded->segment->slot, loaded->offset, marks);
}

static enum bitcask_status await_expiry(const struct loader *loader,
                                        const struct loaded *loaded) {
  if (!(loaded->flags & RECORD_EXPIRES) || !loader->is_counting) return BITCASK_OK;
  return expiry_put(&loader->engine->expiry, loaded->expires, loaded->hash);
}

static enum bitcask_status count_new(const struct loader *loader, const struct loaded *loaded,
                                     bool gone) {
  if (!loader->is_counting) return BITCASK_OK;
  if (gone && !(loaded->flags & RECORD_TOMBSTONE))
    segment_count_expired(loaded->segment, loaded->size, loaded->expires);
  if (gone) return BITCASK_OK;
  engine_count_live(loaded->segment, loaded->size);
  return await_expiry(loader, loaded);
}

static void count_old(const struct loader *loader, const struct located *old) {
  if (loader->is_counting && !(old->entry.at & PLACE_TOMBSTONE))
    engine_count_dead(old->segment, keydir_entry_size(&old->entry));
}

/* Is the record newer than the one that is there? Of a damaged one only the bounds are
 * known; in doubt it stays, so that nobody reads an older value in its place. */
static bool is_newer(const struct loaded *loaded, const struct located *old,
                     enum bitcask_status status) {
  if (status == BITCASK_OK) return loaded->version > old->record.version;
  return loaded->version > old->segment->facts.max_version;
}

static enum bitcask_status load_entry(struct loader *loader, const struct loaded *loaded) {
  struct located old;
  bool gone = is_gone(loaded, loader->now);
  place at = place_of(loaded, gone);
  enum bitcask_status status = engine_locate_in(loader->engine, loader->keydir, loaded->key,
                                                loaded->hash, &loader->scratch, &old);
  if (status == BITCASK_ABSENT) {
    TRY(keydir_reserve(loader->keydir, loaded->hash, 1, false));
    keydir_insert(loader->keydir, loaded->hash, at, loaded->size);
    return count_new(loader, loaded, gone);
  }
  if (status != BITCASK_OK && status != BITCASK_CORRUPT) return status;
  /* A checkpoint that was taken while writes went on knows this very record, but it may not
   * know that it expires. */
  if (old.entry.at == at) return gone ? BITCASK_OK : await_expiry(loader, loaded);
  if (!is_newer(loaded, &old, status)) return BITCASK_OK;
  keydir_replace(loader->keydir, loaded->hash, old.entry.at, at, loaded->size, NULL);
  count_old(loader, &old);
  return count_new(loader, loaded, gone);
}

/* ---- The ring ---- */

static enum bitcask_status drain(struct loader *loader, unsigned keep) {
  enum bitcask_status status = BITCASK_OK;
  while (status == BITCASK_OK && loader->begun - loader->done > keep)
    status = load_entry(loader, &loader->ring[loader->done++ % RING_SIZE]);
  return status;
}

/* `stays`: the key can be read at its place for as long as the source is. */
static enum bitcask_status offer(struct loader *loader, const struct loaded *loaded, bool stays) {
  struct loaded *slot = &loader->ring[loader->begun % RING_SIZE];
  uint64_t hash = 0;
  if (loader->wants_gone && !is_gone(loaded, loader->now)) return BITCASK_OK;
  TRY(hash_of(&loader->engine->hash, loaded->key, &hash));
  if ((keydir_shard_of(hash) & loader->mask) != loader->share) return BITCASK_OK;
  keydir_prefetch(loader->keydir, hash);
  *slot = *loaded;
  slot->hash = hash;
  loader->begun++;
  return drain(loader, stays ? RING_SIZE - 1 : 0);
}

/* ---- Reading a source ---- */

static enum bitcask_status read_hint(struct loader *loader, const struct source *source) {
  struct coding_reader entries = source->hint->entries;
  struct hint_entry entry;
  enum bitcask_status status = BITCASK_OK;
  while (status == BITCASK_OK && hint_next_entry(&entries, &entry)) {
    if (entry.offset < source->before->length || entry.offset >= source->end) continue;
    struct loaded loaded = {.segment = source->segment,
                            .key = entry.key,
                            .version = entry.version,
                            .offset = entry.offset,
                            .size = entry.size,
                            .expires = entry.expires,
                            .flags = entry.flags};
    status = offer(loader, &loaded, true);
  }
  return status;
}

static enum bitcask_status read_record(struct loader *loader, const struct segment_scan *scan,
                                       struct segment_facts *facts) {
  const struct record *record = &scan->record;
  struct loaded loaded = {.segment = scan->segment,
                          .key = record->key,
                          .version = record->version,
                          .offset = scan->offset,
                          .size = scan->size,
                          .expires = record->expires,
                          .flags = record->flags};
  segment_count_record(facts, record);
  return offer(loader, &loaded, scan->segment->file->map != NULL);
}

/* A merge is to know of it, too. */
static void meet_damage(const struct loader *loader, const struct segment_scan *scan) {
  bool is_new = !atomic_exchange(&scan->segment->is_suspect, true);
  if (loader->is_first || (loader->is_late && is_new))
    engine_report_damage(loader->engine, scan->segment->facts.id, scan->offset, scan->size,
                         "bytes that are no record");
}

static enum bitcask_status read_records(struct loader *loader, const struct source *source,
                                        struct segment_facts *facts) {
  struct segment_scan scan;
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  enum bitcask_status status;
  segment_scan_init(&scan, source->segment, source->end, false);
  scan.next = source->before->length;
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK && kind != SEGMENT_SCAN_END) {
    if (kind == SEGMENT_SCAN_RECORD)
      status = read_record(loader, &scan, facts);
    else
      meet_damage(loader, &scan);
    if (status != BITCASK_OK) break;
  }
  if (status == BITCASK_OK) status = drain(loader, 0);
  segment_scan_release(&scan);
  return status;
}

static enum bitcask_status read_source(struct loader *loader, const struct source *source,
                                       struct segment_facts *facts) {
  if (source->hint == NULL) return read_records(loader, source, facts);
  TRY(read_hint(loader, source));
  return drain(loader, 0);
}

/* ---- Shares ---- */

struct share {
  struct loader loader;
  const struct source *source;
  struct segment_facts facts;
  pthread_t thread;
  struct status_note outcome;
};

enum { SHARES_MAX = 4 };
#define SHARED_BYTES_MIN (UINT64_C(4) << 20) /* less than this is not worth a thread */

/* How many threads; a power of two. A hash function of the caller's runs on no other. */
static unsigned count_shares(const struct engine *engine, const struct source *source) {
  unsigned shares = 1;
  if (engine->options.no_threads || engine->hash.built_in == NULL) return shares;
  if (source->end - source->before->length < SHARED_BYTES_MIN) return shares;
  while (shares < SHARES_MAX && shares * 2 <= thread_processors()) shares *= 2;
  return shares;
}

static void *run_share(void *context) {
  struct share *share = context;
  enum bitcask_status status = read_source(&share->loader, share->source, &share->facts);
  status_note_take(&share->outcome, status);
  bitcask_buffer_release(&share->loader.scratch);
  return NULL;
}

/* Load a source; the facts, of its records, are those that the first share found. */
static enum bitcask_status load_source(struct engine *engine, const struct source *source,
                                       struct segment_facts *facts) {
  struct share shares[SHARES_MAX];
  unsigned count = count_shares(engine, source), started = 1;
  uint64_t now = engine->disk->ops->now_ms(engine->disk);
  for (unsigned i = 0; i < count; i++) {
    shares[i] = (struct share){.source = source, .facts = *source->before};
    shares[i].loader = (struct loader){.engine = engine,
                                       .keydir = engine->keydir,
                                       .now = now,
                                       .mask = count - 1,
                                       .share = i,
                                       .is_counting = true,
                                       .is_first = i == 0};
  }
  while (started < count &&
         thread_start(&shares[started].thread, "bitcask-open", run_share, &shares[started]) ==
             BITCASK_OK)
    started++;
  run_share(&shares[0]);
  for (unsigned i = started; i < count; i++) run_share(&shares[i]); /* no thread for these */
  for (unsigned i = 1; i < started; i++) pthread_join(shares[i].thread, NULL);
  if (facts != NULL) *facts = shares[0].facts;
  for (unsigned i = 0; i < count; i++) TRY(status_note_give(&shares[i].outcome));
  return BITCASK_OK;
}

/* ---- Segments ---- */

/* Do all entries lie within the segment? Their check passed, so this is about our own
 * mistakes; but nothing is loaded before the whole of it makes sense. */
static bool is_plausible(const struct hint_file *hint, const struct segment_facts *facts) {
  struct coding_reader entries = hint->entries;
  struct hint_entry entry;
  uint64_t count = 0;
  while (hint_next_entry(&entries, &entry)) {
    if (entry.offset < HEADER_SIZE || entry.size == 0 || entry.offset > facts->length ||
        entry.size > facts->length - entry.offset)
      return false;
    count++;
  }
  return !entries.failed && count == facts->records;
}

/* OK only with a hint file that can be believed, to be released then. */
static enum bitcask_status open_hint(struct engine *engine, const struct segment *segment,
                                     struct hint_file *out) {
  TRY(hint_file_load(engine->directory, engine->manifest.store, &segment->facts, out));
  if (is_plausible(out, &segment->facts)) return BITCASK_OK;
  hint_file_release(out);
  return BITCASK_CORRUPT;
}

enum bitcask_status load_segment(struct engine *engine, struct segment *segment,
                                 const struct segment_facts *before, bool *used_hint) {
  struct source source = {.segment = segment, .before = before, .end = segment->facts.length};
  struct hint_file hint;
  *used_hint = open_hint(engine, segment, &hint) == BITCASK_OK;
  if (*used_hint) {
    source.hint = &hint;
    enum bitcask_status status = load_source(engine, &source, NULL);
    hint_file_release(&hint);
    return status;
  }
  struct segment_facts found;
  TRY(load_records(engine, segment, before, segment->facts.length, &found));
  if (engine->options.salvage && segment->facts.records == 0) {
    segment->facts = found; /* there was no manifest to tell of it */
    return BITCASK_OK;
  }
  if (found.records != segment->facts.records || found.digest != segment->facts.digest) {
    atomic_store(&segment->is_suspect, true);
    engine_report_damage(engine, segment->facts.id, 0, 0,
                         "the segment does not hold the records that were written to it");
  }
  return BITCASK_OK;
}

enum bitcask_status load_records(struct engine *engine, struct segment *segment,
                                 const struct segment_facts *before, uint64_t end,
                                 struct segment_facts *facts) {
  struct source source = {.segment = segment, .before = before, .end = end};
  enum bitcask_status status = load_source(engine, &source, facts);
  facts->length = end;
  return status;
}

void load_finish(struct engine *engine) {
  for (unsigned shard = 0; shard < KEYDIR_SHARDS; shard++)
    keydir_drop_tombstones(engine->keydir, shard);
}

/* ---- One shard anew ---- */

/* References on all segments there are, the active one included. */
static enum bitcask_status ref_segments(struct engine *engine, struct bitcask_buffer *out) {
  struct segment *active = engine_ref_active(engine);
  enum bitcask_status status = BITCASK_OK;
  if (active != NULL) status = buffer_append(out, bytes_of(&active, sizeof active));
  if (status != BITCASK_OK) segment_unref(active);
  mutex_lock(&engine->set_lock);
  for (size_t i = 0; status == BITCASK_OK && i < engine->sealed_count; i++) {
    status = buffer_append(out, bytes_of(&engine->sealed[i], sizeof engine->sealed[i]));
    if (status == BITCASK_OK) segment_ref(engine->sealed[i]);
  }
  mutex_unlock(&engine->set_lock);
  return status;
}

/* All of a segment up to `end`, by its hint file if it is sealed. */
static enum bitcask_status read_up_to(struct loader *loader, struct segment *segment,
                                      uint64_t end) {
  struct segment_facts before = segment_facts_empty(segment->facts.id, 0), ignored = before;
  struct source source = {.segment = segment, .before = &before, .end = end};
  struct hint_file hint;
  if (!segment->is_sealed || open_hint(loader->engine, segment, &hint) != BITCASK_OK)
    return read_source(loader, &source, &ignored);
  source.hint = &hint;
  enum bitcask_status status = read_source(loader, &source, &ignored);
  hint_file_release(&hint);
  return status;
}

enum bitcask_status load_hiding(struct engine *engine, struct segment *segment,
                                const struct segment_facts *known, uint64_t taken_ms) {
  uint64_t now = engine->disk->ops->now_ms(engine->disk);
  struct loader loader = {.engine = engine,
                          .keydir = engine->keydir,
                          .now = now > taken_ms ? now : taken_ms,
                          .wants_gone = true,
                          .is_late = true};
  if (known->tombstones == 0 && !(known->flags & EDIT_FACTS_EXPIRING)) return BITCASK_OK;
  enum bitcask_status status = read_up_to(&loader, segment, known->length);
  bitcask_buffer_release(&loader.scratch);
  return status;
}

static uint64_t end_of(const struct segment *segment) {
  return segment->is_sealed ? segment->facts.length : disk_file_size(segment->file);
}

enum bitcask_status load_shard(struct engine *engine, unsigned shard, uint64_t now,
                               struct keydir_table *out) {
  struct bitcask_buffer all = {0};
  struct loader loader = {
      .engine = engine, .now = now, .mask = KEYDIR_SHARDS - 1, .share = shard, .is_late = true};
  TRY(keydir_new(&loader.keydir));
  enum bitcask_status status = ref_segments(engine, &all);
  struct segment **segments = all.data;
  size_t count = all.size / sizeof *segments;
  for (size_t i = 0; status == BITCASK_OK && i < count; i++)
    status = read_up_to(&loader, segments[i], end_of(segments[i]));
  for (size_t i = 0; i < count; i++) segment_unref(segments[i]);
  if (status == BITCASK_OK) {
    keydir_drop_tombstones(loader.keydir, shard);
    keydir_take_table(loader.keydir, shard, out);
  }
  keydir_free(loader.keydir);
  bitcask_buffer_release(&loader.scratch);
  bitcask_buffer_release(&all);
  return status;
}
