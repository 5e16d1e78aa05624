#include "format/checkpoint.h"

#include "base/checksum.h"

enum { INDEX_FIXED_SIZE = 64, SHARD_ROW_SIZE = 32, SEGMENT_ROW_SIZE = 72, FACTS_SIZE = 90 };

void checkpoint_index_release(struct checkpoint_index *index) {
  memory_free(index->segments);
  index->segments = NULL;
  index->segment_count = 0;
}

static enum bitcask_status append_all(struct bitcask_buffer *out, const uint64_t *fields,
                                      size_t count) {
  for (size_t i = 0; i < count; i++) TRY(coding_append_u64(out, fields[i]));
  return BITCASK_OK;
}

static enum bitcask_status append_shard(struct bitcask_buffer *out,
                                        const struct checkpoint_shard *shard) {
  TRY(coding_append_u64(out, shard->offset));
  TRY(coding_append_u32(out, shard->homes));
  TRY(coding_append_u32(out, shard->tail));
  TRY(coding_append_u32(out, shard->count));
  TRY(coding_append_u32(out, shard->used_end));
  return coding_append_u64(out, shard->check);
}

static enum bitcask_status append_segment(struct bitcask_buffer *out,
                                          const struct checkpoint_segment *segment) {
  const uint64_t fields[] = {segment->slot,    segment->id,         segment->salt,
                             segment->covered, segment->reached,    segment->live_bytes,
                             segment->live_records, segment->expired_bytes,
                             segment->last_expired_ms};
  return append_all(out, fields, sizeof fields / sizeof fields[0]);
}

static enum bitcask_status append_fixed(struct bitcask_buffer *out,
                                        const struct checkpoint_index *index) {
  const uint64_t fields[] = {index->hash_seed, index->items, index->items_offset,
                             index->items_check, index->expiring};
  TRY(buffer_append(out, bytes_of(index->hash, CHECKPOINT_HASH_SIZE)));
  TRY(append_all(out, fields, sizeof fields / sizeof fields[0]));
  TRY(coding_append_u32(out, CHECKPOINT_SHARDS));
  return coding_append_u32(out, index->segment_count);
}

enum bitcask_status checkpoint_encode_index(const struct checkpoint_index *index, uint64_t salt,
                                            struct bitcask_buffer *out) {
  size_t begin = out->size;
  TRY(append_fixed(out, index));
  for (size_t i = 0; i < CHECKPOINT_SHARDS; i++) TRY(append_shard(out, &index->shards[i]));
  for (size_t i = 0; i < index->segment_count; i++)
    TRY(append_segment(out, &index->segments[i]));
  if (index->active.id != 0) TRY(edit_append_facts(out, EDIT_CLOSED, &index->active));
  TRY(coding_append_u64(out, out->size - begin));
  return coding_append_u64(
      out, checksum64((const uint8_t *)out->data + begin, out->size - begin, salt));
}

bool checkpoint_index_size(const uint8_t trailer[CHECKPOINT_TRAILER_SIZE], uint64_t file_size,
                           uint64_t *out) {
  *out = get_u64(trailer);
  return file_size >= HEADER_SIZE + CHECKPOINT_TRAILER_SIZE &&
         *out <= file_size - HEADER_SIZE - CHECKPOINT_TRAILER_SIZE;
}

/* ---- Reading ---- */

static void read_shard(struct coding_reader *reader, struct checkpoint_shard *out) {
  out->offset = coding_u64(reader);
  out->homes = coding_u32(reader);
  out->tail = coding_u32(reader);
  out->count = coding_u32(reader);
  out->used_end = coding_u32(reader);
  out->check = coding_u64(reader);
}

static void read_segment(struct coding_reader *reader, struct checkpoint_segment *out) {
  out->slot = coding_u32(reader);
  if (coding_u32(reader) != 0) reader->failed = true;
  out->id = coding_u64(reader);
  out->salt = coding_u64(reader);
  out->covered = coding_u64(reader);
  out->reached = coding_u64(reader);
  out->live_bytes = coding_u64(reader);
  out->live_records = coding_u64(reader);
  out->expired_bytes = coding_u64(reader);
  out->last_expired_ms = coding_u64(reader);
}

static void read_fixed(struct coding_reader *reader, struct checkpoint_index *out) {
  bitcask_bytes name = coding_bytes(reader, CHECKPOINT_HASH_SIZE);
  if (!reader->failed) memcpy(out->hash, name.data, CHECKPOINT_HASH_SIZE);
  if (out->hash[CHECKPOINT_HASH_SIZE - 1] != '\0') reader->failed = true;
  out->hash_seed = coding_u64(reader);
  out->items = coding_u64(reader);
  out->items_offset = coding_u64(reader);
  out->items_check = coding_u64(reader);
  out->expiring = coding_u64(reader);
  if (coding_u32(reader) != CHECKPOINT_SHARDS) reader->failed = true;
  out->segment_count = coding_u32(reader);
}

/* Without an active segment there are none. */
static void read_facts(struct coding_reader *reader, struct checkpoint_index *out) {
  struct edit_item item;
  if (reader->left == 0) return;
  if (edit_next_item(reader, &item) && item.tag == EDIT_CLOSED && reader->left == 0 &&
      item.facts.id != 0)
    out->active = item.facts;
  else
    reader->failed = true;
}

/* The rows are counted before memory is taken for them. */
static enum bitcask_status read_index(struct coding_reader *reader, struct checkpoint_index *out) {
  read_fixed(reader, out);
  for (size_t i = 0; i < CHECKPOINT_SHARDS; i++) read_shard(reader, &out->shards[i]);
  if (reader->failed || out->segment_count > reader->left / SEGMENT_ROW_SIZE) {
    reader->failed = true;
    out->segment_count = 0;
    return BITCASK_OK;
  }
  out->segments = memory_zeroed(out->segment_count, sizeof *out->segments);
  if (out->segments == NULL) return BITCASK_NOMEMORY;
  for (size_t i = 0; i < out->segment_count; i++) read_segment(reader, &out->segments[i]);
  read_facts(reader, out);
  return BITCASK_OK;
}

static bool lies_within(uint64_t offset, uint64_t count, uint64_t size, uint64_t file_size) {
  return offset >= HEADER_SIZE && offset % CHECKPOINT_ALIGNMENT == 0 && offset <= file_size &&
         count <= (file_size - offset) / size;
}

static bool is_possible(const struct checkpoint_index *index, uint64_t file_size) {
  for (size_t i = 0; i < CHECKPOINT_SHARDS; i++) {
    const struct checkpoint_shard *shard = &index->shards[i];
    uint64_t slots = (uint64_t)shard->homes + shard->tail;
    if (!lies_within(shard->offset, slots, CHECKPOINT_SLOT_SIZE, file_size)) return false;
    if (shard->count > slots || slots > UINT32_MAX) return false;
  }
  return index->items == CHECKPOINT_NO_ITEMS ||
         lies_within(index->items_offset, index->items, CHECKPOINT_ITEM_SIZE, file_size);
}

enum bitcask_status checkpoint_decode_index(bitcask_bytes bytes, uint64_t salt,
                                            uint64_t file_size, const char *name,
                                            struct checkpoint_index *out) {
  const uint8_t *data = bytes.data;
  size_t size = bytes.size - CHECKPOINT_TRAILER_SIZE;
  memset(out, 0, sizeof *out);
  if (get_u64(data + size) != size || get_u64(data + size + 8) != checksum64(data, size + 8, salt))
    return status_fail(BITCASK_CORRUPT, "%s: the index fails its check", name);
  struct coding_reader reader = coding_read(bytes_of(data, size));
  enum bitcask_status status = read_index(&reader, out);
  if (status == BITCASK_OK && (reader.failed || !is_possible(out, file_size)))
    status = status_fail(BITCASK_CORRUPT, "%s: the index tells what cannot be", name);
  if (status != BITCASK_OK) checkpoint_index_release(out);
  return status;
}
