/*
 * A file of the real disk.
 *
 * One that is read while it grows (the active segment) is appended to through a shared mapping
 * over space that was allocated before (disk/posix_space): a put then makes no system call, and
 * a killed process loses nothing, since the pages are the kernel's. Large appends go through
 * pwritev, which beats page faults from about 16 KiB upwards; the two see the same pages. Where
 * space cannot be allocated, all appends go through pwritev.
 *
 * A file opened for reading is mapped and its descriptor closed: thousands of segments
 * need no descriptors. A file that another process appends to is read with pread, because
 * that process may cut what it allocated ahead.
 *
 * Threads: as disk/disk.h says.
 */
#ifndef BITCASK_DISK_POSIX_FILE_H
#define BITCASK_DISK_POSIX_FILE_H

#include "disk/disk.h"

/* The directory that files are in; it outlives them. */
struct posix_home {
  int fd;
  char *path;
  atomic_uint open_files; /* descriptors, its own included */
};

/* What the operations of a directory of these names do, see struct disk_directory_ops. */
enum bitcask_status posix_file_create(struct posix_home *home, const char *name,
                                      uint64_t capacity, struct disk_file **out);
enum bitcask_status posix_file_open(struct posix_home *home, const char *name, bool growing,
                                    struct disk_file **out);
enum bitcask_status posix_file_open_private(struct posix_home *home, const char *name,
                                            struct disk_file **out);
enum bitcask_status posix_file_reopen(struct posix_home *home, const char *name, uint64_t size,
                                      uint64_t capacity, struct disk_file **out);

/* A new file of length 0 that holds `size` bytes of space. On failure there is none. */
enum bitcask_status posix_file_reserve(struct posix_home *home, const char *name, uint64_t size);

#endif
