/*
 * The workloads, in stages. A stage is what one process does with a store, so that every
 * engine opens in a process that knows nothing of it, its memory can be told from that of
 * others, and it can be killed.
 *
 *   main          fill, memory, get, absent, scan, mixes, overwriting, merge, close
 *   reopen        open what was closed, read a key; with the page cache and without
 *   crash         open, put a tenth more keys, die by SIGKILL
 *   recover       open what was killed, look for those keys
 *   crash again   the same with other keys
 *   recover cold  open what was killed, with nothing of it in the page cache
 *   delete        delete every key
 *   durable       puts that survive a power cut, in a store of their own
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "data.h"
#include "driver.h"
#include "measure.h"

/* X(name, "what it does") in the order they run. */
#define WORKLOAD_LIST(X)                                                              \
  X(fill, "put every key once, in random order (always done)")                        \
  X(get, "get keys that are there, uniformly")                                        \
  X(absent, "get keys that are not there")                                            \
  X(get2, "get from two threads")                                                     \
  X(scan, "visit every pair once, in the engine's own order")                         \
  X(a, "half gets, half puts, zipfian (YCSB A)")                                      \
  X(b, "95 % gets, 5 % puts, zipfian (YCSB B)")                                       \
  X(a2, "A from two threads")                                                         \
  X(b2, "B from two threads")                                                         \
  X(overwrite, "put over uniform keys, three times as many as keys, while cleaning")  \
  X(zipf, "the same with zipfian keys")                                               \
  X(merge, "overwrite without cleaning where it can be put off, then merge")          \
  X(reopen, "open after a clean close, warm and cold")                                \
  X(recover, "put a tenth more keys, kill -9, open; warm and cold")                   \
  X(delete, "delete every key")                                                       \
  X(sync, "durable puts, by one and by eight threads")

enum workload {
#define WORKLOAD_ENUM(name, text) WORKLOAD_##name,
  WORKLOAD_LIST(WORKLOAD_ENUM)
#undef WORKLOAD_ENUM
      WORKLOAD_COUNT
};

struct workload_info {
  const char *name;
  const char *text;
};

extern const struct workload_info workload_infos[WORKLOAD_COUNT];

/* One engine in one round. */
struct run {
  const struct driver *driver;
  struct data data;
  unsigned selected;   /* 1 << enum workload */
  double seconds;      /* after which a workload other than fill stops */
  double rest;         /* seconds that the device is left alone for where a store was removed */
  uint64_t hold;       /* bytes of memory that are held while it rests; see memory_hold */
  double stolen_most;  /* percent of the processors' time that others may take meanwhile */
  uint64_t memory;     /* bytes that each stage may use, page cache included; 0: any */
  const char *directory;
  struct results *results; /* shared with the parent of the stage's process */
};

/* X(name, what to call it when it fails) */
#define STAGE_LIST(X)               \
  X(DURABLE, "durable")             \
  X(MAIN, "main")                   \
  X(REOPEN, "reopen")               \
  X(CRASH, "crash")                 \
  X(RECOVER, "recover")             \
  X(CRASH_AGAIN, "crash again")     \
  X(RECOVER_COLD, "recover cold")   \
  X(DELETE, "delete")

enum stage {
#define STAGE_ENUM(name, text) STAGE_##name,
  STAGE_LIST(STAGE_ENUM)
#undef STAGE_ENUM
      STAGE_COUNT
};

extern const char *const stage_names[STAGE_COUNT];

/* Whether the selected workloads need the stage and the engine can do it. */
bool stage_is_wanted(const struct run *run, enum stage stage);

/* Whether it ends by SIGKILL. */
bool stage_is_crash(enum stage stage);

/* Do the stage in this process. */
void stage_run(const struct run *run, enum stage stage);

#endif
