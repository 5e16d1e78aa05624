/*
 * A directory of the real disk: the names in it, and the lock on it.
 */
#ifndef BITCASK_DISK_POSIX_DIRECTORY_H
#define BITCASK_DISK_POSIX_DIRECTORY_H

#include "disk/disk.h"

/* As struct disk_ops says. */
enum bitcask_status posix_directory_open(struct disk *disk, const char *path, bool create,
                                         struct disk_directory **out);

#endif
