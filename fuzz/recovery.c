/*
 * What is left of a store whose process died: one segment, to which it was writing. Input:
 * marks (1), damage (8), the records. Marks: 1 makes the checks of all that could be records good,
 * before the damage is done: two bytes, each an offset (2), what to flip (1) and how many
 * bytes in a row (1); 2: the machine was started anew since; 4: files are read where they stand.
 *
 * What the store answers is held against a second reading of the same bytes, here, by the rules
 * of docs/format.md: of each key its newest record, batches wholly or not at all.
 */
#include "bitcask.h"

#include <stdlib.h>

#include "bytes_disk.h"
#include "format/edit.h"
#include "format/filename.h"
#include "fuzz.h"
#include "reseal.h"
#include "store/segment.h"

enum { SEAL = 1, STARTED_ANEW = 2, MAPPED = 4, BOOT = 77, RECORDS_MAX = 4096 };

static const uint64_t SALT = 0x1122334455667788;

/* ---- The second reading ---- */

struct found {
  struct record record;
  uint64_t offset;
  bool is_whole; /* its value passes its check */
};

struct reading {
  struct found records[RECORDS_MAX];
  size_t count;
  size_t counting; /* the first so many count */
};

static bool read_record(bitcask_bytes file, uint64_t offset, struct record *out) {
  const uint8_t *at = (const uint8_t *)file.data + offset;
  return record_parse(at, file.size - (size_t)offset, out) &&
         record_header_is_intact(out, at, SALT, offset);
}

/* All records, wherever they stand. False: more than there is room for here. */
static bool read_all(bitcask_bytes file, struct reading *out, uint64_t *first_bad) {
  uint64_t offset = HEADER_SIZE;
  out->count = 0;
  *first_bad = 0;
  while (offset < file.size) {
    struct found *found = &out->records[out->count];
    bool is_record = read_record(file, offset, &found->record);
    bool is_whole = is_record && record_value_is_intact(&found->record);
    if (!is_whole && *first_bad == 0) *first_bad = offset;
    if (!is_record) {
      offset += RECORD_UNIT;
      continue;
    }
    found->offset = offset;
    found->is_whole = is_whole;
    offset += record_size_of(&found->record);
    if (++out->count == RECORDS_MAX) return false;
  }
  return true;
}

/* Those in front of the first bad bytes, without a batch that was cut off; all of them, if those
 * bytes were durable once, which makes them damage. */
static void decide(struct reading *reading, uint64_t first_bad, bool was_started_anew) {
  uint64_t durable = 0;
  size_t last_whole = reading->count, good = 0;
  for (size_t i = 0; i < reading->count; i++) {
    const struct found *found = &reading->records[i];
    if (!found->is_whole) continue;
    last_whole = i;
    uint64_t synced = (uint64_t)found->record.synced * RECORD_UNIT;
    if (synced > durable) durable = synced;
    bool is_before = first_bad == 0 || found->offset < first_bad;
    if (is_before && !(found->record.flags & RECORD_CONTINUES)) good = i + 1;
  }
  bool has_later = first_bad != 0 && last_whole < reading->count &&
                   reading->records[last_whole].offset > first_bad;
  bool is_damage = has_later && (!was_started_anew || durable > first_bad);
  reading->counting = is_damage ? last_whole + 1 : good;
}

static const struct found *newest(const struct reading *reading, bitcask_bytes key) {
  const struct found *best = NULL;
  for (size_t i = 0; i < reading->counting; i++) {
    const struct found *found = &reading->records[i];
    if (!bytes_equal(found->record.key, key)) continue;
    if (best == NULL || found->record.version > best->record.version) best = found;
  }
  if (best == NULL || (best->record.flags & RECORD_TOMBSTONE) ||
      record_has_expired(&best->record, BYTES_DISK_NOW_MS))
    return NULL;
  return best;
}

/* ---- What the store answers ---- */

static void check_key(struct bitcask *db, const struct reading *reading, bitcask_bytes key) {
  const struct found *expected = newest(reading, key);
  struct bitcask_buffer value = {0};
  uint64_t version = 0;
  enum bitcask_status status = bitcask_get(db, key, &value, &version);
  if (expected == NULL) {
    MUST(status == BITCASK_ABSENT);
  } else if (!expected->is_whole) {
    MUST(status == BITCASK_CORRUPT);
  } else {
    MUST(status == BITCASK_OK && version == expected->record.version);
    MUST(bytes_equal(bytes_of(value.data, value.size), expected->record.value));
  }
  MUST(bitcask_has(db, key) == (expected != NULL ? BITCASK_OK : BITCASK_ABSENT));
  bitcask_buffer_release(&value);
}

static uint64_t count_iterated(struct bitcask *db) {
  struct bitcask_iterator_options options = {.keys_only = true};
  struct bitcask_iterator *iterator = NULL;
  bitcask_bytes key, value;
  uint64_t count = 0, version;
  MUST(bitcask_iterator_open(db, &options, &iterator) == BITCASK_OK);
  while (bitcask_iterator_next(iterator, &key, &value, &version) == BITCASK_OK) count++;
  bitcask_iterator_close(iterator);
  return count;
}

static void check(struct bitcask *db, const struct reading *reading) {
  uint64_t live = 0;
  for (size_t i = 0; i < reading->count; i++) {
    bitcask_bytes key = reading->records[i].record.key;
    check_key(db, reading, key);
    live += newest(reading, key) == &reading->records[i];
  }
  MUST(bitcask_count(db) == live && count_iterated(db) == live);
}

/* ---- The store ---- */

static void add_manifest(struct bytes_disk *disk) {
  struct bitcask_buffer payload = {0}, file = {0};
  struct header header = {.kind = HEADER_MANIFEST, .number = 1};
  uint8_t head[HEADER_SIZE], frame[EDIT_FRAME_SIZE];
  MUST(edit_append_full(&payload) == BITCASK_OK);
  MUST(edit_append_numbers(&payload, 2, 0) == BITCASK_OK);
  MUST(edit_append_open(&payload, 1) == BITCASK_OK);
  header_encode(&header, head);
  edit_encode_frame(bytes_of(payload.data, payload.size), 1, 0, frame);
  MUST(buffer_append(&file, bytes_of(head, sizeof head)) == BITCASK_OK);
  MUST(buffer_append(&file, bytes_of(frame, sizeof frame)) == BITCASK_OK);
  MUST(buffer_append(&file, bytes_of(payload.data, payload.size)) == BITCASK_OK);
  bytes_disk_add(disk, filename_of_manifest(1).text, bytes_of(file.data, file.size));
  bitcask_buffer_release(&payload);
  bitcask_buffer_release(&file);
}

static void add_current(struct bytes_disk *disk) {
  char text[] = "MANIFEST-000001 00000000000000000000000000000000 0123456789abcdef\n";
  reseal_current((uint8_t *)text, sizeof text - 1);
  bytes_disk_add(disk, FILENAME_CURRENT, bytes_of(text, sizeof text - 1));
}

static void do_damage(uint8_t *bytes, size_t size, bitcask_bytes damage) {
  struct coding_reader input = coding_read(damage);
  for (int i = 0; i < 2; i++) {
    size_t offset = HEADER_SIZE + (size_t)fuzz_number(&input, 2);
    uint8_t flip = (uint8_t)fuzz_number(&input, 1);
    size_t count = (size_t)fuzz_number(&input, 1);
    for (size_t at = offset; at < offset + count && at < size; at++) bytes[at] ^= flip;
  }
}

static bitcask_bytes add_segment(struct bytes_disk *disk, bitcask_bytes body, bool seal) {
  struct header header = {.kind = HEADER_SEGMENT, .number = 1, .salt = SALT, .boot = BOOT};
  struct bitcask_buffer file = {0};
  uint8_t head[HEADER_SIZE];
  header_encode(&header, head);
  MUST(buffer_append(&file, bytes_of(head, sizeof head)) == BITCASK_OK);
  MUST(buffer_append(&file, body) == BITCASK_OK);
  uint8_t *copy =
      bytes_disk_add(disk, filename_of_segment(1).text, bytes_of(file.data, file.size));
  size_t size = file.size;
  if (seal) reseal_segment(copy, size);
  bitcask_buffer_release(&file);
  return bytes_of(copy, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct reading reading;
  struct coding_reader input = coding_read(bytes_of(data, size));
  unsigned marks = (unsigned)fuzz_number(&input, 1);
  bitcask_bytes damage = fuzz_bytes(&input, 8), body = fuzz_bytes(&input, input.left);
  struct bytes_disk disk;
  uint64_t first_bad = 0;
  bytes_disk_init(&disk, marks & MAPPED, marks & STARTED_ANEW ? BOOT + 1 : BOOT);
  add_current(&disk);
  add_manifest(&disk);
  bitcask_bytes file = add_segment(&disk, body, marks & SEAL);
  do_damage((uint8_t *)file.data, file.size, damage);
  if (read_all(file, &reading, &first_bad)) {
    struct bitcask_options options;
    struct bitcask *db = NULL;
    decide(&reading, first_bad, marks & STARTED_ANEW);
    bitcask_options_default(&options);
    options.disk = &disk.disk;
    options.readonly = true;
    options.no_threads = true;
    fuzz_memory_begin();
    MUST(bitcask_open("store", &options, &db) == BITCASK_OK);
    fuzz_memory_end(size, 256 << 10, 4);
    check(db, &reading);
    bitcask_close(db);
  }
  MUST(disk.open_files == 0);
  bytes_disk_release(&disk);
  return 0;
}
