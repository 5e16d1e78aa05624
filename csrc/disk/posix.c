/*
 * The operating system's disk. It and its parts beside it (disk/posix_*) are the only files that
 * make file system calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "disk/posix_directory.h"

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
      .open_directory = posix_directory_open,
      .now_ms = posix_now_ms,
      .monotonic_us = posix_monotonic_us,
      .boot = posix_boot,
      .random = posix_random,
  };
  static struct disk disk = {&ops};
  return &disk;
}
