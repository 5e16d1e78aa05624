/*
 * One record of a segment: the put or the delete of a key. Records begin at multiples of
 * 8 bytes and are padded with zeros to one.
 *
 *    0  4  header check: low half of XXH3-64, seeded with salt + offset, over bytes 4 up
 *          to the end of the key
 *    4  4  value check: low half of XXH3-64 of the value
 *    8  8  version
 *   16  4  value size
 *   20  2  key size
 *   22  1  flags
 *   23  1  mark, 0xB5: a record is never all zeros
 *   24  4  synced: the length of this segment, in units of 8 bytes, that was known to be
 *          durable when the record was appended
 *   28  8  expires, milliseconds since 1970: with RECORD_EXPIRES only
 *    .     key, value, padding
 *
 * The header check binds everything but the value's bytes, which the value check binds;
 * so a record whose value is damaged still tells its key, its size and where the next one
 * begins. The seed binds the record to its file and place.
 */
#ifndef BITCASK_FORMAT_RECORD_H
#define BITCASK_FORMAT_RECORD_H

#include "base/checksum.h"
#include "base/coding.h"

enum {
  RECORD_TOMBSTONE = 1, /* the key was deleted; there is no value */
  RECORD_EXPIRES = 2,   /* the expires field is there */
  RECORD_CONTINUES = 4, /* part of a batch that goes on with the next record */
  RECORD_FLAGS = 7      /* all that are known */
};

enum {
  RECORD_MARK = 0xB5,
  RECORD_FIXED_SIZE = 28,
  RECORD_HEADER_SIZE_MAX = 36,
  RECORD_UNIT = 8,
  RECORD_SIZE_MIN = 32
};

struct record {
  uint64_t version;
  uint64_t expires; /* 0 without RECORD_EXPIRES */
  bitcask_bytes key;
  bitcask_bytes value;
  uint32_t synced; /* units of 8 bytes */
  uint32_t value_check;
  uint32_t header_check;
  uint8_t flags;
};

static inline uint64_t record_padded(uint64_t size) {
  return (size + RECORD_UNIT - 1) & ~(uint64_t)(RECORD_UNIT - 1);
}

static inline size_t record_header_size(uint8_t flags) {
  return flags & RECORD_EXPIRES ? RECORD_HEADER_SIZE_MAX : RECORD_FIXED_SIZE;
}

/* Bytes that a record takes in a segment, padding included. */
static inline uint64_t record_size(size_t key_size, uint64_t value_size, uint8_t flags) {
  return record_padded(record_header_size(flags) + key_size + value_size);
}

static inline uint64_t record_size_of(const struct record *record) {
  return record_size(record->key.size, record->value.size, record->flags);
}

static inline uint32_t record_value_check(bitcask_bytes value) {
  return (uint32_t)checksum64(value.data, value.size, 0);
}

/* Is the record due to be hidden at `now`, milliseconds since 1970? */
static inline bool record_has_expired(const struct record *record, uint64_t now) {
  return (record->flags & RECORD_EXPIRES) && record->expires <= now;
}

/* Write the header of `record`, as it will stand at `offset` of the segment with `salt`;
 * sets record->header_check. value_check must be set. Returns the header's size. */
size_t record_encode_header(struct record *record, uint64_t salt, uint64_t offset,
                            uint8_t out[RECORD_HEADER_SIZE_MAX]);

/* Write all of the record, padding included: record_size_of bytes, which it returns. The rest as
 * above. */
size_t record_encode(struct record *record, uint64_t salt, uint64_t offset, uint8_t *out);

/* Does the fixed header claim a plain record of these sizes, `size` bytes in all: a put that does
 * not expire and is no part of a batch? It may be asked of the first of at least 24 bytes. */
static inline bool record_is_plain_of(const uint8_t *bytes, size_t key_size, uint32_t value_size,
                                      size_t size) {
  return get_u64(bytes + 16) ==
             (value_size | (uint64_t)key_size << 32 | (uint64_t)RECORD_MARK << 56) &&
         record_size(key_size, value_size, 0) == size;
}

/* The same with a value of whatever size, which it tells. */
static inline bool record_is_plain(const uint8_t *bytes, size_t key_size, size_t size,
                                   uint32_t *value_size) {
  *value_size = get_u32(bytes + 16);
  return record_is_plain_of(bytes, key_size, *value_size, size);
}

/* What the fixed header claims, unchecked. */
struct record_claim {
  uint64_t size; /* of the whole record */
  uint32_t value_size;
  uint16_t key_size;
  uint8_t flags;
};

/* From the eight bytes of sizes, flags and mark. False: not the beginning of a record. */
static inline bool record_read_claim(const uint8_t *bytes, struct record_claim *out) {
  uint64_t word = get_u64(bytes + 16);
  uint64_t marks = word >> 48; /* flags and mark */
  if ((marks & ~(uint64_t)RECORD_FLAGS) != (uint64_t)RECORD_MARK << 8) return false;
  out->flags = (uint8_t)marks;
  out->value_size = (uint32_t)word;
  out->key_size = (uint16_t)(word >> 32);
  if ((out->flags & RECORD_TOMBSTONE) && out->value_size != 0) return false;
  out->size = record_size(out->key_size, out->value_size, out->flags);
  return true;
}

/* The size that the fixed header claims, unchecked. False: not the beginning of a record. */
static inline bool record_peek(const uint8_t *bytes, size_t size, uint64_t *record_bytes) {
  struct record_claim claim;
  if (size < RECORD_FIXED_SIZE || !record_read_claim(bytes, &claim)) return false;
  *record_bytes = claim.size;
  return true;
}

/* All that a record of that claim says of itself; its key and value point into `bytes`. */
static inline void record_read(const uint8_t *bytes, const struct record_claim *claim,
                               struct record *out) {
  size_t header_size = record_header_size(claim->flags);
  out->header_check = get_u32(bytes);
  out->value_check = get_u32(bytes + 4);
  out->version = get_u64(bytes + 8);
  out->flags = claim->flags;
  out->synced = get_u32(bytes + 24);
  out->expires = claim->flags & RECORD_EXPIRES ? get_u64(bytes + 28) : 0;
  out->key = bytes_of(bytes + header_size, claim->key_size);
  out->value = bytes_of(bytes + header_size + claim->key_size, claim->value_size);
}

/* Take apart the record at `bytes`, of which `size` are there, without believing more than
 * fits. Fills *out. False: no record can be here. */
static inline bool record_parse(const uint8_t *bytes, size_t size, struct record *out) {
  struct record_claim claim;
  if (size < RECORD_FIXED_SIZE || !record_read_claim(bytes, &claim) || claim.size > size)
    return false;
  record_read(bytes, &claim, out);
  return true;
}

/* The same, where it is to be of that very size. */
static inline bool record_parse_whole(const uint8_t *bytes, size_t size, struct record *out) {
  struct record_claim claim;
  if (size < RECORD_FIXED_SIZE || !record_read_claim(bytes, &claim) || claim.size != size)
    return false;
  record_read(bytes, &claim, out);
  return true;
}

/* The check of the `size` bytes of header and key that stand at `bytes`: no copy, no stream. */
static inline uint32_t record_header_check(const uint8_t *bytes, size_t size, uint64_t salt,
                                           uint64_t offset) {
  return (uint32_t)checksum64(bytes + 4, size - 4, salt + offset);
}

/* Do both pass: the check of the `size` bytes of header and key that stand at `bytes`, and that of
 * the value behind them? In the order in which they stand in the header. */
static inline bool record_passes_checks(const uint8_t *bytes, size_t size, uint64_t salt,
                                        uint64_t offset, uint32_t value_size) {
  return checksum32_two(bytes + 4, size - 4, salt + offset, bytes + size, value_size) ==
         get_u64(bytes);
}

/* Does the header, key included, pass its check? `bytes` is where it was parsed. */
static inline bool record_header_is_intact(const struct record *record, const uint8_t *bytes,
                                           uint64_t salt, uint64_t offset) {
  size_t size = record_header_size(record->flags) + record->key.size;
  return record->header_check == record_header_check(bytes, size, salt, offset) &&
         record->version != 0;
}

static inline bool record_value_is_intact(const struct record *record) {
  return record->value_check == record_value_check(record->value);
}

#endif
