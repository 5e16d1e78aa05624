/*
 * The operating system's disk; the only file that makes file system calls.
 *
 * A file that is read while it grows (the active segment) is appended to through a shared
 * mapping over space that was allocated before: a put then makes no system call, and a
 * killed process loses nothing, since the pages are the kernel's. Space is allocated with
 * fallocate, so that a full disk is an error here and never a signal there. Large appends
 * go through pwrite, which beats page faults from about 16 KiB upwards; the two see the
 * same pages. Where fallocate is not supported, all appends go through pwrite.
 *
 * Write faults are taken ahead, many in one call. A fault on a page that is not in the cache
 * costs twice as much as writing zeros, which it holds anyway, and then taking the fault; but
 * that makes pages in large pieces, which a flush then writes whole. So zeros are written
 * only where files are flushed seldom.
 *
 * A file opened for reading is mapped and its descriptor closed: thousands of segments
 * need no descriptors. A file that another process appends to is read with pread, because
 * that process may cut what it allocated ahead.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "disk/disk.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
  NAME_SIZE_MAX = 64,
  WRITE_THROUGH_SIZE = 16 << 10, /* appends from here on go through pwrite */
  TOGETHER_SIZE = 4 << 10,       /* small parts that are written by one call */
  POPULATE_SIZE = 64 << 10,      /* write faults are taken this far ahead */
  SELDOM_SIZE = 256 << 10,       /* more than this between two flushes: they come seldom */
  ALLOCATE_SIZE_MIN = 64 << 10,  /* space is allocated ahead in steps from here */
  ALLOCATE_SIZE_MAX = 8 << 20    /* doubling up to here */
};

struct posix_directory {
  struct disk_directory base;
  int fd;
  int lock_fd;
  struct disk_identity identity;
  atomic_uint open_files;
  char *path;
};

struct posix_file {
  struct disk_file base;
  struct posix_directory *directory;
  int fd;             /* -1: closed, read through the mapping alone */
  uint8_t *writable;  /* the mapping, where appends may go through it */
  size_t map_size;
  uint64_t capacity;  /* 0: not preallocated */
  uint64_t allocated; /* bytes of the file that are backed by space, >= size */
  uint64_t populated; /* bytes of the mapping whose faults were taken */
  atomic_uint_least64_t flushed; /* bytes that the last flush found */
  atomic_uint_least64_t unmapped; /* bytes of the mapping that flushes have let go of */
  char name[NAME_SIZE_MAX];
};

/* ---- Errors ---- */

static enum bitcask_status status_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return BITCASK_NOSPACE;
    case ENOENT:
      return BITCASK_NOTFOUND;
    case EEXIST:
      return BITCASK_EXISTS;
    case ENOMEM:
      return BITCASK_NOMEMORY;
    default:
      return BITCASK_IO;
  }
}

static enum bitcask_status fail_at(const char *path, const char *name, const char *what) {
  int error = errno;
  return status_fail(status_of(error), "%s%s%s: cannot %s: %s", path, *name ? "/" : "", name,
                     what, strerror(error));
}

static enum bitcask_status fail_file(const struct posix_file *file, const char *what) {
  return fail_at(file->directory->path, file->name, what);
}

/* ---- Descriptors ---- */

/* A host that closed its standard streams must not print into a segment. */
static int above_standard_streams(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  int error = errno;
  close(fd);
  errno = error;
  return higher;
}

static int open_at(int directory, const char *name, int flags) {
  int fd;
  do {
    fd = openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  } while (fd < 0 && errno == EINTR);
  return above_standard_streams(fd);
}

static void drop_descriptor(struct posix_file *file) {
  if (file->fd < 0) return;
  close(file->fd);
  file->fd = -1;
  atomic_fetch_sub(&file->directory->open_files, 1);
}

/* ---- Files ---- */

static enum bitcask_status write_all(struct posix_file *file, const uint8_t *data, size_t size,
                                     uint64_t offset) {
  while (size > 0) {
    ssize_t written = pwrite(file->fd, data, size, (off_t)offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_file(file, "write");
    if (written == 0) {
      errno = ENOSPC;
      return fail_file(file, "write");
    }
    data += written;
    size -= (size_t)written;
    offset += (uint64_t)written;
  }
  return BITCASK_OK;
}

static int allocate(struct posix_file *file, uint64_t to) {
  int result;
  do {
    result = fallocate(file->fd, 0, (off_t)file->allocated, (off_t)(to - file->allocated));
  } while (result != 0 && errno == EINTR);
  if (result == 0) file->allocated = to;
  return result;
}

/* Have space for the file to become `needed` bytes, and `wanted` if that can be had. */
static enum bitcask_status allocate_ahead(struct posix_file *file, uint64_t needed) {
  uint64_t step = file->allocated;
  if (step < ALLOCATE_SIZE_MIN) step = ALLOCATE_SIZE_MIN;
  if (step > ALLOCATE_SIZE_MAX) step = ALLOCATE_SIZE_MAX;
  uint64_t wanted = file->allocated + step;
  if (wanted < needed) wanted = needed;
  if (wanted > file->capacity) wanted = file->capacity;
  if (allocate(file, wanted) == 0) return BITCASK_OK;
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) {
    file->writable = NULL; /* no promise of space, no writing through the mapping */
    return BITCASK_OK;
  }
  if (wanted > needed && allocate(file, needed) == 0) return BITCASK_OK;
  return fail_file(file, "allocate space");
}

/* What is written is there already; what cannot be written is left to the faults. */
static void write_zeros(const struct posix_file *file, uint64_t from, uint64_t to) {
  static const uint8_t zeros[POPULATE_SIZE];
  while (from < to) {
    size_t size = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
    if (pwrite(file->fd, zeros, size, (off_t)from) != (ssize_t)size) return;
    from += size;
  }
}

static bool is_flushed_seldom(const struct posix_file *file, uint64_t end) {
  return end - atomic_load_explicit(&file->flushed, memory_order_relaxed) > SELDOM_SIZE;
}

/* Take the write faults of the pages to come, for an append of the bytes [start, end). It only
 * saves time: where it is not supported, or fails, the faults are taken one by one. */
static void populate_ahead(struct posix_file *file, uint64_t start, uint64_t end) {
  uint64_t from = file->populated > start ? file->populated : start;
  uint64_t to = (end + POPULATE_SIZE - 1) & ~(uint64_t)(POPULATE_SIZE - 1);
  if (to > file->allocated) to = file->allocated;
  if (is_flushed_seldom(file, end)) write_zeros(file, from, to);
  uint64_t page = from & ~(uint64_t)4095;
  if (to > page) madvise(file->writable + page, to - page, MADV_POPULATE_WRITE);
  file->populated = to;
}

static uint64_t total_size(const bitcask_bytes *parts, size_t count) {
  uint64_t total = 0;
  for (size_t i = 0; i < count; i++) total += parts[i].size;
  return total;
}

/* Space for an append that ends there. */
static enum bitcask_status prepare_append(struct posix_file *file, uint64_t end,
                                          size_t headroom) {
  uint64_t needed = end + headroom;
  if (end > file->capacity)
    return status_fail(BITCASK_INVALID, "%s: %" PRIu64 " bytes are more than its capacity of %" PRIu64,
                       file->name, end, file->capacity);
  if (needed > file->capacity) needed = file->capacity;
  return needed > file->allocated ? allocate_ahead(file, needed) : BITCASK_OK;
}

static void copy_parts(uint8_t *to, const bitcask_bytes *parts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (parts[i].size > 0) memcpy(to, parts[i].data, parts[i].size);
    to += parts[i].size;
  }
}

/* Small parts that stand side by side by one call, large ones by one each. */
static enum bitcask_status write_parts(struct posix_file *file, const bitcask_bytes *parts,
                                       size_t count, uint64_t offset) {
  uint8_t together[TOGETHER_SIZE];
  size_t held = 0;
  for (size_t i = 0; i < count; i++) {
    if (parts[i].size > sizeof together - held) {
      TRY(write_all(file, together, held, offset));
      offset += held;
      held = 0;
    }
    if (parts[i].size > sizeof together) {
      TRY(write_all(file, parts[i].data, parts[i].size, offset));
      offset += parts[i].size;
    } else {
      copy_parts(together + held, &parts[i], 1);
      held += parts[i].size;
    }
  }
  return write_all(file, together, held, offset);
}

/* A write that failed may have been done in part, behind the size. It must not be left there:
 * the first records of a batch are whole, and once shorter writes stand before them a recovery
 * would take them for records behind a damage. */
static void take_back(struct posix_file *file, uint64_t start, uint64_t end,
                      enum bitcask_status status) {
  if (file->writable != NULL)
    memset(file->writable + start, 0, (size_t)(end - start));
  else if (ftruncate(file->fd, (off_t)start) != 0)
    status_fail(status, "%s; nor could it be cut again", bitcask_error_text());
}

static enum bitcask_status file_append(struct disk_file *base, const bitcask_bytes *parts,
                                       size_t count, size_t headroom) {
  struct posix_file *file = (struct posix_file *)base;
  uint64_t start = disk_file_size(base);
  uint64_t end = start + total_size(parts, count);
  if (file->writable != NULL) TRY(prepare_append(file, end, headroom));
  if (file->writable != NULL && end - start < WRITE_THROUGH_SIZE) {
    if (end > file->populated) populate_ahead(file, start, end);
    copy_parts(file->writable + start, parts, count);
  } else {
    enum bitcask_status status = write_parts(file, parts, count, start);
    if (status != BITCASK_OK) {
      take_back(file, start, end, status);
      return status;
    }
  }
  atomic_store_explicit(&base->size, end, memory_order_release);
  return BITCASK_OK;
}

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
    ssize_t count = pread(file->fd, (uint8_t *)into + done, size - done, (off_t)(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_file(file, "read");
    if (count == 0) break;
    done += (size_t)count;
  }
  *got = done;
  return BITCASK_OK;
}

/* Whatever a flush fails with, want of room included: what is durable is unknown then. */
static enum bitcask_status fail_flush(const char *path, const char *name) {
  fail_at(path, name, "flush");
  return BITCASK_IO;
}

enum { UNMAP_SIZE = 4 << 20 };

/* Before a flush, let go of the whole pages that were written through the mapping: they stay
 * in the cache, and whoever reads them takes them back, for reading. Else the flush takes the
 * right to write from each of them, one by one, and interrupts every other thread for each. */
static void unmap_written(struct posix_file *file, uint64_t size) {
  uint64_t begin = atomic_load_explicit(&file->unmapped, memory_order_relaxed);
  uint64_t end = size & ~(uint64_t)4095;
  if (file->base.map == NULL || end < begin + SELDOM_SIZE) return;
  uint8_t *map = (uint8_t *)(uintptr_t)file->base.map;
  for (uint64_t at = begin; at < end; at += UNMAP_SIZE)
    madvise(map + at, end - at < UNMAP_SIZE ? end - at : UNMAP_SIZE, MADV_DONTNEED);
  atomic_store_explicit(&file->unmapped, end, memory_order_relaxed);
}

static enum bitcask_status file_sync(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  uint64_t size = disk_file_size(base);
  unmap_written(file, size);
  atomic_store_explicit(&file->flushed, size, memory_order_relaxed);
  if (fdatasync(file->fd) != 0) return fail_flush(file->directory->path, file->name);
  return BITCASK_OK;
}

static void file_start_sync(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  sync_file_range(file->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static enum bitcask_status file_finish(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  uint64_t size = disk_file_size(base);
  if (file->allocated > size) {
    if (ftruncate(file->fd, (off_t)size) != 0) return fail_file(file, "give back space of");
    file->allocated = size;
  }
  return BITCASK_OK;
}

static void file_freeze(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  if (base->map == NULL) return; /* the descriptor is what it is read with */
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t used = ((size_t)disk_file_size(base) + page - 1) & ~(page - 1);
  void *map = (void *)(uintptr_t)base->map;
  if (used > 0 && used < file->map_size && munmap((uint8_t *)map + used, file->map_size - used) == 0)
    file->map_size = used;
  mprotect(map, file->map_size, PROT_READ);
  file->writable = NULL;
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

static void file_close(struct disk_file *base) {
  struct posix_file *file = (struct posix_file *)base;
  if (base->map != NULL) munmap((void *)(uintptr_t)base->map, file->map_size);
  drop_descriptor(file);
  memory_free(file);
}

static const struct disk_file_ops file_ops = {
    .append = file_append,
    .read_at = file_read_at,
    .sync = file_sync,
    .start_sync = file_start_sync,
    .finish = file_finish,
    .freeze = file_freeze,
    .forget = file_forget,
    .will_read = file_will_read,
    .close = file_close,
};

static struct posix_file *file_new(struct posix_directory *directory, const char *name) {
  struct posix_file *file = memory_zeroed(1, sizeof *file);
  if (file == NULL) return NULL;
  file->base.ops = &file_ops;
  file->directory = directory;
  file->fd = -1;
  snprintf(file->name, sizeof file->name, "%s", name);
  return file;
}

/* Map the file for reading, and for appending when it has a capacity. A file that cannot
 * be mapped is read and written with system calls instead. */
static void map_file(struct posix_file *file, size_t size) {
  int protection = file->capacity > 0 ? PROT_READ | PROT_WRITE : PROT_READ;
  if (size == 0) return;
  void *map = mmap(NULL, size, protection, MAP_SHARED, file->fd, 0);
  if (map == MAP_FAILED) return;
  file->base.map = map;
  file->map_size = size;
  /* Else each fault reads ahead, megabytes on some machines: for a get of one record, which
   * drives others out of the cache; or of space that was never written. */
  madvise(map, size, MADV_RANDOM);
  if (file->capacity > 0) file->writable = map;
}

static enum bitcask_status open_file(struct posix_directory *directory, const char *name,
                                     int flags, struct posix_file **out) {
  struct posix_file *file = file_new(directory, name);
  if (file == NULL) return BITCASK_NOMEMORY;
  file->fd = open_at(directory->fd, name, flags);
  if (file->fd < 0) {
    enum bitcask_status status = fail_file(file, flags & O_CREAT ? "create" : "open");
    memory_free(file);
    return status;
  }
  atomic_fetch_add(&directory->open_files, 1);
  *out = file;
  return BITCASK_OK;
}

static enum bitcask_status directory_create(struct disk_directory *base, const char *name,
                                            uint64_t capacity, struct disk_file **out) {
  struct posix_file *file = NULL;
  TRY(open_file((struct posix_directory *)base, name, O_RDWR | O_CREAT | O_EXCL, &file));
  file->capacity = capacity;
  map_file(file, (size_t)capacity);
  *out = &file->base;
  return BITCASK_OK;
}

static enum bitcask_status directory_reserve(struct disk_directory *base, const char *name,
                                             uint64_t size) {
  struct posix_file *file = NULL;
  TRY(open_file((struct posix_directory *)base, name, O_RDWR | O_CREAT | O_EXCL, &file));
  enum bitcask_status status = BITCASK_OK;
  if (fallocate(file->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) != 0) {
    status = fail_file(file, "allocate space");
    base->ops->remove(base, name);
  }
  file_close(&file->base);
  return status;
}

static enum bitcask_status learn_size(struct posix_file *file) {
  struct stat facts;
  if (fstat(file->fd, &facts) != 0) return fail_file(file, "look at");
  if (!S_ISREG(facts.st_mode))
    return status_fail(BITCASK_IO, "%s/%s: not a regular file", file->directory->path, file->name);
  atomic_store(&file->base.size, (uint64_t)facts.st_size);
  file->allocated = (uint64_t)facts.st_size;
  return BITCASK_OK;
}

static enum bitcask_status directory_open(struct disk_directory *base, const char *name,
                                          bool growing, struct disk_file **out) {
  struct posix_file *file = NULL;
  TRY(open_file((struct posix_directory *)base, name, O_RDONLY | O_NONBLOCK, &file));
  enum bitcask_status status = learn_size(file);
  if (status != BITCASK_OK) {
    file_close(&file->base);
    return status;
  }
  if (!growing) map_file(file, (size_t)disk_file_size(&file->base));
  if (file->base.map != NULL) drop_descriptor(file);
  *out = &file->base;
  return BITCASK_OK;
}

static enum bitcask_status directory_open_private(struct disk_directory *base, const char *name,
                                                  struct disk_file **out) {
  struct posix_file *file = NULL;
  TRY(open_file((struct posix_directory *)base, name, O_RDONLY | O_NONBLOCK, &file));
  enum bitcask_status status = learn_size(file);
  if (status != BITCASK_OK) {
    file_close(&file->base);
    return status;
  }
  size_t size = (size_t)disk_file_size(&file->base);
  void *map = size == 0 ? MAP_FAILED
                        : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                               file->fd, 0);
  if (map != MAP_FAILED) {
    file->base.map = map;
    file->map_size = size;
    drop_descriptor(file);
  }
  *out = &file->base;
  return BITCASK_OK;
}

static enum bitcask_status directory_reopen(struct disk_directory *base, const char *name,
                                            uint64_t size, uint64_t capacity,
                                            struct disk_file **out) {
  struct posix_file *file = NULL;
  TRY(open_file((struct posix_directory *)base, name, O_RDWR | O_NONBLOCK, &file));
  enum bitcask_status status = learn_size(file);
  if (status == BITCASK_OK && disk_file_size(&file->base) != size)
    status = status_fail(BITCASK_CORRUPT, "%s: %" PRIu64 " bytes, where %" PRIu64 " were written",
                         name, disk_file_size(&file->base), size);
  if (status != BITCASK_OK) {
    file_close(&file->base);
    return status;
  }
  file->capacity = capacity > size ? capacity : size;
  file->populated = size;
  map_file(file, (size_t)file->capacity);
  *out = &file->base;
  return BITCASK_OK;
}

/* ---- Directories ---- */

static enum bitcask_status directory_remove(struct disk_directory *base, const char *name) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (unlinkat(directory->fd, name, 0) != 0) return fail_at(directory->path, name, "remove");
  return BITCASK_OK;
}

static enum bitcask_status directory_rename(struct disk_directory *base, const char *from,
                                            const char *to) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (renameat(directory->fd, from, directory->fd, to) != 0)
    return fail_at(directory->path, from, "rename");
  return BITCASK_OK;
}

static enum bitcask_status directory_sync(struct disk_directory *base) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (fsync(directory->fd) != 0) return fail_flush(directory->path, "");
  return BITCASK_OK;
}

static enum bitcask_status directory_list(struct disk_directory *base, disk_name_function each,
                                          void *context) {
  struct posix_directory *directory = (struct posix_directory *)base;
  int fd = open_at(directory->fd, ".", O_RDONLY | O_DIRECTORY);
  DIR *stream = fd < 0 ? NULL : fdopendir(fd);
  if (stream == NULL) {
    enum bitcask_status status = fail_at(directory->path, "", "list");
    if (fd >= 0) close(fd);
    return status;
  }
  enum bitcask_status status = BITCASK_OK;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(stream);
    if (entry == NULL) break;
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      each(context, entry->d_name);
  }
  if (errno != 0) status = fail_at(directory->path, "", "list");
  closedir(stream);
  return status;
}

/* Is the file that was locked still the one that the name leads to? */
static bool is_named(int directory, int fd, const char *name) {
  struct stat held, named;
  return fstat(fd, &held) == 0 && fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

/* 0, or the error. */
static int take_flock(int fd) {
  int result;
  do {
    result = flock(fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

static enum bitcask_status fail_locked(const struct posix_directory *directory, const char *name) {
  return status_fail(BITCASK_LOCKED, "%s/%s: the store is open for writing in another process",
                     directory->path, name);
}

/* The named file is what other programs look at; the directory's own lock holds even when
 * somebody removes that file and another process makes a new one. */
static enum bitcask_status directory_lock(struct disk_directory *base, const char *name) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (take_flock(directory->fd) == EWOULDBLOCK) return fail_locked(directory, name);
  int fd = open_at(directory->fd, name, O_RDWR | O_CREAT | O_NONBLOCK);
  if (fd < 0) {
    enum bitcask_status status = fail_at(directory->path, name, "open");
    flock(directory->fd, LOCK_UN);
    return status;
  }
  int error = take_flock(fd);
  if (error == 0 && is_named(directory->fd, fd, name)) {
    directory->lock_fd = fd;
    atomic_fetch_add(&directory->open_files, 1);
    return BITCASK_OK;
  }
  errno = error;
  enum bitcask_status status = error == 0 || error == EWOULDBLOCK
                                   ? fail_locked(directory, name)
                                   : fail_at(directory->path, name, "lock");
  close(fd);
  flock(directory->fd, LOCK_UN);
  return status;
}

static void directory_unlock(struct disk_directory *base) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (directory->lock_fd < 0) return;
  /* Explicitly: a forked child may hold copies of the descriptors, and the locks with them. */
  flock(directory->lock_fd, LOCK_UN);
  flock(directory->fd, LOCK_UN);
  close(directory->lock_fd);
  directory->lock_fd = -1;
  atomic_fetch_sub(&directory->open_files, 1);
}

static void directory_identify(struct disk_directory *base, struct disk_identity *out) {
  *out = ((struct posix_directory *)base)->identity;
}

static unsigned directory_open_files(struct disk_directory *base) {
  return atomic_load(&((struct posix_directory *)base)->open_files);
}

static uint64_t directory_free_space(struct disk_directory *base) {
  struct statvfs facts;
  if (fstatvfs(((struct posix_directory *)base)->fd, &facts) != 0) return UINT64_MAX;
  /* Some blocks are kept for the superuser. */
  uint64_t blocks = geteuid() == 0 ? facts.f_bfree : facts.f_bavail;
  uint64_t size = facts.f_frsize > 0 ? facts.f_frsize : facts.f_bsize;
  /* File systems that know no bounds tell of no blocks at all. */
  return facts.f_blocks == 0 || blocks > UINT64_MAX / (size + 1) ? UINT64_MAX : blocks * size;
}

static void directory_close(struct disk_directory *base) {
  struct posix_directory *directory = (struct posix_directory *)base;
  directory_unlock(base);
  if (directory->fd >= 0) close(directory->fd);
  memory_free(directory->path);
  memory_free(directory);
}

static const struct disk_directory_ops directory_ops = {
    .create = directory_create,
    .reserve = directory_reserve,
    .open = directory_open,
    .open_private = directory_open_private,
    .reopen = directory_reopen,
    .remove = directory_remove,
    .rename = directory_rename,
    .sync = directory_sync,
    .list = directory_list,
    .lock = directory_lock,
    .unlock = directory_unlock,
    .identify = directory_identify,
    .open_files = directory_open_files,
    .free_space = directory_free_space,
    .close = directory_close,
};

/* ---- The disk ---- */

static enum bitcask_status sync_parent(int fd, const char *path) {
  int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) return fail_at(path, "..", "open");
  int result = fsync(parent);
  int error = errno;
  close(parent);
  errno = error;
  return result == 0 ? BITCASK_OK : fail_at(path, "..", "flush");
}

static enum bitcask_status open_directory_at(struct posix_directory *directory, bool create) {
  bool is_made = create && mkdir(directory->path, 0700) == 0;
  if (create && !is_made && errno != EEXIST) return fail_at(directory->path, "", "create");
  directory->fd =
      above_standard_streams(open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory->fd < 0) return fail_at(directory->path, "", "open");
  struct stat facts;
  if (fstat(directory->fd, &facts) != 0) return fail_at(directory->path, "", "look at");
  directory->identity = (struct disk_identity){(uint64_t)facts.st_dev, (uint64_t)facts.st_ino};
  atomic_store(&directory->open_files, 1);
  return is_made ? sync_parent(directory->fd, directory->path) : BITCASK_OK;
}

static enum bitcask_status posix_open_directory(struct disk *disk, const char *path, bool create,
                                                struct disk_directory **out) {
  (void)disk;
  struct posix_directory *directory = memory_zeroed(1, sizeof *directory);
  if (directory == NULL) return BITCASK_NOMEMORY;
  directory->base.ops = &directory_ops;
  directory->fd = directory->lock_fd = -1;
  directory->path = memory_string(path);
  enum bitcask_status status =
      directory->path == NULL ? BITCASK_NOMEMORY : open_directory_at(directory, create);
  if (status != BITCASK_OK) {
    directory_close(&directory->base);
    return status;
  }
  *out = &directory->base;
  return BITCASK_OK;
}

static uint64_t clock_us(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint64_t posix_now_ms(struct disk *disk) {
  (void)disk;
  return clock_us(CLOCK_REALTIME) / 1000u;
}

static uint64_t posix_monotonic_us(struct disk *disk) {
  (void)disk;
  return clock_us(CLOCK_MONOTONIC);
}

static uint32_t read_boot(void) {
  char text[64];
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text);
  close(fd);
  if (size <= 0) return 0;
  uint32_t hash = bitcask_xxh32(bytes_of(text, (size_t)size), 0);
  return hash == 0 ? 1 : hash;
}

static uint32_t posix_boot(struct disk *disk) {
  static atomic_uint known;
  (void)disk;
  uint32_t boot = atomic_load(&known);
  if (boot == 0) atomic_store(&known, boot = read_boot());
  return boot;
}

static enum bitcask_status posix_random(struct disk *disk, void *into, size_t size) {
  (void)disk;
  uint8_t *at = into;
  while (size > 0) {
    ssize_t got = getrandom(at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return status_fail(BITCASK_IO, "cannot get random bytes: %s", strerror(errno));
    at += got;
    size -= (size_t)got;
  }
  return BITCASK_OK;
}

struct disk *disk_posix(void) {
  static const struct disk_ops ops = {
      .open_directory = posix_open_directory,
      .now_ms = posix_now_ms,
      .monotonic_us = posix_monotonic_us,
      .boot = posix_boot,
      .random = posix_random,
  };
  static struct disk disk = {&ops};
  return &disk;
}
