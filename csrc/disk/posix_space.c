#include "disk/posix_space.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
  PAGE_SIZE_MIN = 4 << 10,
  POPULATE_SIZE = 64 << 10,    /* write faults are taken this far ahead */
  POPULATE_LITTLE = 16 << 10,  /* the same, by an append that came too early for its helper */
  SELDOM_SIZE = 256 << 10,     /* more than this between two flushes: they come seldom */
  ALLOCATE_SIZE_MIN = 64 << 10, /* space is allocated ahead in steps from here */
  ALLOCATE_SIZE_MAX = 2 << 20,  /* doubling up to here */
  ADVICE_SIZE = 4 << 20,
  PIECE_SIZE = 4 << 20 /* of what is flushed, on its way to the device at a time */
};

static uint64_t page_floor(uint64_t offset) { return offset & ~(uint64_t)(PAGE_SIZE_MIN - 1); }

static uint64_t look(const atomic_uint_least64_t *number) {
  return atomic_load_explicit(number, memory_order_acquire);
}

static void set(atomic_uint_least64_t *number, uint64_t value) {
  atomic_store_explicit(number, value, memory_order_release);
}

/* ---- Mapping ---- */

void posix_space_init(struct posix_space *space, int fd) {
  space->fd = fd;
  mutex_init(&space->lock);
}

void posix_space_release(struct posix_space *space) {
  if (space->map != NULL) munmap(space->map, space->map_size);
  mutex_destroy(&space->lock);
}

void posix_space_set_size(struct posix_space *space, uint64_t size) {
  set(&space->allocated, size);
  set(&space->ready, size);
}

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

/* ---- Allocating ---- */

static bool is_unsupported(int cause) {
  return cause == EOPNOTSUPP || cause == ENOSYS || cause == EINVAL;
}

/* A call that failed may have given the file some of what it was to have. */
static void return_remainder(struct posix_space *space) REQUIRES(space->lock) {
  int cause = errno;
  space->has_remainder =
      !is_unsupported(cause) && ftruncate(space->fd, (off_t)look(&space->allocated)) != 0;
  errno = cause;
}

static int allocate(struct posix_space *space, uint64_t to) REQUIRES(space->lock) {
  uint64_t from = look(&space->allocated);
  int result;
  do {
    result = fallocate(space->fd, 0, (off_t)from, (off_t)(to - from));
  } while (result != 0 && errno == EINTR);
  if (result == 0)
    set(&space->allocated, to);
  else
    return_remainder(space);
  return result;
}

static int allocate_ahead(struct posix_space *space, uint64_t needed) REQUIRES(space->lock) {
  uint64_t allocated = look(&space->allocated), step = allocated;
  if (needed <= allocated) return 0;
  if (step < ALLOCATE_SIZE_MIN) step = ALLOCATE_SIZE_MIN;
  if (step > ALLOCATE_SIZE_MAX) step = ALLOCATE_SIZE_MAX;
  uint64_t wanted = allocated + step;
  if (wanted < needed) wanted = needed;
  if (wanted > space->capacity) wanted = space->capacity;
  int result = allocate(space, wanted);
  if (result == 0 || is_unsupported(errno)) return result;
  return wanted > needed ? allocate(space, needed) : result;
}

int posix_space_reserve(struct posix_space *space, uint64_t needed) {
  if (needed <= look(&space->allocated)) return 0;
  mutex_lock(&space->lock);
  space->is_finished = false;
  int result = allocate_ahead(space, needed);
  if (result != 0 && is_unsupported(errno)) {
    space->writable = NULL; /* no promise of space, no writing through the mapping */
    result = 0;
  }
  mutex_unlock(&space->lock);
  return result;
}

void posix_space_allocate(struct posix_space *space, uint64_t end) {
  if (end > space->capacity) end = space->capacity;
  mutex_lock(&space->lock);
  bool is_of_use = space->writable != NULL && !space->is_finished;
  if (is_of_use && end > look(&space->allocated)) allocate(space, end);
  mutex_unlock(&space->lock);
}

int posix_space_give_back(struct posix_space *space, uint64_t size) {
  int result = 0;
  mutex_lock(&space->lock);
  if (look(&space->allocated) > size || space->has_remainder)
    result = ftruncate(space->fd, (off_t)size);
  if (result == 0) {
    space->is_finished = true;
    space->has_remainder = false;
    posix_space_set_size(space, size);
  }
  mutex_unlock(&space->lock);
  return result;
}

/* ---- Taking faults ---- */

/* Where they end: what is written is there already, what cannot be written is left to the
 * faults. */
static uint64_t write_zeros(const struct posix_space *space, uint64_t from, uint64_t to) {
  static const uint8_t zeros[POPULATE_SIZE];
  while (from < to) {
    size_t size = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
    if (pwrite(space->fd, zeros, size, (off_t)from) != (ssize_t)size) break;
    from += size;
  }
  return from;
}

static bool is_flushed_seldom(const struct posix_space *space, uint64_t end) {
  return end - atomic_load_explicit(&space->flushed, memory_order_relaxed) > SELDOM_SIZE;
}

/* The bytes from `from` on, behind which nothing was appended, up to `to`, or the end of the step
 * that `to` is in. It only saves time: where it is not supported, or fails, the faults are taken
 * one by one. */
static void take_faults(struct posix_space *space, uint64_t from, uint64_t to, uint64_t step,
                        bool with_zeros) REQUIRES(space->lock) {
  uint64_t allocated = look(&space->allocated), page = page_floor(from);
  to = (to + step - 1) & ~(step - 1);
  if (to > allocated) to = allocated;
  if (with_zeros) write_zeros(space, from, to);
  if (to > page) madvise(space->writable + page, to - page, MADV_POPULATE_WRITE);
  set(&space->ready, to);
}

void posix_space_expect(struct posix_space *space, uint64_t start, uint64_t end) {
  if (end <= look(&space->ready)) return;
  uint64_t step = atomic_load_explicit(&space->is_helped, memory_order_relaxed) ? POPULATE_LITTLE
                                                                                : POPULATE_SIZE;
  mutex_lock(&space->lock);
  uint64_t ready = look(&space->ready);
  if (end > ready)
    take_faults(space, ready > start ? ready : start, end, step, is_flushed_seldom(space, end));
  mutex_unlock(&space->lock);
}

void posix_space_pass(struct posix_space *space, uint64_t end) {
  if (end <= look(&space->ready)) return;
  mutex_lock(&space->lock);
  if (end > look(&space->ready)) set(&space->ready, end);
  mutex_unlock(&space->lock);
}

/* Page by page: one call for all of them would hold up whoever maps or unmaps something, in the
 * whole process, for as long as the file system makes it wait. */
static void touch(struct posix_space *space, uint64_t from, uint64_t to) REQUIRES(space->lock) {
  for (uint64_t page = page_floor(from + PAGE_SIZE_MIN - 1); page < to; page += PAGE_SIZE_MIN)
    __atomic_fetch_or(&space->writable[page], 0, __ATOMIC_RELAXED);
}

/* One step of it. False: there is no more to do, or no more can be done. */
static bool make_some_ready(struct posix_space *space, uint64_t end) REQUIRES(space->lock) {
  uint64_t ready = look(&space->ready);
  if (space->writable == NULL || space->is_finished || ready >= end) return false;
  uint64_t wanted = end + ALLOCATE_SIZE_MIN; /* the last append wants some more left */
  if (allocate_ahead(space, wanted < space->capacity ? wanted : space->capacity) != 0) return false;
  uint64_t step = (ready / POPULATE_SIZE + 1) * POPULATE_SIZE, allocated = look(&space->allocated);
  uint64_t to = write_zeros(space, ready, step < allocated ? step : allocated);
  touch(space, ready, to);
  set(&space->ready, to);
  return to > ready;
}

void posix_space_make_ready(struct posix_space *space, uint64_t end) {
  bool is_more = true;
  atomic_store_explicit(&space->is_helped, true, memory_order_relaxed);
  if (end > space->capacity) end = space->capacity;
  while (is_more) {
    mutex_lock(&space->lock);
    is_more = make_some_ready(space, end);
    mutex_unlock(&space->lock);
  }
}

/* ---- Flushing, and the end ---- */

/* Map anew, for reading, the pages that were written through the mapping; they are in the cache.
 * Else the flush takes the right to write from each of them, one by one, and interrupts every
 * other thread for each; from those behind the end, too, that stand in one piece of the cache with
 * it. And who reads them next need not wait until they are found again. In pieces: whoever maps or
 * unmaps something else meanwhile waits for one of them. */
static void map_anew(struct posix_space *space, uint64_t begin, uint64_t end, uint64_t size) {
  for (uint64_t at = begin, next; at < end; at = next) {
    next = end - at < ADVICE_SIZE ? end : at + ADVICE_SIZE;
    madvise(space->map + at, next - at, MADV_DONTNEED);
    uint64_t written = next < page_floor(size) ? next : page_floor(size);
    if (written > at) madvise(space->map + at, written - at, MADV_POPULATE_READ);
  }
}

void posix_space_have_at_hand(struct posix_space *space, uint64_t from, uint64_t to) {
  if (space->map == NULL) return;
  uint64_t page = page_floor(from);
  madvise(space->map + page, to - page, MADV_POPULATE_READ);
}

static void end_writing(struct posix_space *space, uint64_t size) {
  uint64_t begin = atomic_load_explicit(&space->unmapped, memory_order_relaxed);
  uint64_t end = (size + POPULATE_SIZE - 1) & ~(uint64_t)(POPULATE_SIZE - 1);
  if (end > space->map_size) end = space->map_size;
  if (space->map == NULL || end < begin + SELDOM_SIZE) return;
  map_anew(space, begin, end, size);
  atomic_store_explicit(&space->unmapped, page_floor(size), memory_order_relaxed);
}

/* Begin to write these bytes down; `waits`: until they are. What the system does not know how to
 * do is left to the flush; whatever else fails has been told, and will not be told again. */
static int write_range(const struct posix_space *space, uint64_t from, uint64_t size, bool waits) {
  unsigned wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER;
  int result = sync_file_range(space->fd, (off_t)from, (off_t)size,
                               SYNC_FILE_RANGE_WRITE | (waits ? wait : 0));
  bool is_unknown = errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == ESPIPE;
  return result == 0 || is_unknown ? 0 : -1;
}

/* Much at once would fill the queue of the device, and whoever flushes a little in another file, a
 * header or an edit that a writer waits for, would stand behind all of it. So it is written piece
 * by piece, two at a time. What fails here the flush would not tell of again. */
static int write_pieces(const struct posix_space *space, uint64_t size) {
  uint64_t from = page_floor(atomic_load_explicit(&space->flushed, memory_order_relaxed));
  for (; from + 2 * PIECE_SIZE < size; from += PIECE_SIZE) {
    if (write_range(space, from + PIECE_SIZE, PIECE_SIZE, false) != 0) return -1;
    if (write_range(space, from, PIECE_SIZE, true) != 0) return -1;
  }
  return 0;
}

int posix_space_flush(struct posix_space *space, uint64_t size) {
  end_writing(space, size);
  if (write_pieces(space, size) != 0) return -1;
  atomic_store_explicit(&space->flushed, size, memory_order_relaxed);
  bool is_ahead = space->capacity > 0 && space->map != NULL && size > 0;
  return is_ahead ? msync(space->map, (size_t)size, MS_SYNC) : fdatasync(space->fd);
}

void posix_space_freeze(struct posix_space *space, uint64_t size) {
  mutex_lock(&space->lock);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t used = ((size_t)size + page - 1) & ~(page - 1);
  if (used > 0 && used < space->map_size &&
      munmap(space->map + used, space->map_size - used) == 0)
    space->map_size = used;
  mprotect(space->map, space->map_size, PROT_READ);
  space->writable = NULL;
  mutex_unlock(&space->lock);
}
