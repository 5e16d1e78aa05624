#include "store/hint_file.h"

#include <inttypes.h>

#include "base/checksum.h"
#include "base/thread.h"
#include "format/filename.h"

static enum bitcask_status entry_of_scan(const struct segment_scan *scan,
                                         struct bitcask_buffer *body) {
  struct hint_entry entry = {.version = scan->record.version,
                             .offset = scan->offset,
                             .size = scan->size,
                             .expires = scan->record.expires,
                             .key = scan->record.key,
                             .flags = scan->record.flags};
  return hint_append_entry(body, &entry);
}

/* Entries on their way to a hint file, a chunk at a time: all of them would be a quarter of a
 * large segment. They are gone through once for what stands in front of them, and once more to be
 * written, unless one chunk holds them all. */
struct passage {
  struct bitcask_buffer chunk;
  checksum_stream check;   /* first */
  struct hint_body body;
  struct disk_file *file; /* then */
  const uint8_t *prefix;  /* NULL once it is written */
};

enum { CHUNK_SIZE = 128 << 10, ENTRY_SIZE_MAX = HINT_ENTRY_FIXED_SIZE + 8 + UINT16_MAX };

static void check_chunk(struct passage *passage) {
  checksum_add(&passage->check, passage->chunk.data, passage->chunk.size);
  passage->body.size += passage->chunk.size;
}

static enum bitcask_status write_chunk(struct passage *passage) {
  bitcask_bytes entries = bytes_of(passage->chunk.data, passage->chunk.size);
  const bitcask_bytes parts[] = {bytes_of(passage->prefix, HINT_PREFIX_SIZE), entries};
  bool is_first = passage->prefix != NULL;
  passage->prefix = NULL;
  if (is_first) return passage->file->ops->append(passage->file, parts, 2, 0);
  return entries.size > 0 ? passage->file->ops->append(passage->file, &entries, 1, 0) : BITCASK_OK;
}

static enum bitcask_status take_chunk(struct passage *passage) {
  if (passage->file != NULL) return write_chunk(passage);
  check_chunk(passage);
  return BITCASK_OK;
}

/* Take the entries of a segment; it must be just as its facts say, to the last record. The last
 * chunk stays in its buffer. */
static enum bitcask_status pass(struct segment *segment, struct passage *passage) {
  enum { RECORDS_TOGETHER = 64 };
  struct segment_scan scan;
  struct segment_facts seen = segment_facts_empty(segment->facts.id, 0);
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  segment_scan_init(&scan, segment, segment->facts.length, false);
  enum bitcask_status status;
  passage->chunk.size = 0;
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK && kind == SEGMENT_SCAN_RECORD) {
    segment_count_record(&seen, &scan.record);
    if (seen.records > segment->facts.records) break;
    if (passage->chunk.size >= CHUNK_SIZE) {
      status = take_chunk(passage);
      passage->chunk.size = 0;
    }
    if (status == BITCASK_OK) status = entry_of_scan(&scan, &passage->chunk);
    if (status != BITCASK_OK) break;
    if (seen.records % RECORDS_TOGETHER == 0) thread_step_aside();
  }
  if (status == BITCASK_OK && (kind != SEGMENT_SCAN_END || seen.digest != segment->facts.digest ||
                               seen.records != segment->facts.records))
    status = status_fail(BITCASK_CORRUPT, "%s: damaged at %" PRIu64,
                         filename_of_segment(segment->facts.id).text, scan.offset);
  segment_scan_release(&scan);
  return status == BITCASK_OK ? take_chunk(passage) : status;
}

static enum bitcask_status begin_header(struct disk *disk, store_identity store,
                                        const struct segment_facts *facts, struct header *out) {
  *out = (struct header){.kind = HEADER_HINT,
                         .store = store,
                         .number = facts->id,
                         .created_ms = disk->ops->now_ms(disk)};
  return disk->ops->random(disk, &out->salt, sizeof out->salt);
}

static void encode_prefix(const struct header *header, const struct segment_facts *facts,
                          const struct hint_body *body, uint8_t out[HINT_PREFIX_SIZE]) {
  struct hint_binding binding = {facts->length, facts->digest, facts->records};
  hint_encode_prefix(header, &binding, body, out);
}

/* Write what comes in front of the entries, and those: they are in the chunk if `segment` is NULL,
 * and taken from there else. */
static enum bitcask_status write_file(struct disk_directory *directory, uint64_t id,
                                      struct passage *passage, struct segment *segment) {
  filename temporary = filename_of_hint_temporary(id), name = filename_of_hint(id);
  directory->ops->remove(directory, temporary.text);
  TRY(directory->ops->create(directory, temporary.text, 0, &passage->file));
  enum bitcask_status status = segment != NULL ? pass(segment, passage) : write_chunk(passage);
  if (status == BITCASK_OK) status = passage->file->ops->sync(passage->file);
  disk_file_close(passage->file);
  if (status == BITCASK_OK)
    status = directory->ops->rename(directory, temporary.text, name.text);
  if (status != BITCASK_OK) disk_remove_quietly(directory, temporary.text);
  return status;
}

static enum bitcask_status write_in_passes(struct disk *disk, struct segment *segment,
                                           store_identity store, struct passage *passage) {
  struct header header;
  uint8_t prefix[HINT_PREFIX_SIZE];
  TRY(begin_header(disk, store, &segment->facts, &header));
  checksum_begin(&passage->check, header.salt);
  TRY(pass(segment, passage));
  passage->body.check = checksum_end(&passage->check);
  encode_prefix(&header, &segment->facts, &passage->body, prefix);
  passage->prefix = prefix;
  bool is_at_hand = passage->chunk.size == passage->body.size;
  return write_file(segment->directory, segment->facts.id, passage, is_at_hand ? NULL : segment);
}

enum bitcask_status hint_file_write(struct disk *disk, struct segment *segment,
                                    store_identity store) {
  /* Pages of its own: what malloc once had for such a buffer, it would keep. */
  enum { CAPACITY = CHUNK_SIZE + ENTRY_SIZE_MAX };
  struct passage passage = {.chunk = {.data = memory_sparse(CAPACITY, 1), .capacity = CAPACITY}};
  if (passage.chunk.data == NULL) return BITCASK_NOMEMORY;
  enum bitcask_status status = write_in_passes(disk, segment, store, &passage);
  memory_sparse_free(passage.chunk.data, CAPACITY, 1);
  return status;
}

static enum bitcask_status check_binding(const struct header *header,
                                         const struct hint_binding *binding, store_identity store,
                                         const struct segment_facts *facts, const char *name) {
  if (!store_identity_equal(header->store, store) || header->number != facts->id)
    return status_fail(BITCASK_CORRUPT, "%s: belongs to another segment", name);
  if (binding->segment_length != facts->length || binding->segment_digest != facts->digest ||
      binding->entries != facts->records)
    return status_fail(BITCASK_CORRUPT, "%s: describes another state of its segment", name);
  return BITCASK_OK;
}

enum bitcask_status hint_file_load(struct disk_directory *directory, store_identity store,
                                   const struct segment_facts *facts, struct hint_file *out) {
  *out = (struct hint_file){0};
  filename name = filename_of_hint(facts->id);
  TRY(directory->ops->open(directory, name.text, false, &out->file));
  const uint8_t *bytes = NULL;
  uint64_t size = disk_file_size(out->file);
  struct header header;
  struct hint_binding binding;
  bitcask_bytes body = {0};
  out->file->ops->will_read(out->file, 0, size);
  enum bitcask_status status =
      disk_file_view(out->file, 0, (size_t)size, &out->scratch, &bytes);
  if (status == BITCASK_OK)
    status = hint_decode(bytes_of(bytes, (size_t)size), name.text, &header, &binding, &body);
  if (status == BITCASK_OK) status = check_binding(&header, &binding, store, facts, name.text);
  if (status != BITCASK_OK) {
    hint_file_release(out);
    return status;
  }
  out->entries = coding_read(body);
  return BITCASK_OK;
}

void hint_file_release(struct hint_file *hint) {
  disk_file_close(hint->file);
  bitcask_buffer_release(&hint->scratch);
  *hint = (struct hint_file){0};
}
