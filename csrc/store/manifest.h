/*
 * The manifest: the durable history of the set of segments, and the only truth about which
 * files belong to the store.
 *
 *   CURRENT ──> MANIFEST-n:  header | edit 1: the full set | edit 2 | edit 3 | ...
 *
 * A change is one edit, appended and synced: it counts wholly or not at all. The first edit
 * of a session, and one that would make the file long, goes into a new manifest that begins
 * with the full set; CURRENT is then switched to it, atomically, and the old one removed.
 * So nothing is ever appended to a file that another session wrote.
 *
 * Threads: no locks here; outside exclusion is needed for everything.
 */
#ifndef BITCASK_STORE_MANIFEST_H
#define BITCASK_STORE_MANIFEST_H

#include "disk/disk.h"
#include "format/edit.h"
#include "format/header.h"

/* So many segments may be open at once: those that are full and not durable yet, the active one,
 * and the one that will be it next. */
enum { MANIFEST_OPEN_MAX = 16 };

/* What the edits add up to. */
struct manifest_state {
  struct segment_facts *sealed; /* in the order they were added */
  size_t sealed_count;
  size_t sealed_capacity;
  uint64_t open[MANIFEST_OPEN_MAX]; /* ids of those that writes go to, or went to, unsealed */
  size_t open_count;
  bool is_closed; /* cleanly: one is open, nothing was written to it since, and `closed` tells
                   * its facts; before anything is written it is named as open again */
  struct segment_facts closed;
  uint64_t next_id;
  uint64_t last_version;
  uint64_t checkpoint; /* salt of the keydir checkpoint that counts; 0: none does */
  uint64_t dropped_version; /* the highest of a record that a merge has dropped */
};

struct manifest {
  struct disk *disk;
  struct disk_directory *directory;
  store_identity store;
  uint64_t number;
  uint64_t salt;
  uint64_t edit_number;
  struct disk_file *file; /* NULL until this session's first edit */
  uint64_t rollover_size;
  bool is_unknown; /* a commit failed without it being known whether it counts */
  uint64_t torn_bytes; /* of an edit that was cut off, found at load */
  struct manifest_state state;
};

/* A manifest for a new store; nothing is written before the first commit. */
enum bitcask_status manifest_init(struct manifest *manifest, struct disk *disk,
                                  struct disk_directory *directory);

/* Read what CURRENT leads to. NOTFOUND: there is no CURRENT. CORRUPT: it or the manifest is
 * damaged; nothing was changed. */
enum bitcask_status manifest_load(struct manifest *manifest, struct disk *disk,
                                  struct disk_directory *directory);

void manifest_release(struct manifest *manifest);

/* The number that CURRENT names now. */
enum bitcask_status manifest_current(struct disk_directory *directory, uint64_t *number,
                                     store_identity *store);

/* Make the change that `payload` describes (items as in format/edit.h; the numbers are
 * added here) durable, then apply it. On failure the state is unchanged and, unless
 * is_unknown is set then, so is what is on disk. */
enum bitcask_status manifest_commit(struct manifest *manifest, uint64_t last_version,
                                    bitcask_bytes payload);

/* The facts of a sealed segment; NULL: it is not part of the store, or not sealed. */
const struct segment_facts *manifest_sealed(const struct manifest_state *state, uint64_t id);

/* Is the segment one of those that are open? */
bool manifest_is_open(const struct manifest_state *state, uint64_t id);

#endif
