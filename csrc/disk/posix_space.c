#include "disk/posix_space.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
  PAGE_SIZE_MIN = 4 << 10,
  POPULATE_SIZE = 64 << 10,    /* write faults are taken this far ahead */
  SELDOM_SIZE = 256 << 10,     /* more than this between two flushes: they come seldom */
  ALLOCATE_SIZE_MIN = 64 << 10, /* space is allocated ahead in steps from here */
  ALLOCATE_SIZE_MAX = 8 << 20,  /* doubling up to here */
  UNMAP_SIZE = 4 << 20
};

static uint64_t page_floor(uint64_t offset) { return offset & ~(uint64_t)(PAGE_SIZE_MIN - 1); }

/* ---- Mapping ---- */

void posix_space_map(struct posix_space *space, size_t size) {
  int protection = space->capacity > 0 ? PROT_READ | PROT_WRITE : PROT_READ;
  if (size == 0) return;
  void *map = mmap(NULL, size, protection, MAP_SHARED, space->fd, 0);
  if (map == MAP_FAILED) return;
  space->map = map;
  space->map_size = size;
  /* Else each fault reads ahead, megabytes on some machines: for a get of one record, which
   * drives others out of the cache; or of space that was never written. */
  madvise(map, size, MADV_RANDOM);
  if (space->capacity > 0) space->writable = map;
}

void posix_space_unmap(struct posix_space *space) {
  if (space->map != NULL) munmap(space->map, space->map_size);
}

/* ---- Allocating ---- */

static int allocate(struct posix_space *space, uint64_t to) {
  int result;
  do {
    result = fallocate(space->fd, 0, (off_t)space->allocated, (off_t)(to - space->allocated));
  } while (result != 0 && errno == EINTR);
  if (result == 0) space->allocated = to;
  return result;
}

int posix_space_reserve(struct posix_space *space, uint64_t needed) {
  if (needed <= space->allocated) return 0;
  uint64_t step = space->allocated;
  if (step < ALLOCATE_SIZE_MIN) step = ALLOCATE_SIZE_MIN;
  if (step > ALLOCATE_SIZE_MAX) step = ALLOCATE_SIZE_MAX;
  uint64_t wanted = space->allocated + step;
  if (wanted < needed) wanted = needed;
  if (wanted > space->capacity) wanted = space->capacity;
  if (allocate(space, wanted) == 0) return 0;
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) {
    space->writable = NULL; /* no promise of space, no writing through the mapping */
    return 0;
  }
  return wanted > needed ? allocate(space, needed) : -1;
}

int posix_space_give_back(struct posix_space *space, uint64_t size) {
  if (space->allocated <= size) return 0;
  if (ftruncate(space->fd, (off_t)size) != 0) return -1;
  space->allocated = size;
  return 0;
}

/* ---- Taking faults ---- */

/* What is written is there already; what cannot be written is left to the faults. */
static void write_zeros(const struct posix_space *space, uint64_t from, uint64_t to) {
  static const uint8_t zeros[POPULATE_SIZE];
  while (from < to) {
    size_t size = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
    if (pwrite(space->fd, zeros, size, (off_t)from) != (ssize_t)size) return;
    from += size;
  }
}

static bool is_flushed_seldom(const struct posix_space *space, uint64_t end) {
  return end - atomic_load_explicit(&space->flushed, memory_order_relaxed) > SELDOM_SIZE;
}

/* It only saves time: where it is not supported, or fails, the faults are taken one by one. */
void posix_space_populate(struct posix_space *space, uint64_t start, uint64_t end) {
  if (end <= space->populated) return;
  uint64_t from = space->populated > start ? space->populated : start;
  uint64_t to = (end + POPULATE_SIZE - 1) & ~(uint64_t)(POPULATE_SIZE - 1);
  if (to > space->allocated) to = space->allocated;
  if (is_flushed_seldom(space, end)) write_zeros(space, from, to);
  uint64_t page = page_floor(from);
  if (to > page) madvise(space->writable + page, to - page, MADV_POPULATE_WRITE);
  space->populated = to;
}

/* ---- Flushing, and the end ---- */

/* Let go of the whole pages that were written through the mapping: they stay in the cache, and
 * whoever reads them takes them back, for reading. Else the flush takes the right to write from
 * each of them, one by one, and interrupts every other thread for each. */
static void unmap_written(struct posix_space *space, uint64_t size) {
  uint64_t begin = atomic_load_explicit(&space->unmapped, memory_order_relaxed);
  uint64_t end = page_floor(size);
  if (space->map == NULL || end < begin + SELDOM_SIZE) return;
  for (uint64_t at = begin; at < end; at += UNMAP_SIZE)
    madvise(space->map + at, end - at < UNMAP_SIZE ? end - at : UNMAP_SIZE, MADV_DONTNEED);
  atomic_store_explicit(&space->unmapped, end, memory_order_relaxed);
}

void posix_space_before_flush(struct posix_space *space, uint64_t size) {
  unmap_written(space, size);
  atomic_store_explicit(&space->flushed, size, memory_order_relaxed);
}

void posix_space_freeze(struct posix_space *space, uint64_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t used = ((size_t)size + page - 1) & ~(page - 1);
  if (used > 0 && used < space->map_size &&
      munmap(space->map + used, space->map_size - used) == 0)
    space->map_size = used;
  mprotect(space->map, space->map_size, PROT_READ);
  space->writable = NULL;
}
