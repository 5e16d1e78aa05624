#include "driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct driver *const drivers[] = {
#ifdef BENCH_bitcask
    &driver_bitcask,
    &driver_bitcask_unverified,
#endif
#ifdef BENCH_tkrzw
    &driver_tkrzw,
#endif
#ifdef BENCH_lmdb
    &driver_lmdb,
    &driver_lmdb_writemap,
#endif
#ifdef BENCH_leveldb
    &driver_leveldb,
#endif
#ifdef BENCH_rocksdb
    &driver_rocksdb,
    &driver_rocksdb_blob,
#endif
#ifdef BENCH_bdb
    &driver_bdb,
#endif
#ifdef BENCH_gdbm
    &driver_gdbm,
#endif
#ifdef BENCH_sqlite
    &driver_sqlite,
#endif
    &driver_limit_map,
    &driver_limit_clean,
    &driver_limit_write,
};

const size_t driver_count = sizeof drivers / sizeof drivers[0];

void driver_die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  _exit(1);
}

void *driver_allocate(size_t size) {
  void *memory = malloc(size > 0 ? size : 1);
  if (memory == NULL) driver_die("out of memory");
  return memory;
}

char *driver_path(const char *directory, const char *name) {
  size_t size = strlen(directory) + strlen(name) + 2;
  char *path = driver_allocate(size);
  snprintf(path, size, "%s/%s", directory, name);
  return path;
}

size_t driver_cache_bytes(const struct driver_config *config) {
  size_t live = config->key_count * (config->key_size + config->value_size);
  return config->memory > 0 ? config->memory / 4 : 2 * live + ((size_t)64 << 20);
}

size_t driver_write_buffer_bytes(const struct driver_config *config) {
  size_t most = (size_t)64 << 20;
  return config->memory > 0 && config->memory / 16 < most ? config->memory / 16 : most;
}
