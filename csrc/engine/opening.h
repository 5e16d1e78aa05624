/*
 * Opening: from a directory and options to a running engine, and back; and the handle that
 * stands for an engine, which other handles of the process may share.
 *
 * Threads: one engine is opened or closed by one thread at a time.
 */
#ifndef BITCASK_ENGINE_OPENING_H
#define BITCASK_ENGINE_OPENING_H

#include "engine/engine.h"

struct shared;

/* A handle: what bitcask_open gives. */
struct bitcask {
  struct engine *engine;
  struct shared *shared; /* NULL: the engine is this handle's own */
  char *directory;
  bool is_readonly;
  unsigned process;
  struct event_queue events;
  struct bitcask_options options; /* to open again at a refresh */
  struct mutex refresh_lock;      /* own engines: the pointer changes at a refresh */
};

/* INVALID where an option is out of its range. */
enum bitcask_status opening_check_options(const struct bitcask_options *options);

/* The directory of the handle, made if its options say so. NOTFOUND: there is none, or no
 * store in it and none is to be made. */
enum bitcask_status opening_directory(struct bitcask *handle, struct disk *disk,
                                      struct disk_directory **out);

/* From a directory, which is taken over, to an engine that the handle hears of events from. */
enum bitcask_status opening_engine(struct bitcask *handle, struct disk *disk,
                                   struct disk_directory *directory, struct engine **out);

/* An engine that only reads and is the handle's own. */
enum bitcask_status opening_own_engine(struct bitcask *handle, struct disk *disk,
                                       struct engine **out);

/* Flush, note the clean end, finish what is in the background, let go of the lock. */
enum bitcask_status opening_close(struct engine *engine);

#endif
