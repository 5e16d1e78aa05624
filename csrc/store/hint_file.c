#include "store/hint_file.h"

#include <inttypes.h>

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

/* Collect the entries of a segment; it must be just as its facts say, to the last record. */
static enum bitcask_status collect(struct segment *segment, struct bitcask_buffer *body) {
  struct segment_scan scan;
  struct segment_facts seen = segment_facts_empty(segment->facts.id, 0);
  enum segment_scan_kind kind = SEGMENT_SCAN_END;
  segment_scan_init(&scan, segment, segment->facts.length, false);
  enum bitcask_status status;
  while ((status = segment_scan_next(&scan, &kind)) == BITCASK_OK && kind == SEGMENT_SCAN_RECORD) {
    segment_count_record(&seen, &scan.record);
    if (seen.records > segment->facts.records) break;
    status = entry_of_scan(&scan, body);
    if (status != BITCASK_OK) break;
  }
  if (status == BITCASK_OK && (kind != SEGMENT_SCAN_END || seen.digest != segment->facts.digest ||
                               seen.records != segment->facts.records))
    status = status_fail(BITCASK_CORRUPT, "%s: damaged at %" PRIu64,
                         filename_of_segment(segment->facts.id).text, scan.offset);
  segment_scan_release(&scan);
  return status;
}

/* Pages of its own, given back when it is written: what malloc once had for such a buffer, it
 * would keep. Large enough for every entry, so that it never grows. */
static enum bitcask_status reserve_body(const struct segment *segment, struct bitcask_buffer *body) {
  size_t most = (size_t)(segment->facts.length + segment->facts.records * HINT_ENTRY_FIXED_SIZE);
  body->data = memory_sparse(most, 1);
  body->capacity = body->data != NULL ? most : 0;
  return body->data != NULL ? BITCASK_OK : BITCASK_NOMEMORY;
}

enum bitcask_status hint_file_write(struct disk *disk, struct segment *segment,
                                    store_identity store) {
  struct bitcask_buffer body = {0};
  TRY(reserve_body(segment, &body));
  enum bitcask_status status = collect(segment, &body);
  if (status == BITCASK_OK)
    status = hint_file_write_entries(disk, segment->directory, store, &segment->facts,
                                     bytes_of(body.data, body.size));
  memory_sparse_free(body.data, body.capacity, 1);
  return status;
}

enum bitcask_status hint_file_write_entries(struct disk *disk, struct disk_directory *directory,
                                            store_identity store,
                                            const struct segment_facts *facts,
                                            bitcask_bytes body) {
  struct header header = {.kind = HEADER_HINT,
                          .store = store,
                          .number = facts->id,
                          .created_ms = disk->ops->now_ms(disk)};
  TRY(disk->ops->random(disk, &header.salt, sizeof header.salt));
  struct hint_binding binding = {facts->length, facts->digest, facts->records};
  uint8_t prefix[HINT_PREFIX_SIZE];
  hint_encode_prefix(&header, &binding, body, prefix);

  filename temporary = filename_of_hint_temporary(facts->id);
  filename name = filename_of_hint(facts->id);
  struct disk_file *file = NULL;
  directory->ops->remove(directory, temporary.text);
  TRY(directory->ops->create(directory, temporary.text, 0, &file));
  const bitcask_bytes parts[] = {bytes_of(prefix, sizeof prefix), body};
  enum bitcask_status status = file->ops->append(file, parts, 2, 0);
  if (status == BITCASK_OK) status = file->ops->sync(file);
  disk_file_close(file);
  if (status == BITCASK_OK)
    status = directory->ops->rename(directory, temporary.text, name.text);
  if (status != BITCASK_OK) directory->ops->remove(directory, temporary.text);
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
