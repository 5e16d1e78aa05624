#include "engine/read.h"

#include <stdlib.h>

#include "engine/publish.h"
#include "engine/snapshot.h"

enum { LARGE_SIZE = 8 << 10 }; /* values from here on take several reads, if they are cold */

static enum bitcask_status copy_value(struct engine *engine, const struct located *located,
                                      struct bitcask_buffer *into) {
  struct disk_file *file = located->segment->file;
  if (located->record.value.size >= LARGE_SIZE)
    file->ops->load(file, place_offset(located->entry.at), keydir_entry_size(&located->entry));
  TRY(engine_check_value(engine, located->segment, place_offset(located->entry.at),
                         &located->record));
  /* Room for the padding, which the short way copies, too. */
  TRY(buffer_reserve(into, located->record.value.size + RECORD_UNIT));
  return buffer_append(into, located->record.value);
}

static void report_damage(struct engine *engine, const struct located *located) {
  engine_report_damage(engine, located->segment->facts.id, place_offset(located->entry.at),
                       keydir_entry_size(&located->entry), bitcask_error_text());
}

/* What is done with a record while it can be read. */
typedef enum bitcask_status (*read_function)(struct engine *engine, const struct located *located,
                                             void *out);

/* Find the newest record of the key, or the newest at a version, and have it read. */
static enum bitcask_status read_hashed(struct engine *engine, const uint64_t *at,
                                       bitcask_bytes key, uint64_t hash, read_function read,
                                       void *out) {
  struct bitcask_buffer scratch = {0}; /* for files without a mapping; else it stays empty */
  struct located located;
  struct segment *pinned = NULL;
  guard_token token = guard_enter(&engine->guard);
  enum bitcask_status status =
      at == NULL ? engine_locate_live(engine, key, hash, &scratch, &located)
                 : snapshot_locate(engine, *at, key, hash, &scratch, &located, &pinned);
  if (status == BITCASK_OK) status = read(engine, &located, out);
  if (status == BITCASK_CORRUPT) report_damage(engine, &located);
  guard_leave_counted(token);
  if (pinned != NULL) segment_unref(pinned);
  buffer_release(&scratch);
  /* What somebody was told has expired stays gone, even if the clock steps back. */
  if (status == BITCASK_ABSENT) engine_expire(engine);
  return status;
}

/* The hash first, and only then the guard: a caller's own hash function may merge the very store,
 * which waits for every guard to be left. */
static enum bitcask_status read_key(struct engine *engine, const uint64_t *at, bitcask_bytes key,
                                    read_function read, void *out) {
  uint64_t hash = 0;
  TRY(hash_of(&engine->hash, key, &hash));
  return read_hashed(engine, at, key, hash, read, out);
}

struct value_and_version {
  struct bitcask_buffer *into;
  uint64_t *version; /* may be NULL */
  size_t begin;      /* of the value in it, whatever a caller's hash function has put there */
};

static enum bitcask_status read_value(struct engine *engine, const struct located *located,
                                      void *out) {
  struct value_and_version *wanted = out;
  wanted->into->size = wanted->begin;
  TRY(copy_value(engine, located, wanted->into));
  if (wanted->version != NULL) *wanted->version = located->record.version;
  return BITCASK_OK;
}

static enum bitcask_status read_stat(struct engine *engine, const struct located *located,
                                     void *out) {
  (void)engine;
  *(struct bitcask_stat *)out = (struct bitcask_stat){.version = located->record.version,
                                                      .size = located->record.value.size,
                                                      .expires = located->record.expires,
                                                      .segment = located->segment->facts.id,
                                                      .offset = place_offset(located->entry.at)};
  return BITCASK_OK;
}

/* ---- The short way ---- */

/* Most records are found by one look, in a mapping, intact, and do not expire. The value of such a
 * one is copied by as few instructions as it takes: a processor goes through some hundreds of them
 * while it waits for memory, and where those of the next get are among them, it waits for both at
 * once. Whatever is unusual goes the long way, which also tells what is wrong. */

/* What waits for the record itself is to be little, since a processor has room for some hundred
 * such steps: so sizes are taken from the entry and the key where they can be, and of the value
 * it is only asked whether it has the size that the last one had. */

/* A record that is looked for: where it stands in a mapping, how long it is with its padding, and
 * how much of that comes before its value. */
struct target {
  const uint8_t *bytes;
  size_t size;
  size_t value_at;
};

/* False: it has no such place, or is a large one. */
INLINE bool aim(const struct segment *segment, const struct keydir_entry *entry,
                bitcask_bytes key, struct target *out) {
  const struct disk_file *file = segment->file;
  uint64_t offset = place_offset(entry->at), size = keydir_entry_size(entry);
  if (file->map == NULL || offset + size > disk_file_size(file)) return false;
  *out = (struct target){file->map + offset, size, RECORD_FIXED_SIZE + key.size};
  return out->value_at <= size && size < LARGE_SIZE;
}

INLINE bool is_intact(const struct segment *segment, const struct keydir_entry *entry,
                      const struct target *target, uint32_t value_size) {
  const uint8_t *bytes = target->bytes;
  return record_passes_checks(bytes, target->value_at, segment->salt, place_offset(entry->at),
                              value_size) &&
         get_u64(bytes + 8) != 0; /* the version: as everywhere */
}

/* Never inlined: else the size that the record tells would be waited for in any case. */
static __attribute__((noinline)) bool is_plain_of_other_size(const struct target *target,
                                                             size_t key_size,
                                                             uint32_t *value_size) {
  return record_is_plain(target->bytes, key_size, target->size, value_size);
}

/* Is it a plain record? *value_size is what its value probably has, and then has. */
INLINE bool is_plain(const struct target *target, size_t key_size, uint32_t *value_size) {
  return record_is_plain_of(target->bytes, key_size, *value_size, target->size) ||
         is_plain_of_other_size(target, key_size, value_size);
}

/* Append the value of the record that the entry leads to, which probably has so many bytes. False:
 * it is to be read the long way, and nothing was appended. */
INLINE bool append_shortly(struct engine *engine, const struct keydir_entry *entry,
                           bitcask_bytes key, uint32_t value_size, struct bitcask_buffer *into,
                           uint64_t *version) {
  const struct segment *segment = engine_segment(engine, entry->at);
  struct target target;
  if (!aim(segment, entry, key, &target)) return false;
  const uint8_t *bytes = target.bytes;
  __builtin_prefetch(bytes + 64); /* the first lines are on their way together */
  __builtin_prefetch(bytes + 128);
  __builtin_prefetch(bytes + target.size - 1);
  if (!is_plain(&target, key.size, &value_size)) return false;
  if (!bytes_equal(bytes_of(bytes + RECORD_FIXED_SIZE, key.size), key)) return false;
  if (engine->options.verify && !is_intact(segment, entry, &target, value_size)) return false;
  /* More than that: a buffer that has nothing yet is no memory to copy nothing to, either. */
  if (into->capacity - into->size <= target.size - target.value_at) return false;
  /* With the padding. */
  bytes_copy((char *)into->data + into->size, bytes + target.value_at,
             target.size - target.value_at);
  into->size += value_size;
  if (version != NULL) *version = get_u64(bytes + 8);
  return true;
}

/* Append the value of the key, which probably has the size `likely`, or tell that there is none.
 * False: that takes the long way, and nothing was done. */
INLINE bool get_shortly(struct engine *engine, bitcask_bytes key, uint64_t hash, size_t likely,
                        struct bitcask_buffer *into, uint64_t *version,
                        enum bitcask_status *status) {
  keydir_prefetch(engine->keydir, hash); /* before a locked instruction holds it up */
  guard_token token = guard_enter(&engine->guard);
  struct keydir_entry found = keydir_find_only(engine->keydir, hash);
  *status = found.at == 0 ? BITCASK_ABSENT : BITCASK_OK;
  if (found.at != 0 && (found.at == KEYDIR_UNSURE ||
                        !append_shortly(engine, &found, key, (uint32_t)likely, into, version))) {
    guard_leave(token);
    return false;
  }
  guard_leave_counted(token);
  if (found.at == 0) engine_expire(engine);
  return true;
}

/* ---- One ---- */

static SELDOM enum bitcask_status get_the_long_way(struct engine *engine, bitcask_bytes key,
                                                   uint64_t hash, struct bitcask_buffer *into,
                                                   uint64_t *version) {
  struct value_and_version wanted = {into, version, into->size};
  return read_hashed(engine, NULL, key, hash, read_value, &wanted);
}

enum bitcask_status engine_get(struct engine *engine, bitcask_bytes key,
                               struct bitcask_buffer *into, uint64_t *version) {
  enum bitcask_status status = BITCASK_OK;
  uint64_t hash = 0;
  size_t likely = into->size; /* what the caller read last is still in his buffer */
  into->size = 0;
  TRY(hash_of(&engine->hash, key, &hash));
  into->size = 0; /* again: a caller's hash function may have used the same buffer */
  if (get_shortly(engine, key, hash, likely, into, version, &status)) return status;
  return get_the_long_way(engine, key, hash, into, version);
}

enum bitcask_status engine_get_at(struct engine *engine, uint64_t version, bitcask_bytes key,
                                  struct bitcask_buffer *into, uint64_t *found_version) {
  struct value_and_version wanted = {into, found_version, 0};
  into->size = 0;
  return read_key(engine, &version, key, read_value, &wanted);
}

enum bitcask_status engine_stat(struct engine *engine, bitcask_bytes key,
                                struct bitcask_stat *out) {
  return read_key(engine, NULL, key, read_stat, out);
}

enum bitcask_status engine_stat_at(struct engine *engine, uint64_t version, bitcask_bytes key,
                                   struct bitcask_stat *out) {
  return read_key(engine, &version, key, read_stat, out);
}

/* ---- Many ---- */

struct wanted {
  size_t index; /* of the key */
  uint64_t hash;
  place at;     /* where it probably stands: the order to read in */
};

static int compare_wanted(const void *left, const void *right) {
  const struct wanted *a = left, *b = right;
  return (a->at > b->at) - (a->at < b->at);
}

enum { AHEAD = 8 }; /* so many slots, or records, are on their way into the processor's cache */

/* The order of the places that the keydir leads to. Where it stands is looked up again when
 * it is read; this is only about going through the files in one direction. */
static enum bitcask_status order_by_place(struct engine *engine, const bitcask_bytes *keys,
                                          size_t count, struct wanted *wanted) {
  for (size_t i = 0; i < count; i++) {
    wanted[i] = (struct wanted){.index = i};
    TRY(hash_of(&engine->hash, keys[i], &wanted[i].hash));
  }
  for (size_t i = 0; i < count; i++) {
    struct keydir_matches matches;
    if (count - i > AHEAD) keydir_prefetch(engine->keydir, wanted[i + AHEAD].hash);
    keydir_find(engine->keydir, wanted[i].hash, 0, &matches);
    if (matches.count > 0) wanted[i].at = matches.entries[0].at;
  }
  if (count > 1) qsort(wanted, count, sizeof *wanted, compare_wanted);
  return BITCASK_OK;
}

/* The guard is held. A place may be out of date, and its slot empty or another's by now: it is
 * only asked for what stands there. */
static void read_ahead(struct engine *engine, place at) {
  struct segment *segment = engine_segment(engine, at);
  if (segment == NULL || segment->file->map == NULL) return;
  if (place_offset(at) < disk_file_size(segment->file))
    __builtin_prefetch(segment->file->map + place_offset(at));
}

static enum bitcask_status read_one(struct engine *engine, bitcask_bytes key, uint64_t hash,
                                    size_t likely, struct bitcask_buffer *arena,
                                    struct bitcask_found *out) {
  out->offset = arena->size;
  if (!get_shortly(engine, key, hash, likely, arena, &out->version, &out->status))
    out->status = get_the_long_way(engine, key, hash, arena, &out->version);
  out->size = arena->size - out->offset;
  bool is_over = out->status == BITCASK_NOMEMORY || out->status == BITCASK_INVALID;
  return is_over ? out->status : BITCASK_OK;
}

static enum bitcask_status read_all(struct engine *engine, const bitcask_bytes *keys,
                                    const struct wanted *wanted, size_t count,
                                    struct bitcask_buffer *arena, struct bitcask_found *out) {
  enum bitcask_status status = BITCASK_OK;
  size_t likely = 0; /* the size of a value is that of the last one */
  for (size_t i = 0; status == BITCASK_OK && i < count; i++) {
    struct bitcask_found *found = &out[wanted[i].index];
    if (count - i > AHEAD) {
      guard_token token = guard_enter(&engine->guard);
      read_ahead(engine, wanted[i + AHEAD].at);
      guard_leave(token);
    }
    status = read_one(engine, keys[wanted[i].index], wanted[i].hash, likely, arena, found);
    likely = found->size;
  }
  return status;
}

enum bitcask_status engine_get_many(struct engine *engine, const bitcask_bytes *keys, size_t count,
                                    struct bitcask_buffer *arena, struct bitcask_found *out) {
  struct wanted *wanted = memory_new(count * sizeof *wanted);
  if (wanted == NULL) return BITCASK_NOMEMORY;
  arena->size = 0;
  enum bitcask_status status = order_by_place(engine, keys, count, wanted);
  if (status == BITCASK_OK) status = read_all(engine, keys, wanted, count, arena, out);
  memory_free(wanted);
  return status;
}
