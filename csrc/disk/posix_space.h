/*
 * Space for the appends of one file that is read while it grows: allocated ahead, mapped, and
 * its write faults taken ahead.
 *
 *   +----------------+- - - - - - -+- - - - - - - -+. . . . . . . .+
 *   | appended       | ready       | allocated     | addresses     |
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
 * Another thread may allocate and take faults beside the one that appends. Zeros must not meet
 * what is appended: they are written behind `ready` alone, and nothing else is; who changes
 * `ready` holds the lock. An append that ends below it needs no lock.
 *
 * Threads: appending, giving back and freezing exclude each other, outside, and so do flushing and
 * freezing; making ready may go on beside all of them, and flushing beside the other two.
 */
#ifndef BITCASK_DISK_POSIX_SPACE_H
#define BITCASK_DISK_POSIX_SPACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/thread.h"

struct posix_space {
  int fd;             /* the file's; -1: closed, the mapping alone is left */
  uint8_t *map;       /* NULL: not mapped */
  size_t map_size;
  uint64_t capacity;  /* 0: not allocated ahead */
  struct mutex lock;
  uint8_t *writable;  /* the mapping, where appends may go through it; changed under the lock */
  bool is_finished GUARDED_BY(lock); /* what was allocated ahead was given back */
  bool has_remainder GUARDED_BY(lock); /* more may be allocated than `allocated` */
  atomic_bool is_helped; /* another thread makes ready; an append then does as little as it can */
  /* changed under the lock */
  atomic_uint_least64_t allocated; /* bytes of the file that are backed by space, >= its size */
  atomic_uint_least64_t ready;     /* bytes that can be written to without a fault, >= its size */
  atomic_uint_least64_t flushed;   /* bytes that the last flush found */
  atomic_uint_least64_t unmapped;  /* bytes of the mapping that flushes have let go of */
};

/* For a file of `size` bytes, open as `fd`. */
void posix_space_init(struct posix_space *space, int fd);
void posix_space_release(struct posix_space *space);

/* The file has `size` bytes, all of which are there. */
void posix_space_set_size(struct posix_space *space, uint64_t size);

/* Map that much of the file for reading, and for appending when it has a capacity. What cannot
 * be mapped is left to system calls. */
void posix_space_map(struct posix_space *space, size_t size);

/* Have space for the file to become `needed` bytes, and more if that can be had. -1, and errno:
 * there is none. `writable` is NULL afterwards where space cannot be promised. */
int posix_space_reserve(struct posix_space *space, uint64_t needed);

/* As far as there is any, and ahead, on any thread: whoever appends waits for no file system then. */
void posix_space_allocate(struct posix_space *space, uint64_t end);

/* Is all of that done already for an append that ends there, and leaves `headroom` behind it? */
static inline bool posix_space_is_ready(const struct posix_space *space, uint64_t end,
                                        size_t headroom) {
  return space->writable != NULL &&
         end <= atomic_load_explicit(&space->ready, memory_order_acquire) &&
         end + headroom <= atomic_load_explicit(&space->allocated, memory_order_acquire);
}

/* The bytes [start, end) will be written through the mapping: take its write faults, and some
 * of those behind it. */
void posix_space_expect(struct posix_space *space, uint64_t start, uint64_t end);

/* These bytes are in the cache: map them for whoever reads them first. */
void posix_space_have_at_hand(struct posix_space *space, uint64_t from, uint64_t to);

/* They will be written to the file itself. */
void posix_space_pass(struct posix_space *space, uint64_t end);

/* Allocate and take faults, so that appends up to `end` find both done. On any thread. */
void posix_space_make_ready(struct posix_space *space, uint64_t end);

/* Make the first `size` bytes, all that was appended, durable, and their number; as fdatasync
 * does, but what is ready behind them is not written, and stays ready. -1, and errno. */
int posix_space_flush(struct posix_space *space, uint64_t size);

/* Give back what was allocated beyond `size`. -1, and errno. */
int posix_space_give_back(struct posix_space *space, uint64_t size);

/* Nothing will be appended: keep what is needed for reading. */
void posix_space_freeze(struct posix_space *space, uint64_t size);

#endif
