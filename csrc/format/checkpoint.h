/*
 * A keydir checkpoint: the tables of the keydir as they stood in memory, and what binds them
 * to the store. After the common 64-byte header, whose number is 0:
 *
 *   the slots of each shard, 16 bytes each, where its row says
 *   items: what expires when, 16 bytes each
 *   the index
 *   8  size of the index, bytes
 *   8  XXH3-64 of the index and the 8 bytes before, seeded with the header's salt
 *
 * The index:
 *    0 16  name of the hash, filled with zeros
 *   16  8  seed of the hash
 *   24  8  number of items; 2^64-1: they were left out
 *   32  8  offset of the items
 *   40  8  XXH3-64 of the items, seeded with the header's salt
 *   48  8  entries whose record expires
 *   56  4  number of shards: 512
 *   60  4  number of segments
 *   64     a row for each shard, then one for each segment, then the facts of the segment that
 *          was active when it was begun, if there was one, as an edit's item 'C'
 *
 * A shard:                                      A segment:
 *    0  8  offset of its slots                     0  4  slot, by which entries name it
 *    8  4  homes                                   4  4  zero
 *   12  4  tail                                    8  8  id
 *   16  4  entries                                16  8  salt in its header
 *   20  4  used end                               24  8  covered: records before it are told of
 *   24  8  XXH3-64 of its slots, seeded           32  8  reached: no entry leads behind it
 *          with the header's salt                 40  8  live bytes
 *                                                 48  8  live records
 *                                                 56  8  expired bytes
 *                                                 64  8  when the last of these expired
 */
#ifndef BITCASK_FORMAT_CHECKPOINT_H
#define BITCASK_FORMAT_CHECKPOINT_H

#include "format/edit.h"
#include "format/header.h"

enum {
  CHECKPOINT_HASH_SIZE = 16,
  CHECKPOINT_SLOT_SIZE = 16,
  CHECKPOINT_ITEM_SIZE = 16,
  CHECKPOINT_SHARDS = 512,
  CHECKPOINT_TRAILER_SIZE = 16,
  CHECKPOINT_ALIGNMENT = 64 /* of the slots of each shard, and of the items */
};

/* Items were left out. */
#define CHECKPOINT_NO_ITEMS UINT64_MAX

struct checkpoint_shard {
  uint64_t offset;
  uint32_t homes;
  uint32_t tail;
  uint32_t count;
  uint32_t used_end;
  uint64_t check;
};

struct checkpoint_segment {
  uint32_t slot;
  uint64_t id;
  uint64_t salt;
  uint64_t covered;
  uint64_t reached;
  uint64_t live_bytes;
  uint64_t live_records;
  uint64_t expired_bytes;
  uint64_t last_expired_ms;
};

struct checkpoint_index {
  char hash[CHECKPOINT_HASH_SIZE]; /* a string */
  uint64_t hash_seed;
  uint64_t items;
  uint64_t items_offset;
  uint64_t items_check;
  uint64_t expiring;
  struct checkpoint_shard shards[CHECKPOINT_SHARDS];
  struct checkpoint_segment *segments;
  uint32_t segment_count;
  struct segment_facts active; /* id 0: there was none */
};

void checkpoint_index_release(struct checkpoint_index *index);

/* Append the index and what stands behind it. */
enum bitcask_status checkpoint_encode_index(const struct checkpoint_index *index, uint64_t salt,
                                            struct bitcask_buffer *out);

/* The size of the index at the end of a file of `file_size` bytes, whose last 16 are `trailer`.
 * False: no file has such an index. */
bool checkpoint_index_size(const uint8_t trailer[CHECKPOINT_TRAILER_SIZE], uint64_t file_size,
                           uint64_t *out);

/* Read an index, with the trailer behind it. CORRUPT where it is damaged, or tells of what
 * cannot be. On OK it is to be released. */
enum bitcask_status checkpoint_decode_index(bitcask_bytes bytes, uint64_t salt,
                                            uint64_t file_size, const char *name,
                                            struct checkpoint_index *out);

#endif
