#include "store/segment.h"

#include <inttypes.h>

#include "base/checksum.h"
#include "format/filename.h"

static struct segment *segment_new(struct disk_directory *directory, uint64_t capacity) {
  struct segment *segment = memory_aligned(alignof(struct segment), sizeof *segment);
  if (segment == NULL) return NULL;
  *segment = (struct segment){.directory = directory, .capacity = capacity};
  atomic_init(&segment->references, 1);
  return segment;
}

static void segment_free(struct segment *segment) {
  disk_file_close(segment->file);
  memory_free(segment);
}

struct segment_facts segment_facts_empty(uint64_t id, uint64_t created_ms) {
  return (struct segment_facts){.id = id,
                                .length = HEADER_SIZE,
                                .min_put_version = EDIT_NO_PUT,
                                .created_ms = created_ms};
}

static enum bitcask_status write_header(struct disk *disk, struct segment *segment,
                                        store_identity store, uint64_t id) {
  struct header header = {.kind = HEADER_SEGMENT,
                          .store = store,
                          .number = id,
                          .created_ms = disk->ops->now_ms(disk),
                          .boot = disk->ops->boot(disk)};
  TRY(disk->ops->random(disk, &header.salt, sizeof header.salt));
  uint8_t bytes[HEADER_SIZE];
  header_encode(&header, bytes);
  bitcask_bytes part = bytes_of(bytes, sizeof bytes);
  TRY(segment->file->ops->append(segment->file, &part, 1, 0));
  segment->salt = header.salt;
  segment->boot = header.boot;
  segment->facts = segment_facts_empty(id, header.created_ms);
  return BITCASK_OK;
}

enum bitcask_status segment_create(struct disk *disk, struct disk_directory *directory,
                                   store_identity store, uint64_t id, uint64_t capacity,
                                   struct segment **out) {
  struct segment *segment = segment_new(directory, capacity);
  if (segment == NULL) return BITCASK_NOMEMORY;
  filename name = filename_of_segment(id);
  enum bitcask_status status =
      directory->ops->create(directory, name.text, capacity, &segment->file);
  if (status == BITCASK_OK) {
    status = write_header(disk, segment, store, id);
    if (status != BITCASK_OK) disk_remove_quietly(directory, name.text);
  }
  if (status != BITCASK_OK) {
    segment_free(segment);
    return status;
  }
  *out = segment;
  return BITCASK_OK;
}

static enum bitcask_status check_header(struct segment *segment, store_identity store,
                                        const char *name) {
  struct bitcask_buffer scratch = {0};
  const uint8_t *bytes = NULL;
  struct header header;
  enum bitcask_status status = BITCASK_OK;
  if (disk_file_size(segment->file) < HEADER_SIZE)
    status = status_fail(BITCASK_CORRUPT, "%s: %" PRIu64 " bytes are too short for a header", name,
                         disk_file_size(segment->file));
  if (status == BITCASK_OK)
    status = segment_view(segment, 0, HEADER_SIZE, &scratch, &bytes);
  if (status == BITCASK_OK)
    status = header_decode(bytes, HEADER_SIZE, HEADER_SEGMENT, name, &header);
  if (status == BITCASK_OK &&
      (!store_identity_equal(header.store, store) || header.number != segment->facts.id))
    status = status_fail(BITCASK_CORRUPT, "%s: belongs to another store or place", name);
  if (status == BITCASK_OK) {
    segment->salt = header.salt;
    segment->boot = header.boot;
  }
  if (status == BITCASK_OK && segment->facts.created_ms == 0)
    segment->facts.created_ms = header.created_ms;
  bitcask_buffer_release(&scratch);
  return status;
}

static enum bitcask_status check_length(const struct segment *segment, const char *name) {
  uint64_t size = disk_file_size(segment->file);
  uint64_t length = segment->facts.length;
  if (size < length)
    return status_fail(BITCASK_CORRUPT, "%s: %" PRIu64 " bytes, where %" PRIu64 " were written",
                       name, size, length);
  return BITCASK_OK;
}

enum bitcask_status segment_name_damage(const struct segment *segment) {
  filename name = filename_of_segment(segment->facts.id);
  return status_fail(BITCASK_CORRUPT, "%s: %s", name.text, bitcask_error_text());
}

/* What there is to check of a file that was opened, or not, as `status` tells. Takes the segment
 * over. */
static enum bitcask_status finish_opening(struct segment *segment, store_identity store,
                                          enum bitcask_status status, struct segment **out) {
  filename name = filename_of_segment(segment->facts.id);
  if (status == BITCASK_NOTFOUND)
    status = status_fail(BITCASK_CORRUPT, "%s: is missing", name.text);
  if (status == BITCASK_OK) status = check_length(segment, name.text);
  if (status == BITCASK_OK) status = check_header(segment, store, name.text);
  if (status != BITCASK_OK) {
    segment_free(segment);
    return status;
  }
  atomic_store(&segment->synced_length, segment->facts.length);
  *out = segment;
  return BITCASK_OK;
}

enum bitcask_status segment_open(struct disk_directory *directory, store_identity store,
                                 const struct segment_facts *facts, bool growing,
                                 struct segment **out) {
  struct segment *segment = segment_new(directory, 0);
  if (segment == NULL) return BITCASK_NOMEMORY;
  segment->facts = *facts;
  atomic_store(&segment->is_sealed, true);
  filename name = filename_of_segment(facts->id);
  enum bitcask_status status =
      directory->ops->open(directory, name.text, growing, &segment->file);
  return finish_opening(segment, store, status, out);
}

enum bitcask_status segment_reopen(struct disk_directory *directory, store_identity store,
                                   const struct segment_facts *facts, uint64_t capacity,
                                   struct segment **out) {
  struct segment *segment = segment_new(directory, capacity);
  if (segment == NULL) return BITCASK_NOMEMORY;
  segment->facts = *facts;
  filename name = filename_of_segment(facts->id);
  enum bitcask_status status =
      directory->ops->reopen(directory, name.text, facts->length, capacity, &segment->file);
  return finish_opening(segment, store, status, out);
}

struct segment *segment_ref(struct segment *segment) {
  atomic_fetch_add_explicit(&segment->references, 1, memory_order_relaxed);
  return segment;
}

/* What cannot be removed now is an orphan, and swept at the next open. */
static void remove_files(const struct segment *segment) {
  filename hint = filename_of_hint(segment->facts.id);
  filename data = filename_of_segment(segment->facts.id);
  disk_remove_quietly(segment->directory, hint.text);
  disk_remove_quietly(segment->directory, data.text);
}

static bool is_last(struct segment *segment) {
  return atomic_fetch_sub_explicit(&segment->references, 1, memory_order_acq_rel) == 1;
}

bool segment_leave(struct segment *segment) {
  if (!is_last(segment)) return false;
  if (!atomic_load(&segment->is_obsolete)) return true;
  /* What is open keeps its space for now: to give that back is what takes long. */
  filename hint = filename_of_hint(segment->facts.id);
  segment->directory->ops->open(segment->directory, hint.text, false, &segment->left_hint);
  remove_files(segment);
  return true;
}

void segment_dispose(struct segment *segment) {
  atomic_uint *obsolete_count = atomic_load(&segment->is_obsolete) ? segment->obsolete_count : NULL;
  disk_file_close(segment->left_hint);
  segment_free(segment);
  if (obsolete_count != NULL) atomic_fetch_sub(obsolete_count, 1);
}

void segment_unref(struct segment *segment) {
  if (segment == NULL || !is_last(segment)) return;
  if (atomic_load(&segment->is_obsolete)) remove_files(segment);
  segment_dispose(segment);
}

void segment_count_record(struct segment_facts *facts, const struct record *record) {
  uint64_t size = record_size_of(record);
  facts->length += size;
  facts->records++;
  if (facts->min_version == 0 || record->version < facts->min_version)
    facts->min_version = record->version;
  if (record->version > facts->max_version) facts->max_version = record->version;
  if (record->flags & RECORD_TOMBSTONE) {
    facts->tombstones++;
    facts->tombstone_bytes += size;
  } else if (record->version < facts->min_put_version) {
    facts->min_put_version = record->version;
  }
  if (record->flags & RECORD_EXPIRES) facts->flags |= EDIT_FACTS_EXPIRING;
  uint64_t digest = (facts->digest ^ record->header_check) * UINT64_C(0x9E3779B185EBCA87);
  facts->digest = digest ^ (digest >> 32);
}

enum { PARTS_PER_RECORD = 4, SHORT_SIZE = 512 };

static void note_synced(const struct segment *segment, struct record *record) {
  uint64_t synced = atomic_load_explicit(&segment->synced_length, memory_order_relaxed);
  record->synced = (uint32_t)(synced / RECORD_UNIT);
}

/* The parts of a record as it will stand at `offset`; its header is written to `header`. */
static void lay_out(const struct segment *segment, struct record *record, uint64_t offset,
                    uint8_t header[RECORD_HEADER_SIZE_MAX],
                    bitcask_bytes parts[PARTS_PER_RECORD]) {
  static const uint8_t zeros[RECORD_UNIT];
  note_synced(segment, record);
  size_t header_size = record_encode_header(record, segment->salt, offset, header);
  uint64_t bare = header_size + record->key.size + record->value.size;
  parts[0] = bytes_of(header, header_size);
  parts[1] = record->key;
  parts[2] = record->value;
  parts[3] = bytes_of(zeros, (size_t)(record_padded(bare) - bare));
}

/* One copy more is cheaper than four parts. */
static enum bitcask_status append_short(struct segment *segment, struct record *record,
                                        size_t headroom) {
  uint8_t bytes[SHORT_SIZE];
  note_synced(segment, record);
  size_t size = record_encode(record, segment->salt, segment->facts.length, bytes);
  const bitcask_bytes whole = bytes_of(bytes, size);
  return segment->file->ops->append(segment->file, &whole, 1, headroom);
}

static enum bitcask_status append_long(struct segment *segment, struct record *record,
                                       size_t headroom) {
  uint8_t header[RECORD_HEADER_SIZE_MAX];
  bitcask_bytes parts[PARTS_PER_RECORD];
  lay_out(segment, record, segment->facts.length, header, parts);
  return segment->file->ops->append(segment->file, parts, PARTS_PER_RECORD, headroom);
}

enum bitcask_status segment_append(struct segment *segment, struct record *record,
                                   size_t headroom, uint64_t *offset) {
  uint64_t at = segment->facts.length;
  TRY(record_size_of(record) <= SHORT_SIZE ? append_short(segment, record, headroom)
                                           : append_long(segment, record, headroom));
  segment_count_record(&segment->facts, record);
  *offset = at;
  return BITCASK_OK;
}

enum bitcask_status segment_encode(struct segment *segment, struct record *record,
                                   struct bitcask_buffer *into, uint64_t *offset) {
  uint64_t at = segment->facts.length;
  TRY(buffer_reserve(into, (size_t)record_size_of(record)));
  note_synced(segment, record);
  into->size += record_encode(record, segment->salt, at, (uint8_t *)into->data + into->size);
  segment_count_record(&segment->facts, record);
  *offset = at;
  return BITCASK_OK;
}

enum bitcask_status segment_append_encoded(struct segment *segment, bitcask_bytes records) {
  if (records.size == 0) return BITCASK_OK;
  return segment->file->ops->append(segment->file, &records, 1, 0);
}

enum bitcask_status segment_append_all(struct segment *segment, struct record *const *records,
                                       size_t count, size_t headroom, uint64_t *offsets) {
  if (count == 1) return segment_append(segment, records[0], headroom, offsets);
  uint8_t *headers = memory_new(count * RECORD_HEADER_SIZE_MAX);
  bitcask_bytes *parts = memory_zeroed(count * PARTS_PER_RECORD, sizeof *parts);
  enum bitcask_status status = headers == NULL || parts == NULL ? BITCASK_NOMEMORY : BITCASK_OK;
  uint64_t at = segment->facts.length;
  for (size_t i = 0; status == BITCASK_OK && i < count; i++) {
    lay_out(segment, records[i], at, headers + i * RECORD_HEADER_SIZE_MAX,
            parts + i * PARTS_PER_RECORD);
    offsets[i] = at;
    at += record_size_of(records[i]);
  }
  if (status == BITCASK_OK)
    status = segment->file->ops->append(segment->file, parts, count * PARTS_PER_RECORD, headroom);
  for (size_t i = 0; status == BITCASK_OK && i < count; i++)
    segment_count_record(&segment->facts, records[i]);
  memory_free(headers);
  memory_free(parts);
  return status;
}

enum bitcask_status segment_sync(struct segment *segment, uint64_t length) {
  TRY(segment->file->ops->sync(segment->file));
  /* Syncs may overlap: the mark only ever rises. */
  uint64_t before = atomic_load(&segment->synced_length);
  while (before < length &&
         !atomic_compare_exchange_weak(&segment->synced_length, &before, length)) {
  }
  return BITCASK_OK;
}

/* ---- Scanning ---- */

enum { SCAN_WINDOW_SIZE = 1 << 20 };

void segment_scan_init(struct segment_scan *scan, struct segment *segment, uint64_t end,
                       bool check_values) {
  *scan = (struct segment_scan){
      .segment = segment, .next = HEADER_SIZE, .end = end, .check_values = check_values};
  if (segment->file->map != NULL) scan->mapped = disk_file_size(segment->file);
}

void segment_scan_release(struct segment_scan *scan) { bitcask_buffer_release(&scan->window); }

/* Not in the mapping: read ahead into the window, or where the file has grown behind it, what is
 * asked for. */
static enum bitcask_status look_elsewhere(struct segment_scan *scan, uint64_t offset, size_t size,
                                          const uint8_t **out) {
  if (scan->mapped > 0) return segment_view(scan->segment, offset, size, &scan->window, out);
  uint64_t ahead = scan->window_offset + scan->window.size;
  if (offset < scan->window_offset || offset + size > ahead) {
    uint64_t wanted = size > SCAN_WINDOW_SIZE ? size : SCAN_WINDOW_SIZE;
    if (wanted > scan->end - offset) wanted = scan->end - offset;
    scan->window_offset = offset;
    const uint8_t *ignored = NULL;
    TRY(segment_view(scan->segment, offset, (size_t)wanted, &scan->window, &ignored));
  }
  *out = (const uint8_t *)scan->window.data + (offset - scan->window_offset);
  return BITCASK_OK;
}

/* The bytes [offset, offset + size), which lie before the end; borrowed until the next look. */
static inline enum bitcask_status look(struct segment_scan *scan, uint64_t offset, size_t size,
                                       const uint8_t **out) {
  struct disk_file *file = scan->segment->file;
  if (offset + size > scan->mapped) return look_elsewhere(scan, offset, size, out);
  disk_file_read_on(file, offset, offset + size, &scan->announced);
  *out = file->map + offset;
  return BITCASK_OK;
}

/* Is there a record with an intact header at `offset`? It is in scan->record then, and its size in
 * scan->size. */
static enum bitcask_status record_at(struct segment_scan *scan, uint64_t offset, bool *found) {
  enum { SOON = 2 << 10 }; /* the processor itself looks no further ahead than to a page's end */
  *found = false;
  uint64_t left = scan->end - offset;
  if (left < RECORD_FIXED_SIZE) return BITCASK_OK;
  const uint8_t *bytes = NULL;
  struct record_claim claim;
  TRY(look(scan, offset, RECORD_FIXED_SIZE, &bytes));
  __builtin_prefetch(bytes + SOON);
  if (!record_read_claim(bytes, &claim) || claim.size > left) return BITCASK_OK;
  if (offset + claim.size > scan->mapped)
    TRY(look_elsewhere(scan, offset, (size_t)claim.size, &bytes));
  record_read(bytes, &claim, &scan->record);
  scan->size = claim.size;
  *found = record_header_is_intact(&scan->record, bytes, scan->segment->salt, offset);
  return BITCASK_OK;
}

static bool is_zero(const uint8_t *bytes, size_t size) {
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static enum bitcask_status zeros_to_end(struct segment_scan *scan, uint64_t offset, bool *out) {
  while (offset < scan->end) {
    uint64_t size = scan->end - offset;
    if (size > SCAN_WINDOW_SIZE) size = SCAN_WINDOW_SIZE;
    const uint8_t *bytes = NULL;
    TRY(look(scan, offset, (size_t)size, &bytes));
    if (!is_zero(bytes, (size_t)size)) {
      *out = false;
      return BITCASK_OK;
    }
    offset += size;
  }
  *out = true;
  return BITCASK_OK;
}

/* Where the next record with an intact header begins, or the end. */
static enum bitcask_status resynchronise(struct segment_scan *scan, uint64_t offset,
                                         uint64_t *out) {
  for (offset += RECORD_UNIT; offset < scan->end; offset += RECORD_UNIT) {
    bool found = false;
    TRY(record_at(scan, offset, &found));
    if (found) break;
  }
  *out = offset < scan->end ? offset : scan->end;
  return BITCASK_OK;
}

enum bitcask_status segment_scan_next(struct segment_scan *scan, enum segment_scan_kind *kind) {
  scan->offset = scan->next;
  scan->size = 0;
  if (scan->next >= scan->end) {
    *kind = SEGMENT_SCAN_END;
    return BITCASK_OK;
  }
  bool found = false;
  TRY(record_at(scan, scan->offset, &found));
  if (found) {
    bool is_whole = !scan->check_values || record_value_is_intact(&scan->record);
    *kind = is_whole ? SEGMENT_SCAN_RECORD : SEGMENT_SCAN_DAMAGED_VALUE;
  } else {
    bool zeros = false;
    uint64_t next = scan->end;
    TRY(zeros_to_end(scan, scan->offset, &zeros));
    if (!zeros) TRY(resynchronise(scan, scan->offset, &next));
    scan->size = next - scan->offset;
    *kind = zeros ? SEGMENT_SCAN_ZEROS : SEGMENT_SCAN_DAMAGED;
  }
  scan->next = scan->offset + scan->size;
  return BITCASK_OK;
}
