/*
 * Space for the appends of one file that is read while it grows: allocated ahead, mapped, and
 * its write faults taken ahead.
 *
 *   +----------------+- - - - - - -+- - - - - - - -+. . . . . . . .+
 *   | appended       | populated   | allocated     | addresses     |
 *   +----------------+- - - - - - -+- - - - - - - -+. . . . . . . .+
 *                    ^ size        ^ no fault      ^ no signal     ^ capacity
 *
 * Space is allocated with fallocate, so that a full disk is an error there and never a signal
 * where the mapping is written to. Where that is not supported, nothing is written through it.
 *
 * Write faults are taken ahead, many in one call. A fault on a page that is not in the cache
 * costs twice as much as writing zeros, which it holds anyway, and then taking the fault; but
 * that makes pages in large pieces, which a flush then writes whole. So zeros are written
 * only where files are flushed seldom.
 *
 * Threads: no locks here; flushing may go on beside the rest.
 */
#ifndef BITCASK_DISK_POSIX_SPACE_H
#define BITCASK_DISK_POSIX_SPACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct posix_space {
  int fd;             /* the file's; -1: closed, the mapping alone is left */
  uint8_t *map;       /* NULL: not mapped */
  size_t map_size;
  uint8_t *writable;  /* the mapping, where appends may go through it */
  uint64_t capacity;  /* 0: not allocated ahead */
  uint64_t allocated; /* bytes of the file that are backed by space, >= its size */
  uint64_t populated; /* bytes of the mapping whose faults were taken */
  atomic_uint_least64_t flushed; /* bytes that the last flush found */
  atomic_uint_least64_t unmapped; /* bytes of the mapping that flushes have let go of */
};

/* Map that much of the file for reading, and for appending when it has a capacity. What cannot
 * be mapped is left to system calls. */
void posix_space_map(struct posix_space *space, size_t size);
void posix_space_unmap(struct posix_space *space);

/* Have space for the file to become `needed` bytes, and more if that can be had. -1, and errno:
 * there is none. `writable` is NULL afterwards where space cannot be promised. */
int posix_space_reserve(struct posix_space *space, uint64_t needed);

/* Take the write faults for an append of the bytes [start, end), and of those behind it. */
void posix_space_populate(struct posix_space *space, uint64_t start, uint64_t end);

/* A file of `size` bytes is about to be flushed. */
void posix_space_before_flush(struct posix_space *space, uint64_t size);

/* Give back what was allocated beyond `size`. -1, and errno. */
int posix_space_give_back(struct posix_space *space, uint64_t size);

/* Nothing will be appended: keep what is needed for reading. */
void posix_space_freeze(struct posix_space *space, uint64_t size);

#endif
