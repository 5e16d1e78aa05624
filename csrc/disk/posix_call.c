#include "disk/posix_call.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

enum bitcask_status posix_fail(const char *path, const char *name, const char *what) {
  int error = errno;
  return status_fail(status_of(error), "%s%s%s: cannot %s: %s", path, *name ? "/" : "", name,
                     what, strerror(error));
}

enum bitcask_status posix_fail_flush(const char *path, const char *name) {
  posix_fail(path, name, "flush");
  return BITCASK_IO;
}

int posix_above_standard_streams(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  int error = errno;
  close(fd);
  errno = error;
  return higher;
}

int posix_open_at(int directory, const char *name, int flags) {
  int fd;
  do {
    fd = openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  } while (fd < 0 && errno == EINTR);
  return posix_above_standard_streams(fd);
}
