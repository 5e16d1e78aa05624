/*
 * The file of a keydir checkpoint: written beside the one that is there, flushed, and renamed
 * over it; read in place, each shard checked when it is asked for.
 *
 * It only saves time. Which one counts is said by the manifest, by the salt in its header; so
 * one that is older, another store's, or not yet told of, is nobody's.
 *
 * Threads: no locks here. A writer belongs to one thread; of a file that was opened different
 * shards may be asked for at once.
 */
#ifndef BITCASK_STORE_CHECKPOINT_H
#define BITCASK_STORE_CHECKPOINT_H

#include "disk/disk.h"
#include "format/checkpoint.h"
#include "store/keydir.h"

/* The slots are written as they stand in memory, and so is what expires. */
#define CHECKPOINT_IS_SUPPORTED (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

struct checkpoint_writer {
  struct disk_directory *directory;
  struct disk_file *file;
  uint64_t salt;
  struct bitcask_buffer unwritten; /* small parts are collected */
  uint64_t unsynced;               /* bytes written since the last flush */
  unsigned next_shard;
  struct checkpoint_index index; /* rows of shards and items are filled in here, the rest is
                                    the caller's to fill in before it is finished */
};

/* Begin a file that tells of the store as it was at `taken_ms`. *out is to be finished or
 * abandoned. */
enum bitcask_status checkpoint_begin(struct disk *disk, struct disk_directory *directory,
                                     store_identity store, uint64_t taken_ms,
                                     struct checkpoint_writer **out);

/* Add the next shard, of all in their order. */
enum bitcask_status checkpoint_add_shard(struct checkpoint_writer *writer,
                                         const struct keydir_table *table);

/* Add what expires when: pairs of a time and a hash. */
enum bitcask_status checkpoint_add_items(struct checkpoint_writer *writer, const void *items,
                                         size_t count);

/* Write the index, flush, and rename. The name is durable with the directory's next flush; no
 * harm is done where it gets lost. */
enum bitcask_status checkpoint_finish(struct checkpoint_writer *writer);

/* Let go of the writer; what was not finished is removed. NULL is fine. */
void checkpoint_end(struct checkpoint_writer *writer);

struct checkpoint_file {
  struct disk_file *file;
  struct bitcask_buffer whole; /* where the disk has no mapping */
  uint8_t *bytes;
  uint64_t salt;
  uint64_t taken_ms;
  struct checkpoint_index index;
};

/* Open the one with this salt. NOTFOUND, or CORRUPT where it is damaged or another. Of the
 * shards and the items nothing was checked. */
enum bitcask_status checkpoint_open(struct disk_directory *directory, store_identity store,
                                    uint64_t salt, struct checkpoint_file **out);

/* The table of a shard: its slots may be written to. CORRUPT where they fail their check. */
enum bitcask_status checkpoint_table(struct checkpoint_file *file, unsigned shard,
                                     struct keydir_table *out);

/* The items. CORRUPT where they fail their check. */
enum bitcask_status checkpoint_items(const struct checkpoint_file *file, bitcask_bytes *out);

/* The slots of a shard are of no use any more. */
void checkpoint_forget(struct checkpoint_file *file, unsigned shard);

/* The same of all shards. */
void checkpoint_forget_all(struct checkpoint_file *file);

/* NULL is fine. */
void checkpoint_close(struct checkpoint_file *file);

#endif
