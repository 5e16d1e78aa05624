#include "disk/posix_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/thread.h"
#include "disk/posix_call.h"
#include "disk/posix_space.h"

enum {
  NAME_SIZE_MAX = 64,
  WRITE_THROUGH_SIZE = 16 << 10 /* appends from here on go through pwritev */
};

struct posix_file {
  struct disk_file base;
  struct posix_home *home;
  struct posix_space space;
  atomic_bool is_warm; /* what was read last from the mapping was in the cache */
  char name[NAME_SIZE_MAX];
};

static enum bitcask_status fail(const struct posix_file *file, const char *what) {
  return posix_fail(file->home->path, file->name, what);
}

static void drop_descriptor(struct posix_file *file) {
  if (file->space.fd < 0) return;
  close(file->space.fd);
  file->space.fd = -1;
  atomic_fetch_sub(&file->home->open_files, 1);
}

/* ---- Appending ---- */

static uint64_t total_size(const bitcask_bytes *parts, size_t count) {
  uint64_t total = 0;
  for (size_t i = 0; i < count; i++) total += parts[i].size;
  return total;
}

/* Space for an append that ends there. */
static enum bitcask_status prepare_append(struct posix_file *file, uint64_t end,
                                          size_t headroom) {
  uint64_t capacity = file->space.capacity, needed = end + headroom;
  if (end > capacity)
    return status_fail(BITCASK_INVALID,
                       "%s: %" PRIu64 " bytes are more than its capacity of %" PRIu64, file->name,
                       end, capacity);
  if (needed > capacity) needed = capacity;
  if (posix_space_reserve(&file->space, needed) != 0) return fail(file, "allocate space");
  return BITCASK_OK;
}

static void copy_parts(uint8_t *to, const bitcask_bytes *parts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (parts[i].size > 0) memcpy(to, parts[i].data, parts[i].size);
    to += parts[i].size;
  }
}

/* What was made ready is in another processor's cache: begin to fetch what comes soon, as much as
 * was just written. */
static void fetch_next(const uint8_t *end, size_t size) {
  enum { LINE = 64, DISTANCE = 3 * LINE, SIZE_MAX_AHEAD = 8 * LINE };
  if (size > SIZE_MAX_AHEAD) size = SIZE_MAX_AHEAD;
  for (size_t i = 0; i < size; i += LINE) __builtin_prefetch(end + DISTANCE + i, 1);
}

/* Parts of which some are written. */
struct unwritten {
  const bitcask_bytes *parts;
  size_t count;
  size_t skip; /* bytes of the first one */
};

static void note_written(struct unwritten *left, size_t bytes) {
  while (left->count > 0 && left->parts->size - left->skip <= bytes) {
    bytes -= left->parts->size - left->skip;
    left->parts++;
    left->count--;
    left->skip = 0;
  }
  left->skip += bytes;
}

static ssize_t write_some(int fd, const struct unwritten *left, uint64_t offset) {
  enum { VECTOR_MAX = 256 };
  struct iovec vector[VECTOR_MAX];
  int count = 0;
  for (size_t i = 0; i < left->count && count < VECTOR_MAX; i++) {
    size_t skip = i == 0 ? left->skip : 0;
    if (left->parts[i].size == 0) continue;
    vector[count++] = (struct iovec){.iov_base = (uint8_t *)(uintptr_t)left->parts[i].data + skip,
                                     .iov_len = left->parts[i].size - skip};
  }
  return pwritev(fd, vector, count, (off_t)offset);
}

static enum bitcask_status write_parts(struct posix_file *file, const bitcask_bytes *parts,
                                       size_t count, uint64_t offset) {
  struct unwritten left = {.parts = parts, .count = count};
  note_written(&left, 0); /* empty parts */
  while (left.count > 0) {
    ssize_t written = write_some(file->space.fd, &left, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(file, "write");
    if (written == 0) {
      errno = ENOSPC;
      return fail(file, "write");
    }
    note_written(&left, (size_t)written);
    offset += (uint64_t)written;
  }
  return BITCASK_OK;
}

/* A write that failed may have been done in part, behind the size. It must not be left there:
 * the first records of a batch are whole, and once shorter writes stand before them a recovery
 * would take them for records behind a damage. */
static void take_back(struct posix_file *file, uint64_t start, uint64_t end,
                      enum bitcask_status status) {
  if (file->space.writable != NULL)
    memset(file->space.writable + start, 0, (size_t)(end - start));
  else if (ftruncate(file->space.fd, (off_t)start) != 0)
    status_fail(status, "%s; nor could it be cut again", bitcask_error_text());
}

/* What most appends are: a little, and everything made ready for it. False: it is not. */
INLINE bool append_shortly(struct posix_file *file, bitcask_bytes part, size_t headroom) {
  enum { SHORT_SIZE = 1 << 10 };
  uint64_t start = disk_file_size(&file->base), end = start + part.size;
  if (part.size > SHORT_SIZE || !posix_space_is_ready(&file->space, end, headroom)) return false;
  bytes_copy(file->space.writable + start, part.data, part.size);
  fetch_next(file->space.writable + end, part.size);
  atomic_store_explicit(&file->base.size, end, memory_order_release);
  return true;
}

static enum bitcask_status append_parts(struct posix_file *file, const bitcask_bytes *parts,
                                        size_t count, size_t headroom) {
  struct disk_file *base = &file->base;
  struct posix_space *space = &file->space;
  uint64_t start = disk_file_size(base);
  uint64_t end = start + total_size(parts, count);
  if (space->writable != NULL) TRY(prepare_append(file, end, headroom));
  if (space->writable != NULL && end - start < WRITE_THROUGH_SIZE) {
    posix_space_expect(space, start, end);
    copy_parts(space->writable + start, parts, count);
    fetch_next(space->writable + end, (size_t)(end - start));
  } else {
    posix_space_pass(space, end);
    enum bitcask_status status = write_parts(file, parts, count, start);
    if (status != BITCASK_OK) {
      take_back(file, start, end, status);
      return status;
    }
  }
  atomic_store_explicit(&base->size, end, memory_order_release);
  return BITCASK_OK;
}

static enum bitcask_status file_append(struct disk_file *base, const bitcask_bytes *parts,
                                       size_t count, size_t headroom) {
  struct posix_file *file = (struct posix_file *)base;
  if (count == 1 && append_shortly(file, parts[0], headroom)) return BITCASK_OK;
  return append_parts(file, parts, count, headroom);
}

/* ---- The other operations ---- */

static enum bitcask_status file_read_at(struct disk_file *base, uint64_t offset, void *into,
                                        size_t size, size_t *got) {
  struct posix_file *file = (struct posix_file *)base;
  if (base->map != NULL) {
    uint64_t end = disk_file_size(base);
    size_t there = offset >= end ? 0 : (end - offset < size ? (size_t)(end - offset) : size);
    if (there > 0) memcpy(into, base->map + offset, there);
    *got = there;
    return BITCASK_OK;
  }
  size_t done = 0;
  while (done < size) {
    ssize_t count =
        pread(file->space.fd, (uint8_t *)into + done, size - done, (off_t)(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(file, "read");
    if (count == 0) break;
    done += (size_t)count;
  }
  *got = done;
  return BITCASK_OK;
}

static void file_make_ready(struct disk_file *base, uint64_t end) {
  posix_space_make_ready(&((struct posix_file *)base)->space, end);
}

static void file_allocate(struct disk_file *base, uint64_t end) {
  posix_space_allocate(&((struct posix_file *)base)->space, end);
}

static enum bitcask_status file_sync(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  if (posix_space_flush(&file->space, disk_file_size(base)) != 0)
    return posix_fail_flush(file->home->path, file->name);
  return BITCASK_OK;
}

static void file_start_sync(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  sync_file_range(file->space.fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static enum bitcask_status file_finish(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  if (posix_space_give_back(&file->space, disk_file_size(base)) != 0)
    return fail(file, "give back space of");
  return BITCASK_OK;
}

static void file_freeze(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  if (base->map == NULL) return; /* the descriptor is what it is read with */
  posix_space_freeze(&file->space, disk_file_size(base));
  drop_descriptor(file);
}

/* What was written to a private mapping takes memory until it is unmapped; the pages of the
 * file come back in its place. */
static void file_forget(struct disk_file *base, uint64_t offset, uint64_t size) {
  if (base->map == NULL) return;
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t from = (offset + page - 1) & ~(page - 1), to = (offset + size) & ~(page - 1);
  if (to > from) madvise((uint8_t *)(uintptr_t)base->map + from, to - from, MADV_DONTNEED);
}

/* What is read with a descriptor the system reads ahead by itself. */
static void file_will_read(struct disk_file *base, uint64_t offset, uint64_t size) {
  uint64_t end = disk_file_size(base); /* the mapping, which may be cut meanwhile, goes that far */
  if (base->map == NULL || offset >= end) return;
  if (size < end - offset) end = offset + size;
  uint64_t from = offset & ~(uint64_t)4095;
  if (end > from) madvise((uint8_t *)(uintptr_t)base->map + from, end - from, MADV_WILLNEED);
}

/* Does a look at this byte take as long as a device does? */
static bool is_far(const volatile uint8_t *byte) {
  const double device_seconds = 5e-6; /* a page that is only to be mapped takes one or two */
  double begin = thread_seconds();
  (void)*byte;
  return thread_seconds() - begin > device_seconds;
}

/* To announce what is in the cache already is a call into the system, a tenth of what a read of
 * 64 KiB takes; so is the question whether it is there. How long one of its bytes takes tells, and
 * what the next read has to expect. */
static void file_load(struct disk_file *base, uint64_t offset, uint64_t size) {
  struct posix_file *file = (struct posix_file *)base;
  uint64_t end = disk_file_size(base);
  if (base->map == NULL || size == 0 || offset > end || size > end - offset) return;
  bool was_warm = atomic_load_explicit(&file->is_warm, memory_order_relaxed);
  if (!was_warm) file_will_read(base, offset, size);
  bool is_warm = !is_far(base->map + offset + size - 1);
  if (was_warm && !is_warm) file_will_read(base, offset, size);
  if (is_warm != was_warm) atomic_store_explicit(&file->is_warm, is_warm, memory_order_relaxed);
}

static void file_have_at_hand(struct disk_file *base, uint64_t offset, uint64_t size) {
  posix_space_have_at_hand(&((struct posix_file *)base)->space, offset, offset + size);
}

static void file_close(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  posix_space_release(&file->space);
  drop_descriptor(file);
  memory_free(file);
}

static const struct disk_file_ops file_ops = {
    .append = file_append,
    .make_ready = file_make_ready,
    .allocate = file_allocate,
    .read_at = file_read_at,
    .sync = file_sync,
    .start_sync = file_start_sync,
    .finish = file_finish,
    .freeze = file_freeze,
    .forget = file_forget,
    .will_read = file_will_read,
    .load = file_load,
    .have_at_hand = file_have_at_hand,
    .close = file_close,
};

/* ---- Opening ---- */

static struct posix_file *file_new(struct posix_home *home, const char *name) {
  struct posix_file *file = memory_zeroed(1, sizeof *file);
  if (file == NULL) return NULL;
  file->base.ops = &file_ops;
  file->home = home;
  posix_space_init(&file->space, -1);
  snprintf(file->name, sizeof file->name, "%s", name);
  return file;
}

static void map_file(struct posix_file *file, uint64_t size) {
  posix_space_map(&file->space, (size_t)size);
  file->base.map = file->space.map;
}

static enum bitcask_status open_file(struct posix_home *home, const char *name, int flags,
                                     struct posix_file **out) {
  struct posix_file *file = file_new(home, name);
  if (file == NULL) return BITCASK_NOMEMORY;
  file->space.fd = posix_open_at(home->fd, name, flags);
  if (file->space.fd < 0) {
    enum bitcask_status status = fail(file, flags & O_CREAT ? "create" : "open");
    file_close(&file->base);
    return status;
  }
  atomic_fetch_add(&home->open_files, 1);
  *out = file;
  return BITCASK_OK;
}

enum bitcask_status posix_file_create(struct posix_home *home, const char *name,
                                      uint64_t capacity, struct disk_file **out) {
  struct posix_file *file = NULL;
  TRY(open_file(home, name, O_RDWR | O_CREAT | O_EXCL, &file));
  file->space.capacity = capacity;
  map_file(file, capacity);
  *out = &file->base;
  return BITCASK_OK;
}

enum bitcask_status posix_file_reserve(struct posix_home *home, const char *name, uint64_t size) {
  struct posix_file *file = NULL;
  TRY(open_file(home, name, O_RDWR | O_CREAT | O_EXCL, &file));
  enum bitcask_status status = BITCASK_OK;
  if (fallocate(file->space.fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) != 0) {
    status = fail(file, "allocate space");
    unlinkat(home->fd, name, 0);
  }
  file_close(&file->base);
  return status;
}

static enum bitcask_status learn_size(struct posix_file *file) {
  struct stat facts;
  if (fstat(file->space.fd, &facts) != 0) return fail(file, "look at");
  if (!S_ISREG(facts.st_mode))
    return status_fail(BITCASK_IO, "%s/%s: not a regular file", file->home->path, file->name);
  atomic_store(&file->base.size, (uint64_t)facts.st_size);
  posix_space_set_size(&file->space, (uint64_t)facts.st_size);
  return BITCASK_OK;
}

/* An existing file whose size is known. */
static enum bitcask_status open_existing(struct posix_home *home, const char *name, int flags,
                                         struct posix_file **out) {
  struct posix_file *file = NULL;
  TRY(open_file(home, name, flags | O_NONBLOCK, &file));
  enum bitcask_status status = learn_size(file);
  if (status != BITCASK_OK) {
    file_close(&file->base);
    return status;
  }
  *out = file;
  return BITCASK_OK;
}

enum bitcask_status posix_file_open(struct posix_home *home, const char *name, bool growing,
                                    struct disk_file **out) {
  struct posix_file *file = NULL;
  TRY(open_existing(home, name, O_RDONLY, &file));
  if (!growing) map_file(file, disk_file_size(&file->base));
  if (file->base.map != NULL) drop_descriptor(file);
  *out = &file->base;
  return BITCASK_OK;
}

enum bitcask_status posix_file_open_private(struct posix_home *home, const char *name,
                                            struct disk_file **out) {
  struct posix_file *file = NULL;
  TRY(open_existing(home, name, O_RDONLY, &file));
  size_t size = (size_t)disk_file_size(&file->base);
  void *map = size == 0 ? MAP_FAILED
                        : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                               file->space.fd, 0);
  if (map != MAP_FAILED) {
    file->base.map = file->space.map = map;
    file->space.map_size = size;
    drop_descriptor(file);
  }
  *out = &file->base;
  return BITCASK_OK;
}

enum bitcask_status posix_file_reopen(struct posix_home *home, const char *name, uint64_t size,
                                      uint64_t capacity, struct disk_file **out) {
  struct posix_file *file = NULL;
  TRY(open_existing(home, name, O_RDWR, &file));
  uint64_t found = disk_file_size(&file->base);
  if (found != size) {
    file_close(&file->base);
    return status_fail(BITCASK_CORRUPT,
                       "%s: %" PRIu64 " bytes, where %" PRIu64 " were written", name, found, size);
  }
  file->space.capacity = capacity > size ? capacity : size;
  map_file(file, file->space.capacity);
  *out = &file->base;
  return BITCASK_OK;
}
