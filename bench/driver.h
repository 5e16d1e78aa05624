/*
 * A driver: one engine behind a table of functions, so that every engine does the same
 * work on the same keys and values.
 *
 *   store     an open database, shared by all threads
 *   session   what one thread holds to use it: a buffer, a read transaction
 *
 * An engine that fails has nothing to measure: a driver calls driver_die, which ends the
 * process of this engine and of no other.
 */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed bytes. */
typedef struct driver_bytes {
  const char *data;
  size_t size;
} driver_bytes;

struct driver_config {
  const char *directory; /* exists; empty unless the store was made before */
  uint64_t key_count;    /* keys to expect, for engines that are sized beforehand */
  size_t key_size;
  size_t value_size;
  uint64_t memory;       /* bytes that there are, page cache included; 0: plenty */
  bool sync;             /* put returns when it survives a power cut */
};

typedef void (*driver_visit)(void *context, driver_bytes key, driver_bytes value);

struct driver {
  const char *name;
  const char *tuning; /* how it is set up, in one line, for the reader of the report */
  bool can_sync;      /* driver_config.sync is honoured */
  bool one_thread;    /* writes while another thread reads are not safe */
  size_t value_size_least; /* made for values from this size on */

  void *(*open)(const struct driver_config *config);
  void (*close)(void *store);
  void *(*session_open)(void *store);
  void (*session_close)(void *session);

  void (*put)(void *session, driver_bytes key, driver_bytes value);
  /* False where there is no such key. The value is a copy outside the engine's own memory
   * and stays until the next call on the session. */
  bool (*get)(void *session, driver_bytes key, driver_bytes *value);
  void (*remove)(void *session, driver_bytes key);
  void (*scan)(void *session, driver_visit visit, void *context);

  /* These may be NULL. */
  void (*settle)(void *store);                    /* wait for work in the background */
  void (*set_cleaning)(void *store, bool enabled); /* on when opened; NULL: always on */
  void (*merge)(void *store);                     /* give back all the space there is */
};

/* Print the reason and end this process. */
__attribute__((noreturn, format(printf, 1, 2))) void driver_die(const char *format, ...);

/* What malloc returns, or the end. */
void *driver_allocate(size_t size);

/* "directory/name", to be given back with free. */
char *driver_path(const char *directory, const char *name);

/* For engines with a cache of their own: room for everything, or a quarter of the memory
 * there is, and a buffer of writes to go with it. */
size_t driver_cache_bytes(const struct driver_config *config);
size_t driver_write_buffer_bytes(const struct driver_config *config);

/* Those that were built, in the order of the report. */
extern const struct driver *const drivers[];
extern const size_t driver_count;

extern const struct driver driver_bitcask;
extern const struct driver driver_bitcask_unverified;
extern const struct driver driver_limit_map;
extern const struct driver driver_limit_clean;
extern const struct driver driver_limit_write;
extern const struct driver driver_tkrzw;
extern const struct driver driver_lmdb;
extern const struct driver driver_lmdb_writemap;
extern const struct driver driver_leveldb;
extern const struct driver driver_rocksdb;
extern const struct driver driver_rocksdb_blob;
extern const struct driver driver_bdb;
extern const struct driver driver_gdbm;
extern const struct driver driver_sqlite;

#ifdef __cplusplus
}
#endif

#endif
