/*
 * A hint file: what opening needs to know of a sealed segment's records, without their
 * values. After the common 64-byte header, whose number is the segment's:
 *
 *   64  8  length of the segment it describes
 *   72  8  digest of that segment
 *   80  8  number of entries: one for each record, in file order
 *   88  8  size of the entries, bytes
 *   96  8  XXH3-64 of the entries, seeded with the header's salt
 *  104  8  XXH3-64 of bytes 64 to 103, seeded with the header's salt
 *  112     entries
 *
 * An entry:
 *    0  8  version
 *    8  4  offset of the record in the segment, in units of 8 bytes
 *   12  4  size of the record, in units of 8 bytes
 *   16  2  key size
 *   18  1  flags of the record
 *   19  8  expires: with RECORD_EXPIRES only
 *    .     key
 */
#ifndef BITCASK_FORMAT_HINT_H
#define BITCASK_FORMAT_HINT_H

#include "format/header.h"
#include "format/record.h"

enum { HINT_PREFIX_SIZE = 112, HINT_ENTRY_FIXED_SIZE = 19 };

/* What the entries of a hint file are together. */
struct hint_body {
  uint64_t size;
  uint64_t check; /* seeded with the header's salt */
};

/* What binds a hint file to its segment. */
struct hint_binding {
  uint64_t segment_length;
  uint64_t segment_digest;
  uint64_t entries;
};

struct hint_entry {
  uint64_t version;
  uint64_t offset; /* bytes */
  uint64_t size;   /* bytes */
  uint64_t expires;
  bitcask_bytes key;
  uint8_t flags;
};

enum bitcask_status hint_append_entry(struct bitcask_buffer *body, const struct hint_entry *entry);

/* Read the next entry; false at the end or where the bytes are no entry (reader->failed). */
bool hint_next_entry(struct coding_reader *reader, struct hint_entry *out);

/* The first 112 bytes of a hint file. */
void hint_encode_prefix(const struct header *header, const struct hint_binding *binding,
                        const struct hint_body *body, uint8_t out[HINT_PREFIX_SIZE]);

/* Check a whole hint file; *body gets its entries. CORRUPT or INCOMPATIBLE, with the reason
 * and `name` in the text. */
enum bitcask_status hint_decode(bitcask_bytes file, const char *name, struct header *header,
                                struct hint_binding *binding, bitcask_bytes *body);

#endif
