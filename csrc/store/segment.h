/*
 * A segment: one append-only file of records.
 *
 *   +--------+----------+----------+- - - -+~~~~~~~~~~~+
 *   | header | record 0 | record 1 |       | torn tail |
 *   +--------+----------+----------+- - - -+~~~~~~~~~~~+
 *   0        64         ^ offset           ^ facts.length
 *
 * A segment is active while one writer appends to it, then sealed for ever. It is counted:
 * the store holds one reference, and so does every iterator and snapshot that may read it.
 * Once it is marked obsolete, the last to let go removes its files.
 *
 * Threads: no locks here. Appending needs outside exclusion, and so does reading `facts`
 * while it is active; reading at an offset that append has returned is safe at any time.
 */
#ifndef BITCASK_STORE_SEGMENT_H
#define BITCASK_STORE_SEGMENT_H

#include <stdalign.h>
#include <stdatomic.h>

#include "disk/disk.h"
#include "format/edit.h"
#include "format/header.h"
#include "format/record.h"

struct segment {
  /* fixed once open */
  struct disk_directory *directory;
  struct disk_file *file;
  struct disk_file *left_hint; /* its hint file, while that has no name any more; else NULL */
  uint64_t salt;
  uint32_t boot;     /* of the machine that made it */
  uint64_t capacity; /* bytes that the file may grow to, while it is active */
  uint32_t slot;     /* where the engine keeps it; part of every place in the keydir */

  /* the writer's while it is active, fixed once sealed; apart from what readers look at */
  alignas(64) struct segment_facts facts;
  uint64_t ahead_length; /* at this one, more of it is to be made ready */
  bool lacks_hint; /* found while opening: its hint file is to be written */

  /* guarded by the engine's set_lock */
  bool is_input; /* of the merge under way */
  struct segment *next_leaving; /* that waits to be closed */

  /* atomic */
  alignas(64) atomic_uint_least64_t live_bytes;
  atomic_uint_least64_t live_records;
  atomic_uint_least64_t kept_tombstone_bytes; /* tombstones that a merge found to be needed */
  atomic_uint_least64_t expired_bytes; /* of records that were found to have expired */
  atomic_uint_least64_t last_expired_ms; /* when the last of those did; 0: none has */
  atomic_uint_least64_t synced_length; /* bytes known to be durable */
  atomic_bool is_sealed; /* no more is written to it */
  atomic_uint references;
  atomic_bool is_obsolete; /* no longer in the manifest */
  atomic_bool is_damaged;  /* a merge met damage in it */
  atomic_bool is_suspect;  /* somebody met bytes that are no record: nobody knows all it holds */
  atomic_uint *obsolete_count; /* counted down when an obsolete one is gone; may be NULL */
};

/* A new, empty, active segment: its file made and its header written, nothing synced. */
enum bitcask_status segment_create(struct disk *disk, struct disk_directory *directory,
                                   store_identity store, uint64_t id, uint64_t capacity,
                                   struct segment **out);

/* An existing segment for reading, of which `facts` tell the length. `growing`: another
 * process may be appending. CORRUPT: missing, too short, or not this store's. */
enum bitcask_status segment_open(struct disk_directory *directory, store_identity store,
                                 const struct segment_facts *facts, bool growing,
                                 struct segment **out);

/* The active segment of a store that was closed cleanly, to append to again. */
enum bitcask_status segment_reopen(struct disk_directory *directory, store_identity store,
                                   const struct segment_facts *facts, uint64_t capacity,
                                   struct segment **out);

struct segment *segment_ref(struct segment *segment);
/* The last one closes it, and removes its files if it is obsolete. NULL is fine. */
void segment_unref(struct segment *segment);

/* The same in two steps, since the second may take long: true: it was the last, the names of the
 * files of an obsolete one are gone, and segment_dispose is to be called. */
bool segment_leave(struct segment *segment);
void segment_dispose(struct segment *segment);

/* One of its records was found to have expired. */
static inline void segment_count_expired(struct segment *segment, uint64_t size,
                                         uint64_t expires) {
  atomic_fetch_add(&segment->expired_bytes, size);
  uint64_t last = atomic_load(&segment->last_expired_ms);
  while (expires > last &&
         !atomic_compare_exchange_weak(&segment->last_expired_ms, &last, expires)) {
  }
}

/* How many bytes the file would have after appending a record of `size` bytes. */
static inline uint64_t segment_length_with(const struct segment *segment, uint64_t size) {
  return segment->facts.length + size;
}

/* Append a record whose value_check is set; its `synced` is filled in. `headroom` as in
 * disk_file_ops.append. On failure nothing has changed. */
enum bitcask_status segment_append(struct segment *segment, struct record *record,
                                   size_t headroom, uint64_t *offset);

/* Append `count` records as one: all of them or none. */
enum bitcask_status segment_append_all(struct segment *segment, struct record *const *records,
                                       size_t count, size_t headroom, uint64_t *offsets);

/* The same in two steps, for whoever reads nothing of the segment before the second: encode
 * records one behind the other into a buffer, where their offsets are known at once; then append
 * what the buffer holds. */
enum bitcask_status segment_encode(struct segment *segment, struct record *record,
                                   struct bitcask_buffer *into, uint64_t *offset);
enum bitcask_status segment_append_encoded(struct segment *segment, bitcask_bytes records);

/* Make everything appended so far durable. */
enum bitcask_status segment_sync(struct segment *segment, uint64_t length);

/* CORRUPT, with the segment's name in front of the text. */
enum bitcask_status segment_name_damage(const struct segment *segment);

/* The bytes of the record of `size` bytes at `offset`, in place or read into *scratch. */
INLINE enum bitcask_status segment_view(struct segment *segment, uint64_t offset, size_t size,
                                        struct bitcask_buffer *scratch, const uint8_t **out) {
  enum bitcask_status status = disk_file_view(segment->file, offset, size, scratch, out);
  return status == BITCASK_CORRUPT ? segment_name_damage(segment) : status;
}

/* Fold a record into the facts. */
void segment_count_record(struct segment_facts *facts, const struct record *record);

/* The facts of a segment without records. */
struct segment_facts segment_facts_empty(uint64_t id, uint64_t created_ms);

/* ---- Scanning ---- */

enum segment_scan_kind {
  SEGMENT_SCAN_RECORD,        /* intact, as far as was asked */
  SEGMENT_SCAN_DAMAGED_VALUE, /* header and key intact, the value is not */
  SEGMENT_SCAN_DAMAGED,       /* bytes that are no record, up to the next one or the end */
  SEGMENT_SCAN_ZEROS,         /* nothing but zeros up to the end */
  SEGMENT_SCAN_END
};

struct segment_scan {
  struct segment *segment;
  uint64_t next; /* where the next item begins */
  uint64_t end;  /* where to stop */
  uint64_t mapped; /* so many bytes of the file can be read in place */
  bool check_values;
  /* the last item */
  struct record record;
  uint64_t offset;
  uint64_t size;
  /* read ahead, for files without a mapping */
  struct bitcask_buffer window;
  uint64_t window_offset;
  uint64_t announced; /* up to there, for those with one */
};

/* Begin a scan of [HEADER_SIZE, end). */
void segment_scan_init(struct segment_scan *scan, struct segment *segment, uint64_t end,
                       bool check_values);
void segment_scan_release(struct segment_scan *scan);

/* The next item; scan->offset and scan->size say where it is, scan->record what, of the first
 * two kinds. Fails only when the file cannot be read. */
enum bitcask_status segment_scan_next(struct segment_scan *scan, enum segment_scan_kind *kind);

#endif
