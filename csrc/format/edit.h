/*
 * An edit: one change of the set of segments, all of it or nothing. In a manifest it
 * stands in a frame:
 *
 *    0  4  size of the payload
 *    4  4  frame mark, 0x5449DE42
 *    8  8  number of the edit, rising by one
 *   16  8  XXH3-64 of the payload, seeded with the XXH3-64 of bytes 0 to 15, which is
 *          seeded with the manifest's salt
 *   24     payload: items, each a tag of one byte and its fields
 *
 *   'F'  the set begins anew, from nothing; first item of a manifest's first edit
 *   'N'  next_id u64, last_version u64: numbers handed out; in every edit
 *   'A'  id u64: this segment is open: writes may be in it, of which nobody knows how far they go.
 *        Several may be: those that are full and not flushed yet, the one that is written to,
 *        and the one after it
 *   'C'  facts: the only open segment, as it was when the store was closed
 *   'S'  facts: this segment is sealed (one that was open, or an output of a merge)
 *   'R'  id u64: this segment is no longer part of the store
 *   'D'  version u64: a merge has dropped records up to this version; what is on disk tells
 *        all writes only after it
 *
 *   'K'  salt u64: the keydir checkpoint with this salt in its header counts, and no other; 0:
 *        none does
 *
 * Facts, 11 u64: id, length, records, tombstones, tombstone bytes, min version, max version,
 * min put version, digest, created ms, sealed ms; then u8 flags.
 */
#ifndef BITCASK_FORMAT_EDIT_H
#define BITCASK_FORMAT_EDIT_H

#include "base/coding.h"

/* A put version that no segment without puts can have. */
#define EDIT_NO_PUT UINT64_MAX

enum {
  EDIT_FACTS_RECOVERED = 1, /* sealed after a crash: its file may be longer than its length */
  EDIT_FACTS_EXPIRING = 2   /* some of its records expire */
};

struct segment_facts {
  uint64_t id;
  uint64_t length;     /* bytes of the file that count, its header included */
  uint64_t records;
  uint64_t tombstones;
  uint64_t tombstone_bytes;
  uint64_t min_version; /* 0 without records */
  uint64_t max_version;
  uint64_t min_put_version; /* EDIT_NO_PUT without puts */
  uint64_t digest;          /* folded over the header checks of its records, in order */
  uint64_t created_ms;
  uint64_t sealed_ms;
  uint8_t flags;
};

enum edit_tag {
  EDIT_FULL = 'F',
  EDIT_NUMBERS = 'N',
  EDIT_OPEN = 'A',
  EDIT_CLOSED = 'C',
  EDIT_SEALED = 'S',
  EDIT_REMOVED = 'R',
  EDIT_DROPPED = 'D',
  EDIT_CHECKPOINT = 'K'
};

/* One item, as it is read back. */
struct edit_item {
  enum edit_tag tag;
  uint64_t id; /* OPEN, REMOVED */
  uint64_t version; /* DROPPED */
  uint64_t salt;    /* CHECKPOINT */
  uint64_t next_id, last_version; /* NUMBERS */
  struct segment_facts facts;     /* CLOSED, SEALED */
};

enum { EDIT_FRAME_SIZE = 24, EDIT_PAYLOAD_SIZE_MAX = 1 << 28 };

enum bitcask_status edit_append_full(struct bitcask_buffer *payload);
enum bitcask_status edit_append_numbers(struct bitcask_buffer *payload, uint64_t next_id,
                                        uint64_t last_version);
enum bitcask_status edit_append_open(struct bitcask_buffer *payload, uint64_t id);
enum bitcask_status edit_append_removed(struct bitcask_buffer *payload, uint64_t id);
enum bitcask_status edit_append_dropped(struct bitcask_buffer *payload, uint64_t version);
enum bitcask_status edit_append_checkpoint(struct bitcask_buffer *payload, uint64_t salt);
enum bitcask_status edit_append_facts(struct bitcask_buffer *payload, enum edit_tag tag,
                                      const struct segment_facts *facts);

/* Read the next item; false at the end or where there is none (reader->failed). */
bool edit_next_item(struct coding_reader *reader, struct edit_item *out);

/* The frame of a payload. */
void edit_encode_frame(bitcask_bytes payload, uint64_t number, uint64_t salt,
                       uint8_t out[EDIT_FRAME_SIZE]);

/* Is there a whole edit at the beginning of `bytes`? Then its number and payload. */
bool edit_decode_frame(bitcask_bytes bytes, uint64_t salt, uint64_t *number,
                       bitcask_bytes *payload);

#endif
