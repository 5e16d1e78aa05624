/*
 * A disk of one directory, whose files are bytes in memory; nothing can be written to it.
 */
#ifndef BITCASK_FUZZ_BYTES_DISK_H
#define BITCASK_FUZZ_BYTES_DISK_H

#include "disk/disk.h"

enum { BYTES_DISK_FILES_MAX = 32 };

struct bytes_disk {
  struct disk disk;                /* first: a disk is a pointer to one */
  struct disk_directory directory; /* the only one; closing it does nothing */
  struct {
    char name[40];
    uint8_t *content; /* in a block of its own: reading past its end is seen */
    size_t size;
  } files[BYTES_DISK_FILES_MAX];
  size_t count;
  bool is_mapped; /* files can be read in place */
  uint32_t boot;
  unsigned open_files;
};

/* The time, always, milliseconds since 1970. */
#define BYTES_DISK_NOW_MS UINT64_C(1700000000000)

void bytes_disk_init(struct bytes_disk *disk, bool is_mapped, uint32_t boot);

void bytes_disk_release(struct bytes_disk *disk);

/* A file with a copy of these bytes: returned, to be changed. NULL: the name is taken, or there
 * are too many. */
uint8_t *bytes_disk_add(struct bytes_disk *disk, const char *name, bitcask_bytes content);

#endif
