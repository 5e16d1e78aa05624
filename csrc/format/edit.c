#include "format/edit.h"

#include "base/checksum.h"

enum { FRAME_MARK = 0x5449DE42 };

static enum bitcask_status append_tagged(struct bitcask_buffer *payload, enum edit_tag tag,
                                         uint64_t first) {
  TRY(coding_append_u8(payload, (uint8_t)tag));
  return coding_append_u64(payload, first);
}

enum bitcask_status edit_append_full(struct bitcask_buffer *payload) {
  return coding_append_u8(payload, EDIT_FULL);
}

enum bitcask_status edit_append_numbers(struct bitcask_buffer *payload, uint64_t next_id,
                                        uint64_t last_version) {
  TRY(append_tagged(payload, EDIT_NUMBERS, next_id));
  return coding_append_u64(payload, last_version);
}

enum bitcask_status edit_append_open(struct bitcask_buffer *payload, uint64_t id) {
  return append_tagged(payload, EDIT_OPEN, id);
}

enum bitcask_status edit_append_removed(struct bitcask_buffer *payload, uint64_t id) {
  return append_tagged(payload, EDIT_REMOVED, id);
}

enum bitcask_status edit_append_dropped(struct bitcask_buffer *payload, uint64_t version) {
  return append_tagged(payload, EDIT_DROPPED, version);
}

enum bitcask_status edit_append_checkpoint(struct bitcask_buffer *payload, uint64_t salt) {
  return append_tagged(payload, EDIT_CHECKPOINT, salt);
}

enum bitcask_status edit_append_facts(struct bitcask_buffer *payload, enum edit_tag tag,
                                      const struct segment_facts *facts) {
  const uint64_t fields[] = {facts->id,          facts->length,      facts->records,
                             facts->tombstones,  facts->tombstone_bytes,
                             facts->min_version, facts->max_version, facts->min_put_version,
                             facts->digest,      facts->created_ms,  facts->sealed_ms};
  TRY(coding_append_u8(payload, (uint8_t)tag));
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
    TRY(coding_append_u64(payload, fields[i]));
  return coding_append_u8(payload, facts->flags);
}

static void read_facts(struct coding_reader *reader, struct segment_facts *out) {
  out->id = coding_u64(reader);
  out->length = coding_u64(reader);
  out->records = coding_u64(reader);
  out->tombstones = coding_u64(reader);
  out->tombstone_bytes = coding_u64(reader);
  out->min_version = coding_u64(reader);
  out->max_version = coding_u64(reader);
  out->min_put_version = coding_u64(reader);
  out->digest = coding_u64(reader);
  out->created_ms = coding_u64(reader);
  out->sealed_ms = coding_u64(reader);
  out->flags = coding_u8(reader);
}

bool edit_next_item(struct coding_reader *reader, struct edit_item *out) {
  if (reader->left == 0 || reader->failed) return false;
  *out = (struct edit_item){.tag = (enum edit_tag)coding_u8(reader)};
  switch (out->tag) {
    case EDIT_FULL:
      break;
    case EDIT_NUMBERS:
      out->next_id = coding_u64(reader);
      out->last_version = coding_u64(reader);
      break;
    case EDIT_OPEN:
    case EDIT_REMOVED:
      out->id = coding_u64(reader);
      break;
    case EDIT_DROPPED:
      out->version = coding_u64(reader);
      break;
    case EDIT_CHECKPOINT:
      out->salt = coding_u64(reader);
      break;
    case EDIT_CLOSED:
    case EDIT_SEALED:
      read_facts(reader, &out->facts);
      break;
    default:
      reader->failed = true;
  }
  return !reader->failed;
}

static uint64_t frame_check(const uint8_t *frame, bitcask_bytes payload, uint64_t salt) {
  uint64_t seed = checksum64(frame, 16, salt);
  return checksum64(payload.data, payload.size, seed);
}

void edit_encode_frame(bitcask_bytes payload, uint64_t number, uint64_t salt,
                       uint8_t out[EDIT_FRAME_SIZE]) {
  put_u32(out, (uint32_t)payload.size);
  put_u32(out + 4, FRAME_MARK);
  put_u64(out + 8, number);
  put_u64(out + 16, frame_check(out, payload, salt));
}

bool edit_decode_frame(bitcask_bytes bytes, uint64_t salt, uint64_t *number,
                       bitcask_bytes *payload) {
  const uint8_t *frame = bytes.data;
  if (bytes.size < EDIT_FRAME_SIZE || get_u32(frame + 4) != FRAME_MARK) return false;
  uint32_t size = get_u32(frame);
  if (size > EDIT_PAYLOAD_SIZE_MAX || size > bytes.size - EDIT_FRAME_SIZE) return false;
  bitcask_bytes inner = bytes_of(frame + EDIT_FRAME_SIZE, size);
  if (get_u64(frame + 16) != frame_check(frame, inner, salt)) return false;
  *number = get_u64(frame + 8);
  *payload = inner;
  return true;
}
