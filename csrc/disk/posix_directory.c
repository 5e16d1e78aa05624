#include "disk/posix_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "disk/posix_call.h"
#include "disk/posix_file.h"

struct posix_directory {
  struct disk_directory base;
  struct posix_home home;
  int lock_fd; /* -1: not locked */
  struct disk_identity identity;
};

/* ---- Files ---- */

static struct posix_home *home_of(struct disk_directory *base) {
  return &((struct posix_directory *)base)->home;
}

static enum bitcask_status directory_create(struct disk_directory *base, const char *name,
                                            uint64_t capacity, struct disk_file **out) {
  return posix_file_create(home_of(base), name, capacity, out);
}

static enum bitcask_status directory_open(struct disk_directory *base, const char *name,
                                          bool growing, struct disk_file **out) {
  return posix_file_open(home_of(base), name, growing, out);
}

static enum bitcask_status directory_open_private(struct disk_directory *base, const char *name,
                                                  struct disk_file **out) {
  return posix_file_open_private(home_of(base), name, out);
}

static enum bitcask_status directory_reopen(struct disk_directory *base, const char *name,
                                            uint64_t size, uint64_t capacity,
                                            struct disk_file **out) {
  return posix_file_reopen(home_of(base), name, size, capacity, out);
}

static enum bitcask_status directory_reserve(struct disk_directory *base, const char *name,
                                             uint64_t size) {
  return posix_file_reserve(home_of(base), name, size);
}

static unsigned directory_open_files(struct disk_directory *base) {
  return atomic_load(&home_of(base)->open_files);
}

/* ---- Names ---- */

static enum bitcask_status directory_remove(struct disk_directory *base, const char *name) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (unlinkat(directory->home.fd, name, 0) != 0)
    return posix_fail(directory->home.path, name, "remove");
  return BITCASK_OK;
}

static enum bitcask_status directory_rename(struct disk_directory *base, const char *from,
                                            const char *to) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (renameat(directory->home.fd, from, directory->home.fd, to) != 0)
    return posix_fail(directory->home.path, from, "rename");
  return BITCASK_OK;
}

static enum bitcask_status directory_sync(struct disk_directory *base) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (fsync(directory->home.fd) != 0) return posix_fail_flush(directory->home.path, "");
  return BITCASK_OK;
}

static enum bitcask_status directory_list(struct disk_directory *base, disk_name_function each,
                                          void *context) {
  struct posix_directory *directory = (struct posix_directory *)base;
  int fd = posix_open_at(directory->home.fd, ".", O_RDONLY | O_DIRECTORY);
  DIR *stream = fd < 0 ? NULL : fdopendir(fd);
  if (stream == NULL) {
    enum bitcask_status status = posix_fail(directory->home.path, "", "list");
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
  if (errno != 0) status = posix_fail(directory->home.path, "", "list");
  closedir(stream);
  return status;
}

/* ---- The lock ---- */

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
                     directory->home.path, name);
}

/* The named file is what other programs look at; the directory's own lock holds even when
 * somebody removes that file and another process makes a new one. */
static enum bitcask_status directory_lock(struct disk_directory *base, const char *name) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (take_flock(directory->home.fd) == EWOULDBLOCK) return fail_locked(directory, name);
  int fd = posix_open_at(directory->home.fd, name, O_RDWR | O_CREAT | O_NONBLOCK);
  if (fd < 0) {
    enum bitcask_status status = posix_fail(directory->home.path, name, "open");
    flock(directory->home.fd, LOCK_UN);
    return status;
  }
  int error = take_flock(fd);
  if (error == 0 && is_named(directory->home.fd, fd, name)) {
    directory->lock_fd = fd;
    atomic_fetch_add(&directory->home.open_files, 1);
    return BITCASK_OK;
  }
  errno = error;
  enum bitcask_status status = error == 0 || error == EWOULDBLOCK
                                   ? fail_locked(directory, name)
                                   : posix_fail(directory->home.path, name, "lock");
  close(fd);
  flock(directory->home.fd, LOCK_UN);
  return status;
}

static void directory_unlock(struct disk_directory *base) {
  struct posix_directory *directory = (struct posix_directory *)base;
  if (directory->lock_fd < 0) return;
  /* Explicitly: a forked child may hold copies of the descriptors, and the locks with them. */
  flock(directory->lock_fd, LOCK_UN);
  flock(directory->home.fd, LOCK_UN);
  close(directory->lock_fd);
  directory->lock_fd = -1;
  atomic_fetch_sub(&directory->home.open_files, 1);
}

/* ---- Facts, and the end ---- */

static void directory_identify(struct disk_directory *base, struct disk_identity *out) {
  *out = ((struct posix_directory *)base)->identity;
}

static uint64_t directory_free_space(struct disk_directory *base) {
  struct statvfs facts;
  if (fstatvfs(((struct posix_directory *)base)->home.fd, &facts) != 0) return UINT64_MAX;
  /* Some blocks are kept for the superuser. */
  uint64_t blocks = geteuid() == 0 ? facts.f_bfree : facts.f_bavail;
  uint64_t size = facts.f_frsize > 0 ? facts.f_frsize : facts.f_bsize;
  /* File systems that know no bounds tell of no blocks at all. */
  return facts.f_blocks == 0 || blocks > UINT64_MAX / (size + 1) ? UINT64_MAX : blocks * size;
}

static void directory_close(struct disk_directory *base) {
  struct posix_directory *directory = (struct posix_directory *)base;
  directory_unlock(base);
  if (directory->home.fd >= 0) close(directory->home.fd);
  memory_free(directory->home.path);
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

/* ---- Opening ---- */

static enum bitcask_status sync_parent(int fd, const char *path) {
  int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) return posix_fail(path, "..", "open");
  int result = fsync(parent);
  int error = errno;
  close(parent);
  errno = error;
  return result == 0 ? BITCASK_OK : posix_fail(path, "..", "flush");
}

static enum bitcask_status open_directory_at(struct posix_directory *directory, bool create) {
  bool is_made = create && mkdir(directory->home.path, 0700) == 0;
  if (create && !is_made && errno != EEXIST) return posix_fail(directory->home.path, "", "create");
  directory->home.fd =
      posix_above_standard_streams(open(directory->home.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory->home.fd < 0) return posix_fail(directory->home.path, "", "open");
  struct stat facts;
  if (fstat(directory->home.fd, &facts) != 0)
    return posix_fail(directory->home.path, "", "look at");
  directory->identity = (struct disk_identity){(uint64_t)facts.st_dev, (uint64_t)facts.st_ino};
  atomic_store(&directory->home.open_files, 1);
  return is_made ? sync_parent(directory->home.fd, directory->home.path) : BITCASK_OK;
}

enum bitcask_status posix_directory_open(struct disk *disk, const char *path, bool create,
                                         struct disk_directory **out) {
  (void)disk;
  struct posix_directory *directory = memory_zeroed(1, sizeof *directory);
  if (directory == NULL) return BITCASK_NOMEMORY;
  directory->base.ops = &directory_ops;
  directory->home.fd = directory->lock_fd = -1;
  directory->home.path = memory_string(path);
  enum bitcask_status status =
      directory->home.path == NULL ? BITCASK_NOMEMORY : open_directory_at(directory, create);
  if (status != BITCASK_OK) {
    directory_close(&directory->base);
    return status;
  }
  *out = &directory->base;
  return BITCASK_OK;
}
