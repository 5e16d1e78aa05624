/*
 * The hint file beside a sealed segment: written whole, loaded whole or refused. It only
 * saves time: whatever is wrong with it, the segment itself is read instead.
 */
#ifndef BITCASK_STORE_HINT_FILE_H
#define BITCASK_STORE_HINT_FILE_H

#include "format/hint.h"
#include "store/segment.h"

/* Write the hint file of a sealed segment by scanning it. CORRUPT, and nothing is written,
 * when the segment is damaged or not as its facts say. */
enum bitcask_status hint_file_write(struct disk *disk, struct segment *segment,
                                    store_identity store);

/* A loaded hint file; its entries are read with hint_next_entry. */
struct hint_file {
  struct disk_file *file;
  struct bitcask_buffer scratch;
  struct coding_reader entries;
};

/* Load the hint file of the segment that `facts` describe. NOTFOUND, or CORRUPT where it is
 * damaged or another's. */
enum bitcask_status hint_file_load(struct disk_directory *directory, store_identity store,
                                   const struct segment_facts *facts, struct hint_file *out);
void hint_file_release(struct hint_file *hint);

#endif
